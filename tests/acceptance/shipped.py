"""A use case of `flows/`, run by its own chains: every handler, the real flow runner and the stand-in model.

Only the queues, the store and the clock are in memory. What a test sees is what a chain leaves behind: records and
lines in the store, the chain's state and its log.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genaiops.stand_in_model import StandIn, start_stand_in
from shared import chain_store, result_store
from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.chain.messages import DatasetUpload
from shared.chain.state import Chain
from shared.experimentation.matrix import Cell
from shared.results import LineRecord, RunRecord, cell_folder, evaluation_folder
from shared.settings import read
from shared.use_case.load import load
from shared.use_case.model import UseCase
from tests.memory_world import World

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ran:
    """What a chain left behind."""

    world: World
    chain: Chain
    cells: dict[tuple[str, str], Cell]
    """(label, dataset) → the cell."""

    def record(self, label: str, dataset: str) -> RunRecord:
        found = result_store.record(self.world.blobs, self._folder(label, dataset))
        assert found is not None, self.log
        return found

    def lines(self, label: str, dataset: str, evaluator: str | None = None) -> list[LineRecord]:
        return list(result_store.lines(self.world.blobs, self._folder(label, dataset, evaluator)))

    def outputs(self, label: str, dataset: str) -> list[dict[str, Any]]:
        return [dict(line.outputs) for line in self.lines(label, dataset)]

    def metrics(self, label: str, dataset: str, evaluator: str) -> dict[str, float]:
        found = result_store.record(self.world.blobs, self._folder(label, dataset, evaluator))
        assert found is not None, self.log
        return dict(found.metrics)

    @property
    def log(self) -> str:
        return "\n".join(self.world.log(self.chain.id))

    def _folder(self, label: str, dataset: str, evaluator: str | None = None) -> str:
        cell = self.cells[label, dataset].name
        if evaluator is None:
            return cell_folder(self.chain.id, cell)
        return evaluation_folder(self.chain.id, cell, evaluator)


class Shipped:
    """One use case with a model and warm workers of its own. Close it."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self.model: StandIn = start_stand_in()
        self._runner = LocalFlowRunner(home / "runner", grace_s=150)
        settings = read(
            {
                "GENAIOPS_HOME": str(home),
                "GENAIOPS_ROOT": str(ROOT),
                "GENAIOPS_STAND_IN_PORT": str(self.model.port),
                "GENAIOPS_ENV_FILE": str(home / "no.env"),
            }
        )
        self.world = World(home, settings=settings, runner=self._runner)

    def close(self) -> None:
        self._runner.close()
        self.model.stop()

    def use_case(self, environment: str = "dev") -> UseCase:
        return load(ROOT / "flows" / self.name, environment, data=ROOT / "data")

    def run(self, kind: str = "ci", request_id: str = "r1", **fields: Any) -> Ran:
        """Ask for a chain and carry its messages until it has ended."""
        chain = self.world.request(kind, self.name, request_id, **fields)
        self.world.pump()
        prepared = chain_store.read_prepared(self.world.blobs, chain)
        cells = {(cell.label, cell.dataset): cell for cell in prepared.cells}
        return Ran(self.world, self.world.chain(chain), cells)

    def evaluate_log(self, dataset: str, file: Path) -> Ran:
        """Upload a production log and ask for its evaluation, as `upload --log` and `submit` do."""
        blob = f"{self.name}/{dataset}/{file.name}"
        self.world.blobs.write("logs", blob, file.read_bytes())
        return self.run("post_production", request_id=file.name, dataset=DatasetUpload(name=dataset, blob=blob))

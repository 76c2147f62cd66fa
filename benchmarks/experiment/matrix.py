"""The same small experiment on both sides: 2 variants × 2 datasets × 3 lines, one evaluator each, four kinds of flow.

Ours is a whole chain, from its request to its report; theirs is `PFClient.run`, eight times. What both gave is compared
line by line, so that nobody is faster by doing less.
"""

from __future__ import annotations

import json
import math
import os
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.experiment.peer import PeerResult, PeerRun
from genaiops.lab import Lab, Results, load
from shared.use_case.model import UseCase

USE_CASES = Path(__file__).parent / "use_cases"
KINDS = ("dag", "function", "class", "prompty")
CONNECTION = "aoai"
MODEL = {"connection": CONNECTION, "azure_deployment": "benchmark"}


@dataclass(frozen=True)
class Side:
    """A variant on one side and on the other."""

    label: str
    variant: str | None = None
    init: Mapping[str, object] | None = None
    mappings: Mapping[str, object] | None = None


STYLES = (Side("default", mappings={"style": "brief"}), Side("inputs.style=polite", mappings={"style": "polite"}))
SIDES: Mapping[str, tuple[Side, ...]] = {
    "dag": (Side("default", variant="${classify.brief}"), Side("classify.polite", variant="${classify.polite}")),
    "function": (
        Side("default", mappings={"style": "brief"}),
        Side("inputs.style=polite", mappings={"style": "polite"}),
    ),
    "class": (
        Side("default", init={"model_config": MODEL, "style": "brief"}),
        Side("init.style=polite", init={"model_config": MODEL, "style": "polite"}),
    ),
    "prompty": (
        Side("default", mappings={"style": "brief"}),
        Side("inputs.style=polite", mappings={"style": "polite"}),
    ),
}


@contextmanager
def connected(url: str) -> Iterator[None]:
    """The connection `aoai` leads to the model at `url`."""
    before = os.environ.get(CONNECTION)
    os.environ[CONNECTION] = json.dumps({"api_key": "benchmark", "api_base": url})
    try:
        yield
    finally:
        if before is None:
            del os.environ[CONNECTION]
        else:
            os.environ[CONNECTION] = before


def timed(bench: Lab, use_case: UseCase, **options: Any) -> tuple[float, Results]:
    """Seconds from the request to the report, and what the chain left behind. Raises SystemExit where it failed."""
    started = time.perf_counter()
    results = bench.run(use_case, sample=None, fresh=True, **options)
    seconds = time.perf_counter() - started
    if not results.succeeded:
        raise SystemExit(f"The chain of {use_case.name} failed: {results.reason}")
    return seconds, results


def peer_runs(kind: str, folder: Path) -> list[PeerRun]:
    """The eight runs of `PFClient`, evaluations behind their runs.

    They are made on a copy in `folder`, for the client writes its logs into the flows' folders.
    """
    use_case = load(shutil.copytree(USE_CASES / kind, folder))
    evaluator = use_case.evaluators[0]
    judged_by_class = (evaluator.flow / "flow.flex.yaml").is_file()
    runs = []
    flow = use_case.flow / use_case.flow_file if use_case.flow_file.endswith(".prompty") else use_case.flow
    for dataset in use_case.datasets:
        truth = next(d for d in evaluator.datasets if (d.reference or d.name) == dataset.name)
        for side in SIDES[kind]:
            name = f"{side.label}/{dataset.name}"
            mappings = {**dataset.mappings, **(side.mappings or {})}
            runs.append(PeerRun(name, str(flow), str(dataset.path), mappings, side.variant, side.init))
            runs.append(
                PeerRun(
                    f"{name}/{evaluator.name}",
                    str(evaluator.flow),
                    str(truth.path),
                    evaluator.datasets[0].mappings,
                    init={"model_config": MODEL} if judged_by_class else None,
                    run=name,
                )
            )
    return runs


def differences(
    results: Results, peer: PeerResult, *, variants: Sequence[str] = (), datasets: Sequence[str] = ()
) -> list[str]:
    """Where outputs of a line, or metrics of an evaluation, are not the same on both sides.

    `variants` and `datasets` are those that the client has run; empty: all of them.
    """
    found = []
    for variant in variants or results.variants:
        for dataset in datasets or results.datasets:
            name = f"{variant}/{dataset}"
            lines = results.lines(variant, dataset).to_dict("records")
            ours = [_prefixed(line, "outputs.") for line in lines]
            judged = [_prefixed(line, "judge.") for line in lines]
            found += _unlike(name, ours, list(peer.outputs[name]))
            found += _unlike(f"{name}/judge", judged, list(peer.outputs[f"{name}/judge"]))
            row = results.table().query("variant == @variant and dataset == @dataset").to_dict("records")[0]
            metrics = {key.removeprefix("judge."): row[key] for key in row if key.startswith("judge.")}
            theirs = dict(peer.metrics[f"{name}/judge"])
            if metrics.keys() != theirs.keys() or not all(math.isclose(metrics[key], theirs[key]) for key in metrics):
                found.append(f"{name}: metrics {metrics} and {theirs}")
    return found


def _prefixed(line: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in line.items() if key.startswith(prefix)}


def _unlike(name: str, ours: list[dict[str, Any]], theirs: list[Mapping[str, Any]]) -> list[str]:
    if len(ours) != len(theirs):
        return [f"{name}: {len(ours)} lines and {len(theirs)}"]
    pairs = enumerate(zip(ours, theirs, strict=True), start=1)
    return [f"{name}, line {number}: {one} and {dict(other)}" for number, (one, other) in pairs if one != dict(other)]

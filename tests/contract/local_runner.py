"""What the tests of the local flow runner share: runs of the flows in `flows/`, and lines that come when told."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from uuid import uuid4

from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.connections import Connection
from shared.ports import RunOutcome, RunSpec, RunStatus
from shared.results import LineRecord
from tests.contract.model_server import ModelServer

FLOWS = Path(__file__).parent / "flows"
KEY = "sk-test-0123456789"


def spec(folder: str, given: object, **changes: object) -> RunSpec:
    values: dict[str, object] = {
        "name": f"run-{uuid4().hex}",
        "flow": FLOWS / folder,
        "flow_digest": folder.encode().hex().ljust(64, "0"),
        "lines": given,
        "tolerated_failures": 1.0,
        "line_timeout_s": 30.0,
    }
    return RunSpec(**{**values, **changes})


def acts(*whats: str, **changes: object) -> RunSpec:
    return spec("misbehaving", [{"what": what} for what in whats], **changes)


def tickets(model: ModelServer, *texts: str, **changes: object) -> RunSpec:
    connections = {
        "aoai": Connection("aoai", "azure", model.url, KEY),
        "unused": Connection("unused", "azure", "x", KEY),
    }
    return spec("triage", [{"ticket": text} for text in texts], **{"connections": connections, **changes})


def graded(*truths: str, **changes: object) -> RunSpec:
    return spec("accuracy", [{"prediction": "a", "truth": truth} for truth in truths], **changes)


def values(outcome: RunOutcome) -> list[object]:
    return [line.outputs.get("value") for line in outcome.lines]


def one(outcome: RunOutcome) -> LineRecord:
    (line,) = outcome.lines
    return line


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 30
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


class Gated:
    """Lines that do not come before `gate` is set: a run as long as a test needs it."""

    def __init__(self, *lines: object, then: Exception | None = None) -> None:
        self.gate = threading.Event()
        self.read = 0
        self._lines = lines
        self._then = then

    def __iter__(self) -> Iterator[Mapping[str, object]]:
        for what in self._lines:
            self.read += 1
            assert self.gate.wait(60)
            yield {"what": what}
        if self._then is not None:
            assert self.gate.wait(60)
            raise self._then


def when_ended(runner: LocalFlowRunner, name: str) -> RunOutcome:
    """Look until it has ended; raises what a look raises."""
    outcome = runner.look(name)
    while outcome.status is RunStatus.RUNNING:
        time.sleep(0.01)
        outcome = runner.look(name)
    return outcome

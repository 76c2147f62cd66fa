"""The other side of the comparison: the same runs and evaluations by `PFClient.run`, one after the other.

`python -m benchmarks.experiment.peer` reads one JSON line, `{"url", "runs"}`, in a process and a home of its own, and
prints the seconds of all runs, with each one's outputs by line and metrics. Its imports are not counted.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class PeerRun:
    """One `PFClient.run`."""

    name: str
    flow: str
    data: str
    mappings: Mapping[str, object]
    variant: str | None = None
    init: Mapping[str, object] | None = None
    run: str | None = None
    """The run that it evaluates."""


@dataclass(frozen=True)
class PeerResult:
    """What the client's runs left behind."""

    seconds: float
    outputs: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """Run → the outputs of each line, in order."""
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


def run_peer(runs: Sequence[PeerRun], url: str, home: Path) -> PeerResult:
    """Run everything in a process of its own; `home` is made for prompt flow's files.

    Raises:
        SystemExit: the client failed, with the end of what it said.
    """
    home.mkdir(parents=True)
    (home / "pf.yaml").write_text("telemetry:\n  enabled: false\ntrace:\n  destination: none\n")
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.experiment.peer"],
        input=json.dumps({"url": url, "runs": [asdict(run) for run in runs]}),
        env={
            **os.environ,
            "PF_HOME_DIRECTORY": str(home),
            "PYTHON_KEYRING_BACKEND": "benchmarks.experiment.peer_keyring.FileKeyring",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    results = [line.removeprefix("RESULT ") for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if not results:
        raise SystemExit(f"PFClient.run failed:\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}")
    return PeerResult(**json.loads(results[0]))


def main() -> None:
    """Run what the standard input asks for."""
    asked = json.loads(sys.stdin.readline())
    client = _client(asked["url"])
    done: dict[str, Any] = {}
    started = time.perf_counter()
    for run in asked["runs"]:
        done[run["name"]] = client.run(
            flow=run["flow"],
            data=run["data"],
            run=done.get(run["run"]),
            column_mapping=run["mappings"],
            variant=run["variant"],
            init=run["init"],
        )
    seconds = time.perf_counter() - started
    outputs = {name: _outputs(run) for name, run in done.items()}
    metrics = {name: _numbers(client.get_metrics(run)) for name, run in done.items()}
    print("RESULT " + json.dumps({"seconds": seconds, "outputs": outputs, "metrics": metrics}))


def _client(url: str) -> Any:
    from promptflow.client import PFClient
    from promptflow.entities import AzureOpenAIConnection

    client = PFClient()
    client.connections.create_or_update(AzureOpenAIConnection(name="aoai", api_key="benchmark", api_base=url))
    return client


def _outputs(run: Any) -> list[dict[str, Any]]:
    """The outputs of every line, from the file that the client leaves: its table lacks numbers for some kinds."""
    file = Path(run.properties["output_path"]) / "flow_outputs" / "output.jsonl"
    lines = sorted(map(json.loads, file.read_text(encoding="utf-8").splitlines()), key=lambda line: line["line_number"])
    return [{name: value for name, value in line.items() if name != "line_number"} for line in lines]


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if math.isfinite(float(value))}


if __name__ == "__main__":
    main()

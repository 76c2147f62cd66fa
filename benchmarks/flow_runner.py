"""Lines per second of the local flow runner, warm and cold, against `PFClient.run` and against what is possible.

`python -m benchmarks.flow_runner`: an `llm` node over 1,000 lines of a model that takes 200 ms, 32 lines in flight. The
limit is calls × latency ÷ concurrency; the model is a separate process, so that it does not share our interpreter. Two
runs side by side, in a process each, share the calls in flight: together they take twice the time of one.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.experiment.peer import PeerRun, run_peer
from shared.adapters.local.flow_runner import LocalFlowRunner
from shared.connections import Connection
from shared.ports import RunSpec
from shared.results import RunRecord

FLOW = """\
inputs:
  ticket: {type: string}
outputs:
  category: {type: string, reference: "${classify.output}"}
nodes:
- name: classify
  type: llm
  source: {type: code, path: classify.jinja2}
  inputs: {deployment_name: benchmark, temperature: 0, ticket: "${inputs.ticket}"}
  connection: aoai
  api: chat
"""
PROMPT = "# system:\nClassify the ticket as billing, login or other.\n\n# user:\n{{ticket}}\n"


@contextmanager
def latency_server(latency_ms: float) -> Iterator[str]:
    """The model's address."""
    command = [sys.executable, "-m", "benchmarks.latency_server", str(latency_ms)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.stdin.close()


def peer(flow: Path, data: Path, url: str, home: Path) -> float:
    """Seconds that `PFClient.run` takes with its own settings (4 worker processes), imports not counted."""
    done = run_peer([PeerRun("run", str(flow), str(data), {"ticket": "${data.ticket}"})], url, home)
    expected = len(data.read_text().splitlines())
    if len(done.outputs["run"]) != expected:
        raise SystemExit(f"PFClient.run completed {len(done.outputs['run'])} of {expected} lines")
    return done.seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1_000)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--in-flight", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3, help="warm runs; the median counts")
    parser.add_argument("--without-peer", action="store_true", help="leave PFClient.run out")
    wanted = parser.parse_args()
    ideal = wanted.lines * wanted.latency_ms / 1000 / wanted.in_flight
    whole = math.ceil(wanted.lines / wanted.in_flight) * wanted.latency_ms / 1000

    with tempfile.TemporaryDirectory() as folder, latency_server(wanted.latency_ms) as url:
        flow = Path(folder) / "flow"
        flow.mkdir()
        (flow / "flow.dag.yaml").write_text(FLOW)
        (flow / "classify.jinja2").write_text(PROMPT)
        lines = [{"ticket": f"Ticket {n}: I was charged twice."} for n in range(wanted.lines)]
        data = Path(folder) / "data.jsonl"
        data.write_text("".join(json.dumps(line) + "\n" for line in lines))

        # The clock stops when the run has ended.
        runner = LocalFlowRunner(Path(folder) / "home", grace_s=3_600, calls_in_flight=wanted.in_flight)

        def run(name: str, **changes: Any) -> RunRecord:
            spec = RunSpec(
                name=name,
                flow=flow,
                flow_digest="0" * 64,
                lines=lines,
                connections={"aoai": Connection("aoai", "azure", url, "benchmark")},
                concurrency=wanted.in_flight,
            )
            record = runner.start(replace(spec, **changes)).record
            assert record is not None
            assert record.failed_lines == 0, record.reason
            assert record.tokens.total == 21 * record.lines
            assert record.model_calls == record.lines
            return record

        seconds = []
        for number in range(1 + wanted.repeats):
            started = time.perf_counter()
            engine = run(f"run-{number}").engine
            seconds.append(time.perf_counter() - started)
        other = {"environment": {"ANOTHER": "process"}}
        run("warm", **other, lines=lines[:1])
        with ThreadPoolExecutor() as threads:
            started = time.perf_counter()
            both = threads.submit(run, "one", **other), threads.submit(run, "two")
            for ended in both:
                ended.result()
            together = time.perf_counter() - started
        runner.close()
        cold, warm = seconds[0], statistics.median(seconds[1:])
        rows = [("limit", 1, ideal), ("local, warm", 1, warm), ("local, cold", 1, cold), ("two runs", 2, together)]
        if not wanted.without_peer:
            rows.append(("PFClient.run", 1, peer(flow, data, url, Path(folder) / "promptflow")))

    load = os.getloadavg()[0]
    print(
        f"{wanted.lines:,} lines, {wanted.latency_ms:g} ms a call, {wanted.in_flight} in flight; "
        f"{os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}, {engine}"
    )
    print(f"{'':<16}{'seconds':>10}{'lines/s':>10}{'of the limit':>14}")
    for name, runs, taken in rows:
        print(f"{name:<16}{taken:>10.2f}{runs * wanted.lines / taken:>10.1f}{taken / runs / ideal:>13.2f}×")
    print(f"Warm runs: {', '.join(f'{taken:.2f}' for taken in seconds[1:])} s.", end=" ")
    print(f"In whole rounds of {wanted.in_flight} calls the limit is {whole:.2f} s.")


if __name__ == "__main__":
    main()

"""Part (b): a long run, and several at once, against what the calls in flight allow."""

from __future__ import annotations

from pathlib import Path

from benchmarks.experiment.long import write
from benchmarks.experiment.matrix import timed
from genaiops.lab import Lab, load

IN_FLIGHT = 32


def measure(folder: Path, sizes: tuple[int, ...], latency_ms: float) -> None:
    """Print seconds of the run beside the limit, for each number of lines; the first, small chain warms the workers."""
    print(f"(b) one `llm` node, against lines × latency ÷ {IN_FLIGHT} calls in flight")
    print(f"{'lines':<10}{'limit s':>10}{'run s':>10}{'of the limit':>14}{'whole chain s':>15}")
    with Lab() as bench:
        timed(bench, load(write(folder / "warm", 10)))
        for lines in sizes:
            ideal = lines * latency_ms / 1000 / IN_FLIGHT
            chain_s, results = timed(bench, load(write(folder / str(lines), lines)))
            (record,) = results.runs
            run_s = (record.ended_at - record.started_at).total_seconds()
            assert record.model_calls == lines, record
            print(f"{lines:<10,}{ideal:>10.2f}{run_s:>10.2f}{run_s / ideal:>13.2f}×{chain_s:>15.2f}")

"""Prints what whole experiments cost: `python -m benchmarks.experiment` (all four parts take about twenty minutes).

(a) 2 variants × 2 datasets × 3 lines with one evaluator each, cold and warm, beside `PFClient.run` one after the other;
(b) 1,000 and 10,000 lines against the limit of calls × latency ÷ calls in flight;
(c) re-evaluation after 1, 10 and 100 changed rows of 10,000;
(d) time and memory at 1,000, 10,000 and 100,000 lines.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
from pathlib import Path

from benchmarks.experiment import changes, limit, matrix, size
from benchmarks.experiment.peer import run_peer
from benchmarks.flow_runner import latency_server
from genaiops.lab import Lab, load


def small_experiments(url: str, scratch: Path, kinds: tuple[str, ...], *, repeats: int, peer: bool) -> None:
    """Part (a)."""
    print("(a) 2 variants × 2 datasets × 3 lines, one evaluator each: 8 runs, 24 calls")
    print(f"{'flow':<10}{'cold s':>8}{'warm s':>8}{'PFClient s':>12}{'cold':>8}{'warm':>8}  outputs and metrics")
    for kind in kinds:
        use_case = load(matrix.USE_CASES / kind)
        with Lab() as bench:
            cold, results = matrix.timed(bench, use_case)
            warm = statistics.median(matrix.timed(bench, use_case)[0] for _ in range(repeats))
        said = f"{kind:<10}{cold:>8.2f}{warm:>8.2f}"
        if not peer:
            print(said)
            continue
        theirs = run_peer(matrix.peer_runs(kind, scratch / f"{kind}-flows"), url, scratch / kind)
        unlike = matrix.differences(results, theirs)
        equal = "equal, line by line" if not unlike else f"{len(unlike)} differences, first: {unlike[0]}"
        print(f"{said}{theirs.seconds:>12.1f}{theirs.seconds / cold:>7.1f}×{theirs.seconds / warm:>7.1f}×  {equal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--latency-ms", type=float, default=200)
    parser.add_argument("--parts", default="abcd", help="which parts, for example `ac`")
    parser.add_argument("--kinds", default=",".join(matrix.KINDS), help="(a): which kinds of flow")
    parser.add_argument("--repeats", type=int, default=3, help="(a): warm runs; the median counts")
    parser.add_argument("--without-peer", action="store_true", help="(a): leave PFClient.run out")
    parser.add_argument("--lines", default="1000,10000", help="(b): numbers of lines")
    parser.add_argument("--rows", type=int, default=10_000, help="(c): rows of the dataset")
    parser.add_argument("--sizes", default="1000,10000,100000", help="(d): numbers of lines")
    wanted = parser.parse_args()
    load_before = os.getloadavg()[0]
    print(
        f"{wanted.latency_ms:g} ms a call, 32 calls in flight; {os.cpu_count()} cores, load {load_before:.1f} before, "
        f"Python {platform.python_version()}"
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        latency_server(wanted.latency_ms) as url,
        matrix.connected(url),
    ):
        scratch = Path(folder)
        if "a" in wanted.parts:
            small_experiments(
                url, scratch, tuple(wanted.kinds.split(",")), repeats=wanted.repeats, peer=not wanted.without_peer
            )
        if "b" in wanted.parts:
            limit.measure(scratch / "b", tuple(map(int, wanted.lines.split(","))), wanted.latency_ms)
        if "c" in wanted.parts:
            changes.measure(scratch / "c", wanted.rows)
        if "d" in wanted.parts:
            size.measure(scratch / "d", tuple(map(int, wanted.sizes.split(","))))


if __name__ == "__main__":
    main()

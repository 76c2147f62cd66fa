"""Part (c): what a re-evaluation costs after some rows of a long dataset were changed."""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.experiment.long import write
from genaiops.lab import Lab, load


def measure(folder: Path, rows: int) -> None:
    """Print calls and seconds of a chain over all rows, then of chains after 0, 1, 10 and 100 changed rows."""
    print(f"(c) re-evaluation of {rows:,} rows after changes: the run, its evaluation and the report")
    print(f"{'changed':<10}{'calls':>8}{'reused':>10}{'seconds':>10}")
    with Lab() as bench:
        for changed in (None, 0, 1, 10, 100):
            use_case = load(write(folder / "use_case", rows, changed=changed or 0))
            started = time.perf_counter()
            results = bench.run(use_case, sample=None)
            seconds = time.perf_counter() - started
            if not results.succeeded:
                raise SystemExit(f"The chain failed: {results.reason}")
            shown = "all" if changed is None else f"{changed:,}"
            print(f"{shown:<10}{results.model_calls:>8,}{results.reused_lines:>10,}{seconds:>10.2f}")

"""`python -m benchmarks.chains [--profile local] [--cells 100,900,10000]`: cost per cell, and chain events per second.

Each size is measured in a folder of its own, in one process, from small to large.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from benchmarks.chains import use_case
from benchmarks.chains.measuring import measure
from benchmarks.chains.worlds import WORLDS


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", choices=list(WORLDS), action="append", help="may be given twice; default: all")
    parser.add_argument("--cells", default="100,900", help="square numbers")
    arguments = parser.parse_args()
    sizes = [int(text) for text in arguments.cells.split(",")]
    print("One pr chain, request to report, flows that take no time")
    print(f"{'profile':<10}{'cells':>8}{'seconds':>10}{'ms/cell':>10}{'events':>9}{'events/s':>10}")
    for profile in arguments.profile or WORLDS:
        for cells in sizes:
            with tempfile.TemporaryDirectory() as scratch:
                home = Path(scratch)
                use_case.write(home / "app" / "flows", cells)
                os.environ["GENAIOPS_ROOT"] = str(home / "app")
                with WORLDS[profile](home, use_case.runner()) as ports:
                    done = measure(ports, use_case.NAME, home / "host")
            print(
                f"{profile:<10}{done.cells:>8,}{done.seconds:>10.1f}{done.ms_per_cell:>10.2f}{done.events:>9,}"
                f"{done.events / done.seconds:>10.0f}",
                flush=True,
            )


if __name__ == "__main__":
    main()

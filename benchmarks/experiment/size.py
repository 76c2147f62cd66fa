"""Part (d): time and memory of a whole chain by its number of lines, each in a process of its own, on the file store.

`python -m benchmarks.experiment.size FOLDER` runs one chain and prints its figures as JSON: the peak of this process is
that of everything but the workers, whose own peak is told beside it.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil

from benchmarks.experiment.long import write


def measure(folder: Path, sizes: tuple[int, ...]) -> None:
    """Print seconds and megabytes for each number of lines."""
    print("(d) a plain function and an evaluator over many lines, no model: request to report, on the file store")
    print(f"{'lines':<10}{'seconds':>9}{'lines/s':>9}{'main MB':>9}{'workers MB':>12}")
    for lines in sizes:
        use_case = write(folder / str(lines), lines, plain=True)
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.experiment.size", str(use_case)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{lines:,} lines failed:\n{done.stderr[-3000:]}")
        said = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{lines:<10,}{said['seconds']:>9.1f}{lines / said['seconds']:>9.0f}{said['main_mb']:>9.0f}"
            f"{said['workers_mb']:>12.0f}"
        )


def main() -> None:
    """Run one chain."""
    import threading

    from genaiops.lab import Lab, load
    from shared.adapters.local.blobs import FileBlobStore

    workers: dict[int, float] = {}
    ended = threading.Event()

    def watch() -> None:
        here = psutil.Process()
        while not ended.wait(0.2):
            for child in here.children(recursive=True):
                try:
                    workers[child.pid] = max(workers.get(child.pid, 0.0), child.memory_info().rss / 2**20)
                except psutil.Error:
                    continue

    threading.Thread(target=watch, daemon=True).start()
    use_case = load(sys.argv[1])
    started = time.perf_counter()
    with Lab(blobs=FileBlobStore(Path(sys.argv[1]).parent / f"store-{os.getpid()}")) as bench:
        results = bench.run(use_case, sample=None)
    seconds = time.perf_counter() - started
    ended.set()
    if not results.succeeded:
        raise SystemExit(results.reason)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": seconds, "main_mb": peak, "workers_mb": sum(workers.values())}))


if __name__ == "__main__":
    main()

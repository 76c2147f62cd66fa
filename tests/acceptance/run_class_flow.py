"""Runs one class flow with promptflow itself, in a process of its own: two flows may have modules of one name.

Reads one JSON object from standard input (flow, init, lines) and answers with a list: status, outputs and error of each
line. Once the flow is loaded, its folder is deleted: whatever it needs, it must have read. The product's own runner is
not used: this is what it is held to.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any


def main() -> None:
    from promptflow.executor import FlowExecutor

    answers, sys.stdout = sys.stdout, sys.stderr
    asked = json.load(sys.stdin)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "flow")
        shutil.copytree(asked["flow"], folder, ignore=shutil.ignore_patterns("__pycache__"))
        sys.path.insert(0, str(folder))
        executor = FlowExecutor.create(
            Path("flow.flex.yaml"), connections={}, working_dir=folder, init_kwargs=asked["init"], raise_ex=False
        )
        shutil.rmtree(folder)

        def line(numbered: tuple[int, dict[str, Any]]) -> Any:
            index, inputs = numbered
            return executor.exec_line(inputs, index=index, run_id="run")

        with ThreadPoolExecutor(4) as threads:
            results = list(threads.map(line, enumerate(asked["lines"])))
    lines = [
        {
            "status": result.run_info.status.value,
            "outputs": {name: result.output[name] for name in asked["outputs"]} if result.output else {},
            "error": (result.run_info.error or {}).get("message", ""),
        }
        for result in results
    ]
    print(json.dumps(lines), file=answers, flush=True)


if __name__ == "__main__":
    main()

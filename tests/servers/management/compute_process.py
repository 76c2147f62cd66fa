"""Azure ML's compute session: a process with prompt flow in it, which runs each order in a copy of itself.

An order names a snapshot, a file of lines, the mapping of their columns, variables and connections. What runs is what was
uploaded, by prompt flow's own batch engine; its results are written in the layout that Azure ML has. Nothing of this
repository is imported: the snapshot must bring whatever it needs.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import traceback
from dataclasses import asdict
from pathlib import Path
from typing import Any

BATCH = 25
"""Lines in one file of flow artifacts."""


def main() -> None:
    import promptflow.batch
    import promptflow.executor
    import promptflow.tools  # noqa: F401
    from promptflow._sdk.operations import _local_storage_operations  # noqa: F401

    print(json.dumps({"ready": True}), flush=True)
    running: dict[int, str] = {}
    orders = b""
    while True:
        ready, _, _ = select.select([0], [], [], 0.02 if running else None)
        if ready:
            data = os.read(0, 1 << 16)
            if not data:
                for pid in running:
                    os.killpg(pid, signal.SIGKILL)
                os._exit(0)  # threads of libraries keep nobody waiting
            *whole, orders = (orders + data).split(b"\n")
            for line in whole:
                take(json.loads(line), running)
        for pid in list(running):
            ended, status = os.waitpid(pid, os.WNOHANG)
            if ended:
                print(json.dumps({"run": running.pop(pid), "code": os.waitstatus_to_exitcode(status)}), flush=True)


def take(order: dict[str, Any], running: dict[int, str]) -> None:
    if "cancel" in order:
        for pid, name in running.items():
            if name == order["cancel"]:
                os.killpg(pid, signal.SIGKILL)
        return
    pid = os.fork()
    if pid:
        running[pid] = order["run"]
        return
    os.setsid()
    output = Path(order["output"])
    log = os.open(output / "run.log", os.O_WRONLY | os.O_CREAT)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    code = 0
    try:
        (output / "result.json").write_text(json.dumps(run(order, output)), encoding="utf-8")
    except BaseException:
        traceback.print_exc()
        code = 1
    sys.stdout.flush()
    os._exit(code)


def run(order: dict[str, Any], output: Path) -> dict[str, Any]:
    from promptflow._utils.exception_utils import ExceptionPresenter
    from promptflow.batch import BatchEngine

    os.environ.update(order["environment"])
    os.chdir(order["snapshot"])
    storage = Storage(output)
    (output / "flow_outputs").mkdir()
    try:
        engine = BatchEngine(
            Path(order["flow_file"]),
            Path(order["snapshot"]),
            connections=order["connections"],
            storage=storage,
            batch_use_async=True,  # in this process: a pool of further ones would cost seconds
            worker_count=4,
        )
        result = engine.run({"data": order["data"]}, order["mapping"], output / "flow_outputs", run_id=order["run"])
    except Exception as error:
        traceback.print_exc()
        document = ExceptionPresenter.create(error).to_dict()
        return {"status": "Failed", "error": {"error": document}}
    storage.finish()
    system = {"__pf__.lines.completed": result.completed_lines, "__pf__.lines.failed": result.failed_lines}
    metrics = {name: value for name, value in result.metrics.items() if isinstance(value, int | float)}
    return {"status": result.status.value, "metrics": metrics, "system_metrics": system}


class Storage:
    """Writes the artifacts of lines and nodes as Azure ML lays them out."""

    def __init__(self, output: Path) -> None:
        self._output = output

    def persist_node_run(self, info: Any) -> None:
        from promptflow._sdk.operations._local_storage_operations import NodeRunRecord

        record = NodeRunRecord.from_run_info(info)
        self._append(f"node_artifacts/{info.node}/{record.line_number or 0:09d}.jsonl", record)

    def persist_flow_run(self, info: Any) -> None:
        from promptflow._sdk.operations._local_storage_operations import LineRunRecord

        if info.end_time is None:  # it is told of a line's beginning, too, and that is not written down
            return
        first = info.index // BATCH * BATCH
        record = LineRunRecord.from_flow_run_info(info)
        self._append(f"flow_artifacts/{first:09d}_{first + BATCH - 1:09d}.jsonl", record)

    def _append(self, name: str, record: Any) -> None:
        path = self._output / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(asdict(record), default=str) + "\n")

    def finish(self) -> None:
        (self._output / "meta.json").write_text(json.dumps({"batch_size": BATCH}), encoding="utf-8")
        with (self._output / "instance_results.jsonl").open("w", encoding="utf-8") as stream:
            for file in sorted((self._output / "flow_artifacts").glob("*.jsonl")):
                for line in file.read_text(encoding="utf-8").splitlines():
                    info = json.loads(line)["run_info"]
                    inputs = {f"inputs.{name}": value for name, value in (info["inputs"] or {}).items()}
                    row = {"line_number": info["index"], "status": info["status"], **inputs, **(info["output"] or {})}
                    stream.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()

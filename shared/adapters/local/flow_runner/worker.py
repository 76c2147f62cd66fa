"""The worker process: loads one flow once and runs its lines; started by `process.py`, ended by its parent's end.

Orders come on the standard input and answers leave on what was the standard output; both are moved aside before any
flow code is loaded, so that a flow may print and read as it likes.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import threading
import time
from collections import OrderedDict
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO, Final, NoReturn

from shared.adapters.local import promptflow_engine
from shared.adapters.local.flow_runner import isolation, model_calls, protocol, scheduling
from shared.adapters.local.flow_runner.lines import LineRun
from shared.adapters.local.flow_runner.reasons import load_error
from shared.connections import Connection
from shared.redaction import Redaction

_BEAT_S: Final = 1.0
_TICK_S: Final = 0.05
_EXECUTORS_KEPT: Final = 16


class Worker:
    """The process's state: one flow, its executors by choice of variants and parameters, and the runs under way."""

    def __init__(self, answers: BinaryIO, scratch: Path) -> None:
        self._answers = answers
        self._scratch = scratch
        self._lock = threading.Lock()
        self._runs: dict[str, LineRun] = {}
        self._executors: OrderedDict[str, tuple[Any, list[str]]] = OrderedDict()
        self._loads: SimpleQueue[protocol.Message] = SimpleQueue()
        self._flow = Path()
        self._connections: dict[str, Connection] = {}
        self._redacted = Redaction()
        self._made = 0

    def send(self, message: protocol.Message) -> None:
        """Answer; whole messages only, whichever thread asks."""
        data = protocol.encode(message)
        with self._lock:
            self._answers.write(data)
            self._answers.flush()

    def serve(self, orders: BinaryIO) -> None:
        """Handle orders until the parent goes."""
        for target in (self._load_in_turn, self._watch, self._beat):
            threading.Thread(target=target, name=target.__name__, daemon=True).start()
        while (order := protocol.read(orders)) is not None:
            match order["do"]:
                case "load" | "run":
                    self._loads.put(order)
                case "line":
                    self._runs[order["run"]].line(order["line"], order["inputs"])
                case "kept":
                    self._runs[order["run"]].collect(order["kept"])
                case "aggregate":
                    threading.Thread(target=self._runs[order["run"]].aggregate, name="aggregate", daemon=True).start()
                case "stop":
                    self.send({"is": "stopped", "run": order["run"], "busy": self._runs.pop(order["run"]).stop()})
                case unknown:
                    raise ValueError(f"unknown order {unknown!r}")

    def _load_in_turn(self) -> None:
        # One thread makes all executors: prompt flow changes the working directory and sys.path while it loads.
        while True:
            order = self._loads.get()
            run = {"run": order["run"]} if "run" in order else {}
            try:
                if order["do"] == "load":
                    self._load(order)
                    self.send({"is": "loaded"})
                else:
                    self._start(order)
            except BaseException as error:  # the flow's modules run here: they may raise anything, SystemExit too
                self.send({"is": "unusable", **run, "reason": self._redacted(load_error(error))[:4_000]})

    def _load(self, order: protocol.Message) -> None:
        self._flow = Path(order["flow"])
        self._connections = {c["name"]: Connection(**c) for c in order["connections"]}
        self._redacted = Redaction(self._connections.values())
        os.environ.update(order["environment"])
        for name, value in (promptflow_engine.read_dag(self._flow).get("environment_variables") or {}).items():
            if name not in order["environment"]:
                os.environ[name] = self._referenced(str(value))
        os.chdir(self._flow)
        sys.dont_write_bytecode = True  # the flow's folder belongs to a bundle that nobody changes
        # The flow's modules may have any name, `shared` too: from here on ours are out of their way.
        root = str(Path(__file__).parents[4])
        sys.path[:] = [str(self._flow), *(p for p in sys.path if p not in ("", root, str(self._scratch)))]
        for name in [n for n in sys.modules if n == "shared" or n.startswith("shared.")]:
            del sys.modules[name]

    def _referenced(self, value: str) -> str:
        """`${connection.key}` in a flow's environment variables is that key of the connection."""
        if value.startswith("${") and value.endswith("}"):
            name, _, key = value[2:-1].partition(".")
            if name in self._connections:
                return str(getattr(self._connections[name], key, value))
        return value

    def _start(self, order: protocol.Message) -> None:
        executor, models = self._executor(order["variants"], order["parameters"])
        run = LineRun(order["run"], executor, order, self.send, self._redacted)
        self._runs[order["run"]] = run
        self.send({"is": "ready", "run": order["run"], "models": models, "aggregates": run.aggregates})

    def _executor(self, variants: dict[str, str], parameters: dict[str, Any]) -> tuple[Any, list[str]]:
        from promptflow.executor import FlowExecutor
        from ruamel.yaml import YAML

        choice = repr((sorted(variants.items()), sorted((k, repr(v)) for k, v in parameters.items())))
        if choice in self._executors:
            self._executors.move_to_end(choice)
            return self._executors[choice]
        dag = promptflow_engine.materialised_dag(self._flow, variants, parameters)
        models = promptflow_engine.used_connections(dag, self._connections)
        self._made += 1
        file = self._scratch / f"{self._made}.dag.yaml"
        with file.open("w", encoding="utf-8") as stream:
            YAML().dump(dag, stream)
        executor = FlowExecutor.create(
            file,
            promptflow_engine.engine_connections(self._connections),
            working_dir=self._flow,
            raise_ex=False,
            env_exporter_setup=False,
        )
        file.unlink()
        self._executors[choice] = executor, models
        if len(self._executors) > _EXECUTORS_KEPT:
            self._executors.popitem(last=False)
        return executor, models

    def _watch(self) -> None:
        while True:
            time.sleep(_TICK_S)
            now = time.monotonic()
            for run in list(self._runs.values()):
                run.expire(now)

    def _beat(self) -> None:
        # Without these the parent could not tell a long line from a process that holds the interpreter for ever.
        while True:
            time.sleep(_BEAT_S)
            self.send({"is": "beat"})


def _die_with_parent(parent: int) -> None:
    """Let Linux kill this process when the parent's thread ends; elsewhere the end of the pipe does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def main(parent: int, scratch: Path) -> NoReturn:
    """Serve the parent until it goes."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    _die_with_parent(parent)
    worker = Worker(answers, scratch)
    try:
        from promptflow._version import VERSION
        from promptflow.executor import FlowExecutor  # noqa: F401  # the import that takes seconds

        isolation.streams_per_thread()
        isolation.quiet()
        isolation.metrics_per_run()
        model_calls.install()
        scheduling.run_lone_nodes_in_place()
        gc.freeze()  # what was imported stays: no collection need look at its 200,000 objects again
    except ImportError as error:
        worker.send({"is": "unusable", "reason": f"prompt flow itself cannot be imported: {load_error(error)}"})
        os._exit(1)
    worker.send({"is": "hello", "engine": f"promptflow {VERSION}"})
    worker.serve(orders)
    os._exit(0)  # not sys.exit: threads of hanging lines would keep the process


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))

"""The worker process: loads one flow once and runs its lines; it ends with its parent.

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

from shared.adapters.local.engines import isolation, promptflow_hooks, scheduling
from shared.adapters.local.engines.after_import import AfterImport
from shared.adapters.local.engines.contract import Engine, Executable, FlowSource
from shared.adapters.local.engines.lean_import import import_promptflow
from shared.adapters.local.engines.load import load, set_environment, step_aside
from shared.adapters.local.engines.promptflow_hooks import Connections
from shared.adapters.local.engines.reasons import load_error
from shared.adapters.local.flow_runner import model_calls, protocol
from shared.adapters.local.flow_runner.lines import LineRun
from shared.adapters.local.flow_runner.places import Places
from shared.connections import Connection
from shared.redaction import Redaction

_BEAT_S: Final = 1.0
_TICK_S: Final = 0.05
_EXECUTABLES_KEPT: Final = 16


class Worker:
    """The process's state: one flow, its executables by choice of variants and parameters, and the runs under way."""

    def __init__(self, answers: BinaryIO, scratch: Path) -> None:
        self._answers = answers
        self._scratch = scratch
        self._lock = threading.Lock()
        self._runs: dict[str, LineRun] = {}
        self._engine: Engine | None = None
        self._executables: OrderedDict[str, Executable] = OrderedDict()
        self._loads: SimpleQueue[protocol.Message] = SimpleQueue()
        self._redacted = Redaction()
        self._for_engine = Connections()
        self._places = Places(self.send)

    def watch_imports(self) -> None:
        """Change what must be changed in prompt flow and in the openai client, once something imports them."""
        imports = AfterImport()
        imports.install()
        isolation.watch(imports)
        scheduling.watch(imports)
        model_calls.install(imports, self._places)
        promptflow_hooks.watch(imports, self._for_engine)

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
                case "go":
                    self._places.go(order["ticket"])
                case "line":
                    self._runs[order["run"]].line(order["line"], order["inputs"])
                case "kept":
                    self._runs[order["run"]].collect(order)
                case "aggregate":
                    threading.Thread(target=self._runs[order["run"]].aggregate, name="aggregate", daemon=True).start()
                case "stop":
                    self.send({"is": "stopped", "run": order["run"], "busy": self._runs.pop(order["run"]).stop()})
                case unknown:
                    raise ValueError(f"unknown order {unknown!r}")

    def _load_in_turn(self) -> None:
        # One thread makes all executables: prompt flow changes the working directory and sys.path while it loads.
        while True:
            order = self._loads.get()
            run = {"run": order["run"]} if "run" in order else {}
            try:
                if order["do"] == "load":
                    self._load(order)
                else:
                    self._start(order)
            except BaseException as error:  # the flow's modules run here: they may raise anything, SystemExit too
                self.send({"is": "unusable", **run, "reason": self._redacted(load_error(error))[:4_000]})

    def _load(self, order: protocol.Message) -> None:
        connections = {c["name"]: Connection(**c) for c in order["connections"]}
        root = Path(order["root"]) if order["root"] is not None else None
        source = FlowSource(Path(order["flow"]), order["flow_file"], connections, self._scratch)
        self._redacted = Redaction(connections.values(), order["environment"])
        self._places.in_flight = order["calls_in_flight"]
        self._for_engine.set(connections)
        set_environment(source, order["environment"])
        step_aside(source, order["package"], root, not_from=[str(self._scratch)])
        self._engine = load(source)
        gc.freeze()  # what was imported stays: no collection need look at its 200,000 objects again
        self.send({"is": "loaded", "engine": self._engine.name})

    def _start(self, order: protocol.Message) -> None:
        executable = self._executable(order["variants"], order["parameters"])
        run = LineRun(order["run"], executable, order, self.send, self._redacted)
        self._runs[order["run"]] = run
        models = list(executable.connections)
        self.send({"is": "ready", "run": order["run"], "models": models, "aggregates": run.aggregates})

    def _executable(self, variants: dict[str, str], parameters: dict[str, Any]) -> Executable:
        assert self._engine is not None
        choice = repr((sorted(variants.items()), sorted((k, repr(v)) for k, v in parameters.items())))
        if choice not in self._executables:
            self._executables[choice] = self._engine.executable(variants, parameters)
            if len(self._executables) > _EXECUTABLES_KEPT:
                self._executables.popitem(last=False)
        self._executables.move_to_end(choice)
        return self._executables[choice]

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


def die_with_parent(parent: int) -> None:
    """Let Linux kill this process when the parent's thread ends; elsewhere the end of the pipe does."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    if os.getppid() != parent:  # it died before the line above
        os._exit(0)


def main(parent: int, scratch: Path, preload: str) -> NoReturn:
    """Serve the parent until it goes. `preload` is `promptflow` to import it at once, else only a flow does."""
    orders, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    die_with_parent(parent)
    worker = Worker(answers, scratch)
    isolation.streams_per_thread()
    worker.watch_imports()
    if preload == "promptflow":
        try:
            import_promptflow()
        except ImportError as error:
            worker.send({"is": "unusable", "reason": f"prompt flow itself cannot be imported: {load_error(error)}"})
            os._exit(1)
    worker.send({"is": "hello"})
    worker.serve(orders)
    os._exit(0)  # not sys.exit: threads of hanging lines would keep the process


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])

"""The runner's handle on one worker process: talking to it, and knowing why it ended.

Three threads serve each worker: one reads its answers and hands them to the runs they name, and never writes, so that
the worker never waits for it; one tells it which calls of models may be made; one drains what the flow prints and keeps
the end of it, so that a flow that prints 100 MB neither blocks nor fills memory.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

from shared.adapters.local.engines.environment import declared_environment
from shared.adapters.local.flow_runner import protocol
from shared.adapters.local.flow_runner.limits import CallLimits
from shared.adapters.local.flow_runner.start import Started
from shared.errors import BusinessFailure, Transient
from shared.ports import RunSpec
from shared.redaction import Redaction

_START_S: Final = 180.0
"""For importing prompt flow on a busy machine, and for loading a flow."""
_GRACE_S: Final = 15.0
_TAIL: Final = 8 * 1024
"""Bytes of a worker's output that are kept."""


_one_large = threading.BoundedSemaphore()
"""Held from before a large answer is read until its run has stored it: memory is for one, not for one of each worker
and of each line in flight."""


class WorkerDied(Exception):
    """The process ended, or was ended, while it was needed."""


class Session:
    """One run's share of a worker."""

    def __init__(self, worker: WorkerProcess, name: str, line_timeout_s: float) -> None:
        self.worker = worker
        self.name = name
        self.line_timeout_s = line_timeout_s
        self.answers: SimpleQueue[protocol.Message | None] = SimpleQueue()
        self._has_large = False

    def send(self, do: str, **values: object) -> None:
        """Order something of this run. Raises WorkerDied, and what `protocol.encode` raises."""
        self.worker.send({"do": do, "run": self.name, **values})

    def next(self, timeout_s: float | None = None) -> protocol.Message | None:
        """The next answer; None after `timeout_s` seconds. Raises WorkerDied."""
        self.taken()
        try:
            answer = self.answers.get(timeout=timeout_s)
        except Empty:
            return None
        if answer is None:
            raise WorkerDied(self.worker.death())
        self._has_large = answer.get("large", False)
        return answer

    def taken(self) -> None:
        """The last answer is stored, or of no use: where it was a large one, another may be read."""
        if self._has_large:
            self._has_large = False
            _one_large.release()

    def end(self) -> None:
        """Drop what is left of the answers. No more may come."""
        self.taken()
        with contextlib.suppress(Empty):
            while True:
                left = self.answers.get_nowait()
                self._has_large = left is not None and left.get("large", False)
                self.taken()


class WorkerProcess:
    """A worker, in the process that it is given."""

    def __init__(self, process: Started, scratch: Path, limits: CallLimits) -> None:
        self._process = process
        self.scratch = scratch
        self.flow: Path | None = None
        self.engine = ""
        """What runs its flow, with its version; known once a flow is loaded."""
        self._is_up = False
        self._limits = limits
        self._admitted: SimpleQueue[int | None] = SimpleQueue()
        self.last_heard = time.monotonic()
        self._sessions: dict[str, Session] = {}
        self._control: SimpleQueue[protocol.Message | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._delivering = threading.Lock()
        """An answer is put before its run is forgotten, or not at all. Never held while anything waits."""
        self._redacted = Redaction()
        self._tail = b""
        self._killed_because = ""
        self._ended = False
        self._drain = threading.Thread(target=self._drain_output, name="worker-output", daemon=True)
        self._drain.start()
        threading.Thread(target=self._read_answers, name="worker-answers", daemon=True).start()
        threading.Thread(target=self._admit, name="worker-calls", daemon=True).start()

    @property
    def alive(self) -> bool:
        """Whether it can still answer."""
        return not self._ended

    def load(self, spec: RunSpec) -> None:
        """Wait until the process is up and have it load the flow.

        Raises:
            BusinessFailure: the engine or the flow cannot be loaded, or the process ended while it did.
            Transient: it takes too long.
        """
        if not self._is_up:
            self._controlled("start")
            self._is_up = True
        self.flow = spec.flow.absolute()
        order: protocol.Message = {
            "do": "load",
            "flow": str(self.flow),
            "flow_file": spec.flow_file,
            "package": spec.package,
            "root": str(spec.root.absolute()) if spec.root is not None else None,
            "environment": {**declared_environment(spec.flow, spec.flow_file), **spec.environment},
            "connections": [vars(connection) for connection in spec.connections.values()],
            "calls_in_flight": self._limits.in_flight,
        }
        self._redacted = Redaction(spec.connections.values(), order["environment"])
        try:
            self.send(order)
        except WorkerDied as death:
            raise BusinessFailure(f"The flow {spec.flow.name!r} cannot be run: {death}.") from death
        self.engine = str(self._controlled(f"load the flow {spec.flow.name!r}")["engine"])

    def _controlled(self, what: str) -> protocol.Message:
        try:
            answer = self._control.get(timeout=_START_S)
        except Empty:
            self.kill(f"it took longer than {_START_S:g} s to {what}")
            raise Transient(f"A flow worker took longer than {_START_S:g} s to {what}. Is the machine busy?") from None
        if answer is None:
            raise BusinessFailure(f"A flow worker cannot {what}: {self.death()}.")
        if answer["is"] == "unusable":
            raise BusinessFailure(f"A flow worker cannot {what}: {answer['reason']}.")
        return answer

    def open(self, name: str, spec: RunSpec, concurrency: int) -> tuple[Session, protocol.Message]:
        """Begin a run; returns its session and the worker's answer `ready`.

        Raises:
            BusinessFailure: the flow cannot be loaded with these variants and parameters.
            WorkerDied: the process ended.
        """
        session = Session(self, name, spec.line_timeout_s)
        with self._lock:
            self._sessions[name] = session
            if self._ended:
                session.answers.put(None)
        session.send(
            "run",
            variants=dict(spec.variants),
            parameters=dict(spec.parameters),
            concurrency=concurrency,
            line_timeout_s=spec.line_timeout_s,
            aggregate=spec.aggregate,
        )
        ready = session.next(_START_S)
        if ready is None:
            self.kill(f"it took longer than {_START_S:g} s to load the flow")
            raise BusinessFailure(f"The flow {spec.flow.name!r} did not load within {_START_S:g} s.")
        if ready["is"] == "unusable":
            raise BusinessFailure(f"The flow {spec.flow.name!r} cannot be loaded: {ready['reason']}.")
        return session, ready

    def forget(self, session: Session) -> None:
        """Deliver no more answers of that run."""
        with self._lock, self._delivering:
            self._sessions.pop(session.name, None)
        session.end()

    def send(self, message: protocol.Message) -> None:
        """Send an order. Raises WorkerDied, and what `protocol.encode` raises."""
        data = protocol.encode(message)
        assert self._process.stdin is not None
        try:
            with self._lock:
                self._process.stdin.write(data)
                self._process.stdin.flush()
        except (OSError, ValueError) as error:
            raise WorkerDied(self.death()) from error

    def go(self, ticket: int) -> None:
        """Let the worker make that call."""
        # Another thread writes it: this may be the one that reads another worker's answers, and a worker that does not
        # take its orders must keep nobody else waiting.
        self._admitted.put(ticket)

    def _admit(self) -> None:
        with contextlib.suppress(WorkerDied):
            while (ticket := self._admitted.get()) is not None:
                self.send({"do": "go", "ticket": ticket})

    def is_stuck(self, now: float) -> bool:
        """Whether it has been silent for longer than any of its lines may take: something holds the interpreter."""
        sessions = list(self._sessions.values())
        return bool(sessions) and now - self.last_heard > _GRACE_S + max(s.line_timeout_s for s in sessions)

    def kill(self, because: str) -> None:
        """End it at once; `because` is what its runs are told. Safe to call again."""
        if not self._killed_because:
            self._killed_because = because
        if self._process.poll() is None:
            self._kill_group()

    def _kill_group(self) -> None:
        # Not the worker alone: a flow may have started processes, and they would be left to nobody.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def death(self) -> str:
        """Why it ended, with the end of what it printed."""
        if self._killed_because:
            return self._killed_because
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "its process closed its pipes"
        self._drain.join(timeout=2)
        if code < 0:
            reason = f"its process was ended by {signal.Signals(-code).name}"
            if code == -signal.SIGKILL:
                reason += " (perhaps for want of memory)"
        else:
            reason = f"its process ended by itself with exit code {code}"
        # Keys are taken out before the text is cut: half a key at its beginning could not be told any more. The tail
        # itself may begin with half a key, but is much longer than what is shown of it.
        printed = " ".join(self._redacted(self._tail.decode("utf-8", errors="replace")).split())[-600:]
        return f"{reason}; it last printed: {printed}" if printed else f"{reason} and printed nothing"

    def _read_answers(self) -> None:
        assert self._process.stdout is not None
        holds = False

        def announced(length: int) -> None:
            nonlocal holds
            if length > protocol.LARGE:
                _one_large.acquire()
                holds = True

        try:
            while (message := protocol.read(self._process.stdout, announced)) is not None:
                answer = protocol.checked(message)
                answer["large"] = holds
                del message
                if self._take(answer):
                    holds = False
                elif holds:
                    holds = False
                    _one_large.release()
                del answer  # not kept until the next one comes
        except Exception as error:  # the flow wrote into the pipe: nothing that follows can be told apart
            self.kill(f"something other than its worker wrote into the pipe of its answers ({error})")
        finally:  # whatever happened: nobody must wait for an answer that will not come
            if holds:
                _one_large.release()
            self._close()

    def _take(self, answer: protocol.Message) -> bool:
        """Hand it on; whether a run has it now."""
        self.last_heard = time.monotonic()
        match answer:
            case {"is": "ask", "ticket": ticket, "endpoint": endpoint}:
                self._limits.ask(self, ticket, endpoint)
            case {"is": "back", "ticket": ticket}:
                self._limits.back(self, ticket)
            case {"is": "beat"}:
                pass
            case {"run": name}:
                with self._delivering:
                    session = self._sessions.get(name)
                    if session is not None:
                        session.answers.put(answer)
                        return True
            case _:
                self._control.put(answer)
        return False

    def _close(self) -> None:
        try:
            # It closed its pipe, so whatever is left of it is of no use. Given a moment, it tells its own exit code.
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)
            self._kill_group()
            self._process.wait()
        finally:
            with self._lock:
                self._ended = True
                for session in self._sessions.values():
                    session.answers.put(None)
            self._control.put(None)
            self._limits.forget(self)
            self._admitted.put(None)

    def _drain_output(self) -> None:
        assert self._process.stderr is not None
        while data := os.read(self._process.stderr.fileno(), 1 << 16):
            self._tail = (self._tail + data)[-_TAIL:]

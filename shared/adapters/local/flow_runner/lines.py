"""Inside the worker: the lines of one run in parallel threads, each with its own deadline and meter, and its metrics.

A thread cannot be stopped in Python: a line past its deadline is answered as failed, its thread is left behind and
replaced, and the run says at its end how many were left, so that the runner replaces the whole process.
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, Final

from shared.adapters.local.engines.contract import Aggregation, Executable
from shared.adapters.local.engines.isolation import forget_captured
from shared.adapters.local.engines.kept import packed, unpacked
from shared.adapters.local.engines.metrics import numbers
from shared.adapters.local.engines.reasons import described, plain
from shared.adapters.local.flow_runner import protocol
from shared.adapters.local.flow_runner.model_calls import Meter, current
from shared.redaction import Redaction

Send = Callable[[protocol.Message], None]
_LONGEST_ERROR: Final = 4_000


@dataclass
class _Active:
    line: int
    meter: Meter
    thread: threading.Thread
    started: float = field(default_factory=time.monotonic)


class LineRun:
    """One run of one executable. `line` may be called for the next lines while earlier ones are under way."""

    def __init__(
        self, name: str, executable: Executable, order: protocol.Message, send: Send, redacted: Redaction
    ) -> None:
        self._name = name
        self._executable = executable
        self._timeout_s = float(order["line_timeout_s"])
        self._concurrency = int(order["concurrency"])
        self.aggregates = bool(order["aggregate"] and executable.aggregates)
        self._send = send
        self._redacted = redacted
        self._waiting: SimpleQueue[tuple[int, Mapping[str, Any]] | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._active: dict[int, _Active] = {}
        self._threads = 0
        self._queued = 0
        """Lines that wait for a thread. The queue's size says less: a thread may have taken one and not begun it."""
        self._left_behind: list[threading.Thread] = []
        self._stopped = False
        self._collected: list[dict[str, Any]] = []

    def line(self, number: int, inputs: Mapping[str, Any]) -> None:
        """Run a line as soon as a thread is free."""
        with self._lock:
            self._waiting.put((number, inputs))
            self._queued += 1
            if self._threads < self._concurrency and self._threads - len(self._active) < self._queued:
                self._start_thread()

    def _start_thread(self) -> None:
        self._threads += 1
        threading.Thread(target=self._work, name=f"{self._name}-line", daemon=True).start()

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            number, inputs = item
            active = _Active(number, Meter(self._timeout_s), threading.current_thread())
            with self._lock:
                if self._stopped:
                    return
                self._queued -= 1
                self._active[number] = active
            # A context of its own: prompt flow makes context variables for every line; a thread would keep them all.
            answer = contextvars.copy_context().run(self._execute, active, inputs)
            with self._lock:
                if active.meter.abandoned.is_set():  # it was given up meanwhile, and this thread replaced
                    return
                del self._active[number]
            self._answer(answer)

    def _execute(self, active: _Active, inputs: Mapping[str, Any]) -> protocol.Message:
        current.set(active.meter)
        forget_captured()
        try:
            result = self._executable.line(inputs, active.line, self._name)
            answer = {"ok": True, "outputs": plain(result.outputs), **self._facts(active)}
            if self.aggregates and result.kept is not None:
                # The runner keeps it: this process may end before the run does.
                answer |= packed(result.kept)
        except SystemExit as error:
            return self._failed(active, f"The flow called sys.exit({error.code!r}): a node must return or raise.")
        except BaseException as error:  # a line may raise anything; the process must stay
            return self._failed(active, described(error))
        return answer

    def _facts(self, active: _Active) -> protocol.Message:
        meter = active.meter
        return {
            "is": "done",
            "run": self._name,
            "line": active.line,
            # Waiting for a place among the calls in flight says nothing about the flow.
            "latency_ms": max(0.0, time.monotonic() - active.started - meter.waits.seconds) * 1000,
            "prompt_tokens": meter.prompt_tokens,
            "completion_tokens": meter.completion_tokens,
            "retries": meter.retries,
            "model_calls": meter.model_calls,
        }

    def _failed(self, active: _Active, error: str) -> protocol.Message:
        return {"ok": False, "error": self._redacted(error)[:_LONGEST_ERROR], **self._facts(active)}

    def _answer(self, answer: protocol.Message) -> None:
        try:
            self._send(answer)
        except Exception as error:
            # The line is no longer among those that expire: whatever is wrong with its answer, one must be given.
            too_large = isinstance(error, protocol.TooLarge)
            reason = f"are too large: {error}" if too_large else f"cannot be passed on: {described(error)}"
            small = {key: value for key, value in answer.items() if key not in ("outputs", "kept", "aggregated")}
            told = self._redacted(f"The line's outputs {reason}.")[:_LONGEST_ERROR]
            self._send({**small, "ok": False, "error": told})

    def expire(self, now: float) -> None:
        """Give up the lines whose time is over."""
        with self._lock:
            late = [active for active in self._active.values() if active.meter.deadline <= now]
            waited = [active.meter.waits.told for active in late]  # given up, they wait no more
            for active in late:
                active.meter.abandon()
                del self._active[active.line]
                self._left_behind.append(active.thread)
                self._threads -= 1
            for _ in range(min(len(late), self._queued)):
                self._start_thread()
        for active, told in zip(late, waited, strict=True):
            self._answer(self._failed(active, f"The line timed out: it took longer than {self._timeout_s:g} s.{told}"))

    def stop(self) -> int:
        """End the run; lines under way are abandoned. Returns how many threads are still busy."""
        with self._lock:
            self._stopped = True
            busy = [active.thread for active in self._active.values()]
            for active in self._active.values():
                active.meter.abandon()
            self._active.clear()
            for _ in range(self._threads):
                self._waiting.put(None)
        return sum(thread.is_alive() for thread in (*busy, *self._left_behind))

    # ------------------------------------------------------------------------------------------------- aggregation

    def collect(self, kept: protocol.Message) -> None:
        """Take what the aggregation needs of one line, in line order: of this run, or of an earlier one."""
        self._collected.append(unpacked(kept))

    def aggregate(self) -> None:
        """Make metrics of the collected lines and answer with them."""
        metrics: dict[str, float] = {}
        error = ""
        meter = Meter(24 * 3600.0)

        def run() -> Aggregation:
            current.set(meter)
            return self._executable.aggregate(self._collected, self._name)

        try:
            aggregation = contextvars.copy_context().run(run)
            metrics, wrong = numbers(aggregation.metrics)
            error = aggregation.error or wrong
        except BaseException as raised:
            error = described(raised)
        self._send(
            {
                "is": "metrics",
                "run": self._name,
                "metrics": metrics,
                "error": self._redacted(error)[:_LONGEST_ERROR],
                "prompt_tokens": meter.prompt_tokens,
                "completion_tokens": meter.completion_tokens,
                "retries": meter.retries,
                "model_calls": meter.model_calls,
            }
        )

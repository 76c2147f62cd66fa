"""One run, from its first line to its record: it feeds a worker, spools what comes back and survives the worker's end.

Where a process ends in the middle, nobody can tell which of the lines under way ended it. So the run goes on in a
process of its own and tries those lines one at a time; a line that ends its process alone is the culprit and fails, the
others complete. Other runs that shared the process do the same, each by itself.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

from shared.adapters.local.flow_runner import protocol
from shared.adapters.local.flow_runner.known import may_aggregate
from shared.adapters.local.flow_runner.pool import Pool
from shared.adapters.local.flow_runner.process import Session, WorkerDied, WorkerProcess
from shared.adapters.local.flow_runner.spool import Spool
from shared.adapters.local.flow_runner.summary import Summary
from shared.errors import BusinessFailure, Transient
from shared.nesting import DEEPEST, is_deeper
from shared.ports import RunSpec, RunStatus
from shared.redaction import Redaction
from shared.results import LineRecord, LineStatus, RunRecord, Tokens

_MOST_DEATHS: Final = 5
"""After so many ended processes the run is given up: the flow does it always, not on a line."""
_AGGREGATION_S: Final = 600.0
_STOP_S: Final = 5.0
_GRACE_S: Final = 30.0
"""On top of the time that a line may take: for the answer to come from a busy machine."""


class Drive:
    """A run under way. `run` is called once; `cancel` from any thread."""

    _spool: Spool

    def __init__(self, spec: RunSpec, pool: Pool) -> None:
        self._spec = spec
        self._pool = pool
        self._redacted = Redaction(spec.connections.values(), spec.environment)
        self._source: Iterator[tuple[int, Mapping[str, object]]] = spec.numbered_lines()
        self._exhausted = False
        self._has_known = False
        """Whether the spool holds what the aggregation needs of the known lines."""
        self._concurrency = _in_flight(spec.concurrency, pool.limits.in_flight)
        self._pending: dict[int, Mapping[str, object]] = {}
        self._suspects: deque[tuple[int, Mapping[str, object]]] = deque()
        self._deaths = 0
        self._ended = 0
        self._summary = Summary(spec)
        self._session: Session | None = None
        self._cancelled = threading.Event()
        self._is_worn = False
        """Whether the worker must be replaced after this run: threads of its lines are stuck in it."""

    def cancel(self) -> None:
        """End the run as cancelled; lines under way are given up."""
        self._cancelled.set()
        session = self._session
        if session is not None:
            session.answers.put({"is": "cancelled"})
        self._pool.wake()

    def run(self, spool: Spool) -> tuple[RunStatus, RunRecord]:
        """Run all lines and the aggregation. Raises as `FlowRunner.start`."""
        self._spool = spool
        started = datetime.now(UTC)
        needs_worker = not self._is_all_known()
        while needs_worker and not self._cancelled.is_set():
            lease = self._pool.acquire(self._spec, private=self._deaths > 0, given_up=self._cancelled.is_set)
            if lease is None:
                break
            self._is_worn = False
            try:
                self._use(lease.worker)
                break
            except WorkerDied as death:
                self._is_worn = True
                self._after(death)
            finally:
                self._session = None
                self._pool.release(lease, retire=self._is_worn)
        return self._summary.close(started, cancelled=self._cancelled.is_set())

    def _use(self, worker: WorkerProcess) -> None:
        """Go as far as this worker lives."""
        try:
            session, ready = worker.open(self._spec.name, self._spec, self._concurrency)
        except WorkerDied as death:
            if not self._deaths or self._pool.closed:  # a line of another run may have ended it
                raise
            reason = self._redacted(str(death))
            raise BusinessFailure(f"The flow {self._spec.flow.name!r} cannot be loaded: {reason}.") from death
        self._session = session
        self._summary.engine = worker.engine
        self._summary.models = tuple(self._spec.connections[name].shown for name in ready["models"])
        try:
            while self._suspects and not self._cancelled.is_set():
                self._send(session, *self._suspects.popleft())
                self._receive(session)
            self._feed(session)
            is_something = self._summary.completed or self._spec.known_count
            if ready["aggregates"] and is_something and not self._cancelled.is_set():
                self._take_known()
                self._aggregate(session)
        finally:
            if worker.alive:
                self._is_worn = _stopped(session) > 0
            worker.forget(session)

    def _is_all_known(self) -> bool:
        """Whether there is nothing for a worker to do: neither lines to run nor an aggregation of known ones."""
        if not self._spec.known_count or (
            self._spec.aggregate and may_aggregate(self._spec.flow, self._spec.flow_file)
        ):
            return False
        for first in self._source:
            self._source = chain([first], self._source)
            return False
        return True

    def _take_known(self) -> None:
        """Put what the aggregation needs of the known lines among what was kept of those that were run."""
        if self._has_known:  # an aggregation before this one ended its process
            return
        for record in self._spec.known_lines:
            if record.aggregated is None:
                raise BusinessFailure(
                    f"Line {record.line + 1} was taken from an earlier run, which kept nothing of it for the"
                    f" aggregation of the flow {self._spec.flow.name!r}. Run it afresh."
                )
            self._spool.keep(record.line, json.dumps({"aggregated": record.aggregated}))
        self._has_known = True

    def _feed(self, session: Session) -> None:
        # A few lines lie ready in the worker, so that its threads never wait for the pipe; not more, for every line
        # that a dying process had been sent is tried again alone.
        window = self._concurrency + self._concurrency // 4 + 1
        while not self._cancelled.is_set():
            while len(self._pending) < window and not self._exhausted:
                try:
                    number, inputs = next(self._source)
                except StopIteration:
                    self._exhausted = True
                else:
                    self._send(session, number, inputs)
            if not self._pending:
                return
            self._receive(session)

    def _send(self, session: Session, number: int, inputs: Mapping[str, object]) -> None:
        try:
            clean = json.loads(json.dumps(dict(inputs), ensure_ascii=False).encode("utf-8", errors="replace"))
        except RecursionError:
            clean = None
        except (TypeError, ValueError) as error:
            raise BusinessFailure(f"Line {number + 1} has an input without a JSON form: {error}.") from error
        if clean is None or any(is_deeper(value) for value in clean.values()):
            self._fail(number, {}, f"An input of the line is nested deeper than {DEEPEST} levels.")
            return
        self._pending[number] = clean
        try:
            session.send("line", line=number, inputs=clean)
        except protocol.TooLarge as error:
            del self._pending[number]
            self._fail(number, {}, f"The line's inputs are too large: {error}.")

    def _receive(self, session: Session) -> None:
        # A line waits in the worker for one that is under way at most, and each is answered when its time is over. So
        # some answer comes within two lines' time; if none does, the worker has lost a line and would be waited for
        # without end.
        patience = 2 * self._spec.line_timeout_s + _GRACE_S
        answer = session.next(patience)
        if answer is None:
            session.worker.kill(f"it left its lines unanswered for {patience:g} s")
            raise WorkerDied(session.worker.death())
        if answer["is"] != "done" or answer["line"] not in self._pending:
            return  # cancelled: the caller looks
        number = answer["line"]
        record = LineRecord(
            line=number,
            status=LineStatus.COMPLETED if answer["ok"] else LineStatus.FAILED,
            inputs=self._pending.pop(number),
            outputs=answer.get("outputs", {}),
            error=answer.get("error", ""),
            latency_ms=answer["latency_ms"],
            tokens=Tokens(prompt=answer["prompt_tokens"], completion=answer["completion_tokens"]),
            attempts=1 + answer["retries"],
            model_calls=answer["model_calls"],
            aggregated=answer.get("aggregated"),
            is_tied="kept" in answer,
        )
        self._add(record)
        for form in ("aggregated", "kept"):  # as JSON, or where it has no such form as a pickle of this run
            if form in answer:
                self._spool.keep(number, json.dumps({form: answer[form]}))
        session.taken()

    def _fail(self, number: int, inputs: Mapping[str, object], error: str) -> None:
        record = LineRecord(line=number, status=LineStatus.FAILED, inputs=inputs, error=self._redacted(error)[:4_000])
        self._add(record)

    def _add(self, record: LineRecord) -> None:
        self._spool.add(record)
        self._summary.add(record)
        self._ended += 1
        if self._spec.on_progress is not None:
            self._spec.on_progress(self._ended)

    def _aggregate(self, session: Session) -> None:
        for kept in self._spool.kept():
            session.send("kept", **json.loads(kept))
        session.send("aggregate")
        answer: protocol.Message | None = session.next(_AGGREGATION_S)
        if answer is None:
            session.worker.kill("its aggregation hung")
            self._summary.aggregation_error = f"it took longer than {_AGGREGATION_S:g} s"
        elif answer["is"] == "metrics":
            self._summary.add_metrics(answer)

    def _after(self, death: WorkerDied) -> None:
        """Sort the lines that were under way when the process ended."""
        if self._pool.closed:
            raise Transient(f"The run {self._spec.name!r} was interrupted: the flow runner was closed.") from death
        self._deaths += 1
        reason = self._redacted(str(death))
        under_way = sorted(self._pending.items())
        self._pending.clear()
        # The first process may be shared: a line of another run may have ended it while this one had only just begun.
        if len(under_way) == 1 and self._deaths > 1:
            number, inputs = under_way[0]
            self._fail(number, inputs, f"The flow's process did not survive this line: {reason}.")
        else:
            self._suspects.extendleft(reversed(under_way))
        if self._deaths >= _MOST_DEATHS:
            numbers = ", ".join(str(number + 1) for number, _ in under_way)
            doing = f"ran {'line' if len(under_way) == 1 else 'lines'} {numbers}" if numbers else "aggregated"
            raise BusinessFailure(
                f"The process of the flow {self._spec.flow.name!r} ended {self._deaths} times in this run, the last"
                f" time while it {doing}: {reason}."
            ) from death


def _in_flight(lines: int, calls: int) -> int:
    """Lines of a run to have under way at once.

    Where as many calls may be in flight, a few lines more: a line that works on an answer leaves its place to another,
    and no place stays empty.
    """
    return lines if lines < calls else max(lines, calls + calls // 4)


def _stopped(session: Session) -> int:
    """Stop the run in the worker; how many of its threads are stuck there."""
    try:
        session.send("stop")
        while (answer := session.next(_STOP_S)) is not None:
            if answer["is"] == "stopped":
                busy: Any = answer["busy"]
                return int(busy)
    except WorkerDied:
        pass
    return 1

"""Feeds queue triggers: one thread looks for messages, workers run the functions and settle what they got.

A function that returns completes its message. One that raises gives it back, to be delivered again or, after the last
delivery, to be dead-lettered by the queue: not at once, for a fault that passes in a second must not use up all
deliveries, but after a wait that doubles with each delivery and leaves the worker to others. A queue with sessions is
taken session by session: the messages of one session in order, those of several side by side.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from genaiops.host import decoding
from genaiops.host.errors import HostError
from genaiops.host.held_back import FIRST_WAIT
from genaiops.host.host_json import HostJson
from genaiops.host.invocation import FunctionFailed, invoke
from genaiops.host.settling import Settling, name_of
from genaiops.host.triggers import DEAD_LETTERS, QueueTrigger
from genaiops.host.workers import Workers
from shared.errors import Conflict, NotFound
from shared.ports import Clock, QueueReceiver, ReceivedMessage

log: Final = logging.getLogger("genaiops.host")

POLL: Final = 0.03
"""Seconds between looks at the queues while nothing comes: the latency of a message at rest."""
POLL_DEAD_LETTERS: Final = 0.5
"""The same for dead-letter queues, where nobody waits."""
PAUSE: Final = 1.0
"""Seconds without a look at a queue that could not be read."""


@dataclass
class _Lane:
    """One trigger, how much of it may run at a time and how much does."""

    trigger: QueueTrigger
    limit: int
    running: int = 0
    next_look: float = 0.0

    @property
    def is_dead_letter(self) -> bool:
        return self.trigger.queue.lower().endswith(DEAD_LETTERS)


class QueueFeed:
    """Takes messages from the queues and hands them to the functions until it is stopped."""

    def __init__(
        self,
        triggers: Sequence[QueueTrigger],
        receiver: QueueReceiver,
        clock: Clock,
        config: HostJson,
        concurrency: Mapping[str, int],
        first_wait: float = FIRST_WAIT,
    ) -> None:
        """`first_wait`: seconds between the first delivery of a message that failed and the second."""
        self._receiver, self._config = receiver, config
        self._lanes = [_lane(trigger, config, concurrency) for trigger in triggers]
        self._workers = Workers("queue", sum(lane.limit for lane in self._lanes) or 1)
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._settling = Settling(receiver, clock, config.max_renewal, first_wait, self._wake.set)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look, name="queues", daemon=True)

    def start(self) -> None:
        """Begin to receive.

        Raises:
            HostError: a queue that a trigger names does not exist.
        """
        for lane in self._lanes:
            try:
                self._receiver.counts(lane.trigger.queue)
            except NotFound as error:
                raise HostError(
                    f"The function {lane.trigger.name} waits on a queue that is not there. {error}"
                ) from error
        self._settling.start()
        self._thread.start()

    def stop_receiving(self) -> None:
        """Take no further message; those that functions hold are finished, those that are held back given back."""
        self._stopping.set()
        self._wake.set()
        self._settling.give_back_all()

    def drain(self, timeout: float) -> bool:
        """After `stop_receiving`: wait for the functions that run; False if `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        if self._thread.ident is not None:
            self._thread.join()
        idle = self._workers.wait_idle(timeout)
        return self._settling.stop(max(0.0, deadline - time.monotonic())) and idle

    # ---------------------------------------------------------------------------------------------------------- taking

    def _look(self) -> None:
        while not self._stopping.is_set():
            # Cleared before the look: a function that ends during it makes the next wait return at once.
            self._wake.clear()
            found = [lane.trigger.queue for lane in self._lanes if self._take(lane)]
            if not found:
                self._wake.wait(POLL)

    def _take(self, lane: _Lane) -> bool:
        now = time.monotonic()
        with self._lock:
            free = lane.limit - lane.running
        if free <= 0 or now < lane.next_look or self._stopping.is_set():
            return False
        lane.next_look = 0.0
        try:
            found = self._take_session(lane) if lane.trigger.sessions else self._take_messages(lane, free)
        except Exception:
            log.exception("the queue %s cannot be read; trying again in %.0f s", lane.trigger.queue, PAUSE)
            lane.next_look = now + PAUSE
            return False
        if not found and lane.is_dead_letter:
            lane.next_look = now + POLL_DEAD_LETTERS
        return found

    def _take_messages(self, lane: _Lane, free: int) -> bool:
        messages = self._receiver.receive(lane.trigger.queue, count=free)
        for message in messages:
            self._settling.keep(message)
            self._submit(lane, partial(self._run_message, lane, message))
        return bool(messages)

    def _take_session(self, lane: _Lane) -> bool:
        session = self._receiver.accept_session(lane.trigger.queue)
        if session is None:
            return False
        self._submit(lane, partial(self._run_session, lane, session))
        return True

    def _submit(self, lane: _Lane, task: partial[None]) -> None:
        with self._lock:
            lane.running += 1

        def run() -> None:
            try:
                task()
            finally:
                with self._lock:
                    lane.running -= 1
                self._wake.set()

        self._workers.submit(run)

    # --------------------------------------------------------------------------------------------------------- running

    def _run_message(self, lane: _Lane, message: ReceivedMessage) -> None:
        if self._invoke(lane.trigger, message):
            self._settling.complete(message)
        else:
            self._settling.hold_back(message)

    def _run_session(self, lane: _Lane, session: str) -> None:
        queue = lane.trigger.queue
        kept, failed, empty_since = False, None, time.monotonic()
        try:
            while not self._stopping.is_set():
                messages = self._receiver.receive(queue, session_id=session)
                if not messages:
                    if time.monotonic() - empty_since >= self._config.session_idle.total_seconds():
                        return
                    self._stopping.wait(POLL)
                    continue
                message = messages[0]
                if not kept:
                    kept = True
                    self._settling.keep_session(message)
                if not self._invoke(lane.trigger, message):
                    failed = message
                    return
                self._settling.complete(message)
                # The function has probably sent messages: let the look at the other queues not wait.
                self._wake.set()
                empty_since = time.monotonic()
        except Conflict:
            log.warning("the session %s of %s was lost; its messages will be delivered again", session, queue)
        finally:
            if failed is None:
                self._settling.release_session(queue, session)
            else:
                self._settling.hold_session_back(failed)

    def _invoke(self, trigger: QueueTrigger, message: ReceivedMessage) -> bool:
        try:
            argument = decoding.service_bus_message(message)
        except Exception:
            log.exception("%s cannot be decoded for %s", name_of(message), trigger.name)
            return False
        try:
            invoke(trigger, argument, message_id=message.message_id)
        except FunctionFailed:
            return False
        return True


def _lane(trigger: QueueTrigger, config: HostJson, concurrency: Mapping[str, int]) -> _Lane:
    default = config.max_concurrent_sessions if trigger.sessions else config.max_concurrent_calls
    lane = _Lane(trigger, default)
    lane.limit = max(1, concurrency.get(trigger.queue, 1 if lane.is_dead_letter else default))
    return lane

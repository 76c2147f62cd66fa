"""Feeds queue triggers: one thread looks for messages, workers run the functions and settle what they got.

A function that returns completes its message; one that raises gives it back, to be delivered again or, after the last
delivery, to be dead-lettered by the queue. A queue with sessions is taken session by session: the messages of one
session in order, those of several side by side.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from genaiops.host import decoding
from genaiops.host.errors import HostError
from genaiops.host.host_json import HostJson
from genaiops.host.invocation import FunctionFailed, invoke
from genaiops.host.renewals import Renewals
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
    ) -> None:
        self._receiver, self._config = receiver, config
        self._lanes = [_lane(trigger, config, concurrency) for trigger in triggers]
        self._workers = Workers("queue", sum(lane.limit for lane in self._lanes) or 1)
        self._renewals = Renewals(clock, config.max_renewal)
        self._clock = clock
        self._lock = threading.Lock()
        self._wake = threading.Event()
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
        self._renewals.start()
        self._thread.start()

    def stop_receiving(self) -> None:
        """Take no further message; those that functions hold are finished."""
        self._stopping.set()
        self._wake.set()

    def drain(self, timeout: float) -> bool:
        """After `stop_receiving`: wait for the functions that run; False if `timeout` seconds were not enough."""
        if self._thread.ident is not None:
            self._thread.join()
        drained = self._workers.wait_idle(timeout)
        self._renewals.stop()
        return drained

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
            self._renewals.hold(message.lock_token, _name(message), message.locked_until, partial(self._renew, message))
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
        done = self._invoke(lane.trigger, message)
        self._renewals.drop(message.lock_token)
        self._settle(message, done=done)
        if not done and lane.is_dead_letter:
            # Only its function takes a message out of there: without a pause it would fail at full speed for ever.
            lane.next_look = time.monotonic() + PAUSE

    def _run_session(self, lane: _Lane, session: str) -> None:
        queue = lane.trigger.queue
        key = (queue, session)
        held, empty_since = False, time.monotonic()
        try:
            while not self._stopping.is_set():
                messages = self._receiver.receive(queue, session_id=session)
                if not messages:
                    if time.monotonic() - empty_since >= self._config.session_idle.total_seconds():
                        return
                    self._stopping.wait(POLL)
                    continue
                message = messages[0]
                if not held:
                    held = True
                    length = message.locked_until - self._clock.now()
                    renew = partial(self._renew_session, queue, session, length)
                    self._renewals.hold(key, f"session {session} of {queue}", message.locked_until, renew)
                self._settle(message, done=self._invoke(lane.trigger, message))
                # The function has probably sent messages: let the look at the other queues not wait.
                self._wake.set()
                empty_since = time.monotonic()
        except Conflict:
            log.warning("the session %s of %s was lost; its messages will be delivered again", session, queue)
        finally:
            self._renewals.drop(key)
            try:
                self._receiver.release_session(queue, session)
            except Conflict:
                log.debug("the session %s of %s was no longer held", session, queue)

    def _invoke(self, trigger: QueueTrigger, message: ReceivedMessage) -> bool:
        try:
            argument = decoding.service_bus_message(message)
        except Exception:
            log.exception("%s cannot be decoded for %s", _name(message), trigger.name)
            return False
        try:
            invoke(trigger, argument, message_id=message.message_id)
        except FunctionFailed:
            return False
        return True

    def _settle(self, message: ReceivedMessage, *, done: bool) -> None:
        try:
            (self._receiver.complete if done else self._receiver.abandon)(message)
        except Conflict:
            log.warning("the lock of %s had run out; it will be delivered again", _name(message))
        except Exception:
            # Nothing is lost: the lock runs out and the message comes again.
            log.exception("%s could not be %s", _name(message), "completed" if done else "given back")

    def _renew(self, message: ReceivedMessage) -> datetime:
        return self._receiver.renew(message).locked_until

    def _renew_session(self, queue: str, session: str, length: timedelta) -> datetime:
        self._receiver.renew_session(queue, session)
        return self._clock.now() + length


def _lane(trigger: QueueTrigger, config: HostJson, concurrency: Mapping[str, int]) -> _Lane:
    default = config.max_concurrent_sessions if trigger.sessions else config.max_concurrent_calls
    lane = _Lane(trigger, default)
    lane.limit = max(1, concurrency.get(trigger.queue, 1 if lane.is_dead_letter else default))
    return lane


def _name(message: ReceivedMessage) -> str:
    return f"message {message.message_id} of {message.queue}"

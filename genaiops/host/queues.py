"""Feeds queue triggers: threads take messages, workers run the functions and settle what they got.

Queues on this machine are looked at in turn by one thread: a look costs next to nothing. Queues that a network lies
before are waited at, by a thread for each: a message that comes is here at once, and while none comes nothing happens.

A queue with sessions is taken session by session: the messages of one session in order, those of several side by side.
What becomes of what was taken is in `handling.py`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from genaiops.host import opening
from genaiops.host.handling import POLL, WAIT, Handling
from genaiops.host.held_back import FIRST_WAIT
from genaiops.host.host_json import HostJson
from genaiops.host.outages import Outages
from genaiops.host.settling import Settling
from genaiops.host.triggers import DEAD_LETTERS, QueueTrigger
from genaiops.host.workers import Workers
from shared.ports import Clock, QueueReceiver, WaitingReceiver

POLL_DEAD_LETTERS: Final = 0.5
"""Seconds between looks at dead-letter queues, where nobody waits."""
PAUSE: Final = 1.0
"""Seconds without a look at a queue that could not be read."""
WAIT_FOR_SESSION: Final = 15.0
"""Seconds that are waited for a session: each wait costs a connection. A stop ends it."""
SESSION_WATCHERS: Final = 2
"""Threads that wait for sessions of one queue: while one has found a session and connects anew, the other waits."""


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
        self._receiver = receiver
        self._waiting = receiver if isinstance(receiver, WaitingReceiver) else None
        self._lanes = [_lane(trigger, config, concurrency) for trigger in triggers]
        self._workers = Workers("queue", sum(lane.limit for lane in self._lanes) or 1)
        self._lock = threading.Lock()
        self._room = threading.Condition(self._lock)
        self._outages = Outages()
        self._wake = threading.Event()
        self._settling = Settling(receiver, clock, config.max_renewal, first_wait, self._wake.set)
        self._stopping = threading.Event()
        self._handling = Handling(receiver, self._settling, config, self._stopping, self._wake.set)
        self._threads = list(self._takers())

    def start(self) -> None:
        """Begin to receive.

        Raises:
            HostError: queues that triggers name do not exist or cannot be read; one text says it of all.
        """
        opening.open_all(self._receiver, [lane.trigger for lane in self._lanes])
        self._settling.start()
        for thread in self._threads:
            thread.start()

    def stop_receiving(self) -> None:
        """Take no further message; those that functions hold are finished, those that are held back given back."""
        self._stopping.set()
        self._wake.set()
        with self._lock:
            self._room.notify_all()
        if self._waiting is not None:
            self._waiting.stop_waiting()
        self._settling.give_back_all()

    def drain(self, timeout: float) -> bool:
        """After `stop_receiving`: wait for the functions that run; False if `timeout` seconds were not enough."""
        deadline = time.monotonic() + timeout
        for thread in self._threads:
            if thread.ident is not None:
                # Who waits for a session may hang in a connection; what he finds later he lets go again.
                thread.join(max(0.0, min(2 * WAIT, deadline - time.monotonic())))
        idle = self._workers.wait_idle(max(0.0, deadline - time.monotonic()))
        return self._settling.stop(max(0.0, deadline - time.monotonic())) and idle

    # ---------------------------------------------------------------------------------------------------------- taking

    def _takers(self) -> Iterator[threading.Thread]:
        if self._waiting is None:
            yield threading.Thread(target=self._look, name="queues", daemon=True)
            return
        for lane in self._lanes:
            for _ in range(SESSION_WATCHERS if lane.trigger.sessions else 1):
                arguments = (lane, self._waiting)
                yield threading.Thread(target=self._watch, args=arguments, name=lane.trigger.queue, daemon=True)

    def _watch(self, lane: _Lane, receiver: WaitingReceiver) -> None:
        """Wait for what comes, as long as there is a worker for it: what is taken has a lock that runs."""
        queue = lane.trigger.queue
        while self._reserve(lane):
            task: Callable[[], None] | None = None
            try:
                task = self._next(lane, receiver)
                self._outages.passed(queue)
            except Exception as error:
                self._outages.failed(queue, error)
                self._stopping.wait(PAUSE)
            if task is None:
                self._free(lane)
            else:
                self._run(lane, task)

    def _next(self, lane: _Lane, receiver: WaitingReceiver) -> Callable[[], None] | None:
        if lane.trigger.sessions:
            # After a failure a short wait tells soon whether it has passed.
            wait = WAIT if self._outages.has(lane.trigger.queue) else WAIT_FOR_SESSION
            session = receiver.wait_for_session(lane.trigger.queue, wait)
            return None if session is None else partial(self._handling.session, lane.trigger, session)
        message = receiver.wait_for_message(lane.trigger.queue, WAIT)
        if message is None:
            return None
        self._settling.keep(message)
        return partial(self._handling.message, lane.trigger, message)

    def _reserve(self, lane: _Lane) -> bool:
        """Wait until the lane may run one more, and count it; False when the host stops."""
        with self._lock:
            self._room.wait_for(lambda: lane.running < lane.limit or self._stopping.is_set())
            if self._stopping.is_set():
                return False
            lane.running += 1
            return True

    def _free(self, lane: _Lane) -> None:
        with self._lock:
            lane.running -= 1
            self._room.notify_all()

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
        except Exception as error:
            self._outages.failed(lane.trigger.queue, error)
            lane.next_look = now + PAUSE
            return False
        self._outages.passed(lane.trigger.queue)
        if not found and lane.is_dead_letter:
            lane.next_look = now + POLL_DEAD_LETTERS
        return found

    def _take_messages(self, lane: _Lane, free: int) -> bool:
        messages = self._receiver.receive(lane.trigger.queue, count=free)
        for message in messages:
            self._settling.keep(message)
            self._submit(lane, partial(self._handling.message, lane.trigger, message))
        return bool(messages)

    def _take_session(self, lane: _Lane) -> bool:
        session = self._receiver.accept_session(lane.trigger.queue)
        if session is None:
            return False
        self._submit(lane, partial(self._handling.session, lane.trigger, session))
        return True

    def _submit(self, lane: _Lane, task: Callable[[], None]) -> None:
        with self._lock:
            lane.running += 1
        self._run(lane, task)

    def _run(self, lane: _Lane, task: Callable[[], None]) -> None:
        """Run what is counted already."""

        def run() -> None:
            try:
                task()
            finally:
                self._free(lane)
                self._wake.set()

        self._workers.submit(run)


def _lane(trigger: QueueTrigger, config: HostJson, concurrency: Mapping[str, int]) -> _Lane:
    default = config.max_concurrent_sessions if trigger.sessions else config.max_concurrent_calls
    lane = _Lane(trigger, default)
    lane.limit = max(1, concurrency.get(trigger.queue, 1 if lane.is_dead_letter else default))
    return lane

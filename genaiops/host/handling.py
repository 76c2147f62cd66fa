"""What a worker does with a message or a session that was taken: call the function, and settle what it got.

A function that returns completes its message. One that raises gives it back, to be delivered again or, after the last
delivery, to be dead-lettered by the queue: not at once, for a fault that passes in a second must not use up all
deliveries, but after a wait that doubles with each delivery and leaves the worker to others.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

from genaiops.host import decoding
from genaiops.host.host_json import HostJson
from genaiops.host.invocation import FunctionFailed, invoke
from genaiops.host.settling import Settling, name_of
from genaiops.host.triggers import QueueTrigger
from shared.errors import Conflict
from shared.ports import QueueReceiver, ReceivedMessage, WaitingReceiver

log: Final = logging.getLogger("genaiops.host")

POLL: Final = 0.03
"""Seconds between looks while nothing comes: the latency of a message at rest."""
WAIT: Final = 1.0
"""Seconds that are waited for a message before a thread sees whether the host stops."""


class Handling:
    """Handles what was taken; `on_done` is called when a message of a session was completed."""

    def __init__(
        self,
        receiver: QueueReceiver,
        settling: Settling,
        config: HostJson,
        stopping: threading.Event,
        on_done: Callable[[], None],
    ) -> None:
        self._receiver, self._settling, self._config = receiver, settling, config
        self._waiting = receiver if isinstance(receiver, WaitingReceiver) else None
        self._stopping, self._on_done = stopping, on_done

    def message(self, trigger: QueueTrigger, message: ReceivedMessage) -> None:
        """Call the function with a message under a lock; complete it, or hold it back."""
        if self._invoke(trigger, message):
            self._settling.complete(message)
        else:
            self._settling.hold_back(message)

    def session(self, trigger: QueueTrigger, session: str) -> None:
        """Call the function with the messages of a session that is held, in order, until there are none for a while."""
        queue = trigger.queue
        kept, failed, empty_since = False, None, time.monotonic()
        try:
            while not self._stopping.is_set():
                left = self._config.session_idle.total_seconds() - (time.monotonic() - empty_since)
                message = self._next(queue, session, left)
                if message is None:
                    if left <= 0:
                        return
                    continue
                if not kept:
                    kept = True
                    self._settling.keep_session(message)
                if not self._invoke(trigger, message):
                    failed = message
                    return
                self._settling.complete(message)
                # The function has probably sent messages: let the look at the other queues not wait.
                self._on_done()
                empty_since = time.monotonic()
        except Conflict:
            log.warning("the session %s of %s was lost; its messages will be delivered again", session, queue)
        finally:
            if failed is None:
                self._settling.release_session(queue, session)
            else:
                self._settling.hold_session_back(failed)

    def _next(self, queue: str, session: str, left: float) -> ReceivedMessage | None:
        """The session's next message; None if there was none for a while, at most `left` seconds."""
        if self._waiting is not None:
            # At least one look: the session was offered because it has a message.
            return self._waiting.wait_for_message(queue, min(WAIT, max(left, POLL)), session_id=session)
        messages = self._receiver.receive(queue, session_id=session)
        if not messages and left > 0:
            self._stopping.wait(POLL)
        return messages[0] if messages else None

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

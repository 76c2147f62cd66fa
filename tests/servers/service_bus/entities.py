"""A queue or dead-letter queue: what clients may ask of it, and what it refuses. No I/O, no clock of its own.

Sources: "Message transfers, locks, and settlement", "Message sessions", "Duplicate detection", "Message sequencing and
timestamps" on learn.microsoft.com/azure/service-bus-messaging.
"""

from __future__ import annotations

import heapq
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from tests.servers.service_bus.contents import Content
from tests.servers.service_bus.errors import MESSAGE_NOT_FOUND, NOT_ALLOWED, Refused
from tests.servers.service_bus.messages import Message, State
from tests.servers.service_bus.store import Store


class Entity(Store):
    """One queue or dead-letter queue."""

    repeats_completed = False
    """Whether a completed message is delivered once more: a fault that a test may ask for."""

    # ------------------------------------------------------------------------------------------------ sending

    def send(self, contents: Sequence[Content], now: int) -> None:
        """Take messages in, all or none; repetitions are dropped without a word. Raises Refused."""
        for content in contents:
            self._check(content)
        for content in contents:
            self._take_in(content, now)
        self.on_change()

    def schedule(self, contents: Sequence[Content], now: int) -> list[int]:
        """Take messages in for later; their numbers until then. A repetition gets a number that names nothing."""
        for content in contents:
            self._check(content)
        numbers = [self._take_in(content, now) for content in contents]
        self.on_change()
        return numbers

    def cancel(self, numbers: Sequence[int]) -> None:
        """Remove scheduled messages, all or none. Raises Refused: one of them is not (any more) scheduled."""
        self._scheduled(numbers)
        for number in numbers:
            self._remove(self.messages[number])

    def _scheduled(self, numbers: Sequence[int]) -> None:
        for number in numbers:
            if number not in self.messages or self.messages[number].state is not State.SCHEDULED:
                raise Refused(MESSAGE_NOT_FOUND, f"There is no scheduled message {number}.")

    def _check(self, content: Content) -> None:
        if self.address.is_dead_letter:
            raise Refused(NOT_ALLOWED, f"{self.address.name} takes no messages from senders.")
        if self.address.sessions and not content.session_id:
            raise Refused(NOT_ALLOWED, f"{self.address.name} requires sessions and the message has no session id.")

    def _take_in(self, content: Content, now: int) -> int:
        number = next(self._numbers)
        if not self._duplicates.is_first(content.message_id, now):
            self._counters.duplicates_dropped += 1
            return number
        self._counters.accepted += 1
        message = Message(number, content, now)
        if content.due is not None and content.due > now:
            message.state = State.SCHEDULED
            heapq.heappush(self._due, (content.due, number))
        self.put(message)
        return number

    # ---------------------------------------------------------------------------------------------- receiving

    def take(self, session_id: str | None, now: int, *, is_locked: bool) -> Message | None:
        """The oldest ready message of the queue or session: locked, or removed at once."""
        message = self.lanes.take(session_id if self.address.sessions else None)
        if message is None:
            return None
        self._counters.delivered += 1
        if is_locked:
            self._lock(message, now)
        else:
            self._remove(message)
        return message

    def take_deferred(
        self, numbers: Sequence[int], session_id: str | None, now: int, *, is_locked: bool
    ) -> list[Message]:
        """Deferred messages by their numbers. Raises Refused: one of them is not there."""
        found = [self.messages.get(number) for number in numbers]
        taken: list[Message] = []
        for number, message in zip(numbers, found, strict=True):
            is_free = message is not None and message.state is State.DEFERRED and message.lock is None
            if message is None or not is_free or (self.address.sessions and message.content.session_id != session_id):
                raise Refused(MESSAGE_NOT_FOUND, f"There is no deferred message {number} that is free.")
            taken.append(message)
        for message in taken:
            self._counters.delivered += 1
            if is_locked:
                self._lock(message, now)
            else:
                self._remove(message)
        return taken

    # ------------------------------------------------------------------------------------------------ settling

    def complete(self, token: uuid.UUID) -> None:
        """Remove the message. Raises Refused: the lock was lost; as do all that settle."""
        message = self._held(token)
        self._counters.completed += 1
        if self.repeats_completed and not message.is_repeat and not self.address.is_dead_letter:
            message.is_repeat = True
            self._counters.repeated += 1
            self.give_back(message, is_failure=False)
        else:
            self._remove(message)

    def abandon(self, token: uuid.UUID, changes: Mapping[Any, Any] | None = None) -> None:
        """Give the message back; it goes to the dead letters if that was its last delivery."""
        message = self._held(token)
        self._counters.abandoned += 1
        message.content = message.content.with_properties(changes or {})
        self.give_back(message, is_failure=True)

    def release(self, token: uuid.UUID) -> None:
        """Give the message back as if it had never been delivered."""
        message = self._held(token)
        self._counters.released += 1
        self.give_back(message, is_failure=False)

    def defer(self, token: uuid.UUID, changes: Mapping[Any, Any] | None = None) -> None:
        """Set the message aside; only its number leads to it."""
        message = self._held(token)
        self._counters.deferred += 1
        message.content = message.content.with_properties(changes or {})
        message.state = State.DEFERRED
        self.give_back(message, is_failure=False)

    def dead_letter(self, token: uuid.UUID, reason: str | None, description: str | None) -> None:
        """Move the message to the dead letters. Raises Refused: this is a dead-letter queue."""
        message = self._held(token)
        if self._dead_letters is None:
            raise Refused(NOT_ALLOWED, f"{self.address.name} holds dead letters already.")
        self._bury(message, reason, description)
        self._counters.dead_lettered += 1

    def renew(self, token: uuid.UUID, now: int) -> int:
        """Extend a lock; until when it holds now."""
        message = self._held(token)
        if self.address.sessions:
            raise Refused(NOT_ALLOWED, "A message of a session has no lock of its own: renew the session's.")
        message.locked_until = now + self.lock_ms
        heapq.heappush(self._expiring_locks, (message.locked_until, token))
        return message.locked_until

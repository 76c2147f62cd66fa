"""A queue or dead-letter queue: what lies in it, who has locked what, and what time does to it. No I/O, no clock of its own.

Times are milliseconds since 1970 and come from the caller; `tick` brings a queue up to a time. Sources: "Message
transfers, locks, and settlement", "Message sessions", "Duplicate detection", "Message sequencing and timestamps" on
learn.microsoft.com/azure/service-bus-messaging.
"""

from __future__ import annotations

import heapq
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from shared.adapters.queues import MAX_DELIVERY_REASON, Address, exhausted_description
from tests.servers.service_bus.contents import Content
from tests.servers.service_bus.counters import Counters
from tests.servers.service_bus.duplicates import Duplicates
from tests.servers.service_bus.errors import MESSAGE_NOT_FOUND, NOT_ALLOWED, Refused, message_lock_lost
from tests.servers.service_bus.lanes import Lanes
from tests.servers.service_bus.messages import NEVER, Message, State
from tests.servers.service_bus.session_locks import SessionLocks


class Entity:
    """One queue. `on_change` is called when messages may have become ready."""

    def __init__(
        self, address: Address, numbers: Iterator[int], counters: Counters, dead_letters: Entity | None = None
    ) -> None:
        self.address = address
        self.on_change: Callable[[], None] = lambda: None
        self.repeats_completed = False
        """Whether a completed message is delivered once more."""
        self._numbers = numbers
        self._counters = counters
        self._dead_letters = dead_letters
        self.sessions = SessionLocks(self)
        self._empty()

    def _empty(self) -> None:
        self.messages: dict[int, Message] = {}
        self.lanes = Lanes(self.messages)
        self._duplicates = Duplicates(round(self.address.config.duplicate_window_seconds * 1000))
        self._locked: dict[uuid.UUID, Message] = {}
        self._due: list[tuple[int, int]] = []
        self._expiring_locks: list[tuple[int, uuid.UUID]] = []
        self._expiring_messages: list[tuple[int, int]] = []
        self._order: list[int] | None = []

    def reset(self) -> None:
        """Forget everything; receivers of sessions lose them."""
        self._empty()
        self.sessions.reset()

    @property
    def lock_ms(self) -> int:
        """How long a lock holds."""
        return round(self.address.config.lock_seconds * 1000)

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

    def put(self, message: Message) -> None:
        """Let a message lie in this queue."""
        self.messages[message.number] = message
        if self._order and self._order[-1] > message.number:
            self._order = None
        elif self._order is not None:
            self._order.append(message.number)
        if message.expires_at < NEVER and not self.address.is_dead_letter:
            heapq.heappush(self._expiring_messages, (message.expires_at, message.number))
        self._make_ready(message)

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

    def peek(self, start: int, count: int, session_id: str | None) -> list[Message]:
        """Messages from a number on, whatever their state and lock."""
        if self._order is None:
            self._order = sorted(self.messages)
        found: list[Message] = []
        for number in self._order[bisect_left(self._order, start) :]:
            message = self.messages.get(number)
            if message is not None and session_id in {None, message.content.session_id}:
                found.append(message)
                if len(found) == count:
                    break
        return found

    def session_ids(self, state_since: int | None) -> list[str]:
        """The sessions with messages or a state, or with a time those whose state changed after it."""
        found = self.sessions.with_state(state_since)
        if state_since is None:
            found |= {message.content.session_id or "" for message in self.messages.values()}
        return sorted(found)

    def _lock(self, message: Message, now: int) -> None:
        message.lock = uuid.uuid4()
        self._locked[message.lock] = message
        if self.address.sessions:
            message.locked_until = self.sessions.adopt(message)
        else:
            message.locked_until = now + self.lock_ms
            heapq.heappush(self._expiring_locks, (message.locked_until, message.lock))

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

    def give_back(self, message: Message, *, is_failure: bool) -> None:
        """Unlock a message; a failed delivery counts, and the last one leads to the dead letters."""
        self._unlock(message)
        if is_failure:
            message.delivery_count += 1
            if self.address.is_exhausted(message.delivery_count):
                description = exhausted_description(self.address, message.delivery_count)
                self._bury(message, MAX_DELIVERY_REASON, description)
                self._counters.exhausted += 1
                return
        self._make_ready(message)
        self.on_change()

    def count_expired_session(self) -> None:
        """A receiver lost its session."""
        self._counters.sessions_expired += 1

    def is_locked(self, token: uuid.UUID) -> bool:
        """Whether a token (still) names a lock."""
        return token in self._locked

    def _held(self, token: uuid.UUID) -> Message:
        message = self._locked.get(token)
        if message is None:
            raise message_lock_lost()
        return message

    def _unlock(self, message: Message) -> None:
        if message.lock is not None:
            self._locked.pop(message.lock, None)
            self.sessions.forget(message)
        message.lock = None

    def _make_ready(self, message: Message) -> None:
        if message.state is State.ACTIVE and message.lock is None:
            self.lanes.add(message.content.session_id if self.address.sessions else None, message.number)

    def _remove(self, message: Message) -> None:
        self._unlock(message)
        self.messages.pop(message.number, None)
        if not self.messages:
            self._order = []
        elif self._order is not None and len(self._order) > 2 * len(self.messages) + 1000:
            self._order = None  # most of it names messages that are gone: sorted afresh when somebody peeks

    def _bury(self, message: Message, reason: str | None, description: str | None) -> None:
        assert self._dead_letters is not None
        self._remove(message)
        changes = {"DeadLetterReason": reason, "DeadLetterErrorDescription": description}
        message.content = message.content.with_properties({k: v for k, v in changes.items() if v is not None})
        message.state, message.dead_letter_source = State.ACTIVE, self.address.name
        self._dead_letters.put(message)
        self._dead_letters.on_change()

    # ---------------------------------------------------------------------------------------------------- time

    def tick(self, now: int) -> None:
        """Do what is due: free expired locks, let scheduled messages in, drop what outlived its time."""
        locks, due, dying = self._expiring_locks, self._due, self._expiring_messages
        while locks and locks[0][0] <= now:
            message = self._locked.get(heapq.heappop(locks)[1])
            if message is not None and message.locked_until <= now:
                self._counters.locks_expired += 1
                self.give_back(message, is_failure=True)
        self.sessions.tick(now)
        while due and due[0][0] <= now:
            at, number = heapq.heappop(due)
            waiting = self.messages.get(number)
            if waiting is not None and waiting.state is State.SCHEDULED:
                del self.messages[number]
                self.put(Message(next(self._numbers), waiting.content, at))  # it joins the end of the queue only now
                self.on_change()
        while dying and dying[0][0] <= now:
            _, number = heapq.heappop(dying)
            old = self.messages.get(number)
            if old is None:
                continue
            if old.lock is not None:  # whoever holds it may still complete it
                heapq.heappush(dying, (max(old.locked_until, now + 1), number))
            else:
                self._counters.expired += 1
                self._remove(old)

    def next_due(self) -> int:
        """When `tick` has something to do next."""
        heaps = (self._expiring_locks, self._due, self._expiring_messages)
        return min([NEVER, self.sessions.next_due(), *(heap[0][0] for heap in heaps if heap)])

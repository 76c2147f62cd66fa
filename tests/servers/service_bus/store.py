"""Where the messages of a queue lie: which are ready, which are locked until when, and what time does to them.

Times are milliseconds since 1970 and come from the caller; `tick` brings the store up to a time. `entities` says what
clients may ask of it.
"""

from __future__ import annotations

import heapq
import uuid
from bisect import bisect_left
from collections.abc import Callable, Iterator

from shared.adapters.queues import MAX_DELIVERY_REASON, Address, exhausted_description
from tests.servers.service_bus.counters import Counters
from tests.servers.service_bus.duplicates import Duplicates
from tests.servers.service_bus.errors import message_lock_lost
from tests.servers.service_bus.lanes import Lanes
from tests.servers.service_bus.messages import NEVER, Message, State
from tests.servers.service_bus.session_locks import SessionLocks


class Store:
    """The messages of one queue. `on_change` is called when some may have become ready."""

    def __init__(
        self, address: Address, numbers: Iterator[int], counters: Counters, dead_letters: Store | None = None
    ) -> None:
        self.address = address
        self.on_change: Callable[[], None] = lambda: None
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

    # ------------------------------------------------------------------------------------------------ messages

    def put(self, message: Message) -> None:
        """Let a message lie in this queue."""
        self.messages[message.number] = message
        if self._order and self._order[-1] > message.number:
            self._order = None
        elif self._order is not None:
            self._order.append(message.number)
        may_expire = message.state is State.ACTIVE and not self.address.is_dead_letter
        if may_expire and message.expires_at < NEVER:
            heapq.heappush(self._expiring_messages, (message.expires_at, message.number))
        self._make_ready(message)

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

    # --------------------------------------------------------------------------------------------------- locks

    def _lock(self, message: Message, now: int) -> None:
        message.lock = uuid.uuid4()
        self._locked[message.lock] = message
        if self.address.sessions:
            message.locked_until = self.sessions.adopt(message)
        else:
            message.locked_until = now + self.lock_ms
            heapq.heappush(self._expiring_locks, (message.locked_until, message.lock))

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

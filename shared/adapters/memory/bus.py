"""The bus in memory: the same queues as the local bus, without a file; it ships so that users can test with it.

It is written on its own, not as a thin cover over the local bus, so that the contract suite compares two readings of
the same rules. One instance is shared by its consumers; `consumer()` gives another one with sessions of its own.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count as counter

from shared.adapters.queues import (
    MAX_DELIVERY_REASON,
    UNCOUNTED_DEATHS,
    Address,
    QueueConfig,
    by_name,
    check,
    dead_letter_name,
    exhausted_description,
    resolve,
)
from shared.errors import Conflict, Malformed
from shared.ports import Clock, OutgoingMessage, QueueCounts, ReceivedMessage

__all__ = ["MemoryBus", "QueueConfig"]


@dataclass
class _Entry:
    queue: str
    sequence_number: int
    message: OutgoingMessage
    enqueued_at: datetime
    due: datetime | None = None
    """Set while the message is scheduled."""
    delivery_count: int = 0
    deaths: int = 0
    lock_token: str | None = None
    locked_until: datetime | None = None
    dead_letter_reason: str | None = None
    dead_letter_description: str | None = None


@dataclass
class _State:
    """What all consumers of one bus share."""

    mutex: threading.RLock = field(default_factory=threading.RLock)
    entries: list[_Entry] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=lambda: counter(1))
    seen: dict[tuple[str, str], datetime] = field(default_factory=dict)
    sessions: dict[tuple[str, str], tuple[object, datetime]] = field(default_factory=dict)
    """(queue, session id) → the consumer that holds it, and until when."""


class MemoryBus:
    """Bus and QueueReceiver in memory. One instance is one consumer: the sessions that it accepted are its own."""

    def __init__(self, queues: Sequence[QueueConfig], clock: Clock, _state: _State | None = None) -> None:
        self._configs = tuple(queues)
        self._queues = by_name(queues)
        self._clock = clock
        self._state = _state or _State()

    def consumer(self) -> MemoryBus:
        """Another consumer of the same queues."""
        return MemoryBus(self._configs, self._clock, self._state)

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages.

        Raises:
            NotFound: the queue does not exist.
            Malformed: a message is larger than 256 KB or lacks its id or session; nothing was sent.
        """
        address = resolve(self._queues, queue)
        for message in messages:
            check(address, message)
        with self._state.mutex:
            now = self._clock.now()
            self._state.seen = {key: until for key, until in self._state.seen.items() if until > now}
            for message in messages:
                if self._is_first(address, message.message_id, now):
                    due = message.deliver_at if message.deliver_at and message.deliver_at > now else None
                    entry = _Entry(address.name, next(self._state.numbers), message, now, due)
                    self._state.entries.append(entry)

    def open(self, queue: str) -> None:
        """Nothing is to be opened. Raises NotFound where there is no such queue."""
        resolve(self._queues, queue)

    def receive(self, queue: str, *, count: int = 1, session_id: str | None = None) -> list[ReceivedMessage]:
        """Lock and return up to `count` messages that are due, oldest first.

        Raises:
            Conflict: the queue has sessions and `session_id` is not held (any more) by this consumer.
        """
        address = resolve(self._queues, queue)
        with self._state.mutex:
            now = self._clock.now()
            until = now + timedelta(seconds=address.config.lock_seconds)
            if address.sessions:
                until = self._held(address, session_id or "", now)
            self._tidy(address, now)
            free = [e for e in self._in(address) if e.lock_token is None and e.due is None]
            if address.sessions:
                free = [e for e in free if e.message.session_id == session_id]
            for entry in free[:count]:
                entry.lock_token, entry.locked_until = uuid.uuid4().hex, until
                entry.delivery_count += 1
            return [_received(entry) for entry in free[:count]]

    def accept_session(self, queue: str) -> str | None:
        """Lock and return the session with the oldest waiting message that nobody consumes; None if there is none."""
        address = resolve(self._queues, queue)
        if not address.sessions:
            raise Malformed(f"The queue {address.name} has no sessions: receive from it without accepting one.")
        with self._state.mutex:
            now = self._clock.now()
            self._tidy(address, now)
            for entry in self._in(address):
                key = (address.name, entry.message.session_id or "")
                held = self._state.sessions.get(key)
                if entry.due is None and (held is None or held[1] <= now):
                    self._state.sessions[key] = (self, now + timedelta(seconds=address.config.lock_seconds))
                    return key[1]
            return None

    def renew_session(self, queue: str, session_id: str) -> None:
        """Extend the lock on a session and on its messages. Raises Conflict if it was lost."""
        address = resolve(self._queues, queue)
        with self._state.mutex:
            now = self._clock.now()
            self._held(address, session_id, now)
            until = now + timedelta(seconds=address.config.lock_seconds)
            self._state.sessions[address.name, session_id] = (self, until)
            for entry in self._in_session(address, session_id):
                entry.locked_until = until

    def release_session(self, queue: str, session_id: str) -> None:
        """Let another consumer have the session; messages of it that are not settled are available again."""
        address = resolve(self._queues, queue)
        with self._state.mutex:
            if self._state.sessions.get((address.name, session_id), (None,))[0] is self:
                del self._state.sessions[address.name, session_id]
                for entry in self._in_session(address, session_id):
                    entry.lock_token = entry.locked_until = None
                    entry.delivery_count -= 1  # to let a session go is no failed delivery of its messages

    def complete(self, message: ReceivedMessage) -> None:
        """Remove the message. Raises Conflict if the lock was lost."""
        with self._state.mutex:
            self._state.entries.remove(self._locked(message)[1])

    def abandon(self, message: ReceivedMessage) -> None:
        """Give the message back at once, or dead-letter it if that was its last delivery. Raises Conflict."""
        with self._state.mutex:
            _give_back(*self._locked(message))

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str) -> None:
        """Move the message to the dead-letter queue. Raises Conflict if the lock was lost."""
        address = resolve(self._queues, message.queue)
        if address.is_dead_letter:
            raise Malformed(f"{address.name} is a dead-letter queue: complete or abandon its messages.")
        with self._state.mutex:
            _bury(address, self._locked(message)[1], reason, description)

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock; for a message of a session, the session's. Raises Conflict if it was lost."""
        with self._state.mutex:
            address, entry = self._locked(message)
            if address.sessions:
                self.renew_session(address.name, message.session_id or "")
            else:
                entry.locked_until = self._clock.now() + timedelta(seconds=address.config.lock_seconds)
            return _received(entry)

    def counts(self, queue: str) -> QueueCounts:
        """How many messages wait in the queue. Active ones include those that are locked, as in Service Bus."""
        address = resolve(self._queues, queue)
        with self._state.mutex:
            self._tidy(address, self._clock.now())
            entries = self._in(address)
            scheduled = sum(entry.due is not None for entry in entries)
            name = dead_letter_name(address.config.name)
            buried = 0 if address.is_dead_letter else sum(entry.queue == name for entry in self._state.entries)
            return QueueCounts(active=len(entries) - scheduled, scheduled=scheduled, dead_letter=buried)

    def peek(self, queue: str, count: int = 32) -> list[ReceivedMessage]:
        """The first `count` messages without locking them, locked and scheduled ones too; their tokens are empty."""
        address = resolve(self._queues, queue)
        with self._state.mutex:
            return [replace(_received(entry), lock_token="") for entry in self._in(address)[:count]]

    def release_orphans(self) -> int:
        """Free every lock, as if every consumer had died; returns how many. Deaths do not count as deliveries."""
        with self._state.mutex:
            freed = len(self._state.sessions)
            self._state.sessions.clear()
            for entry in [entry for entry in self._state.entries if entry.lock_token is not None]:
                if entry.deaths < UNCOUNTED_DEATHS:
                    entry.deaths += 1
                    entry.delivery_count -= 1
                _give_back(resolve(self._queues, entry.queue), entry)
                freed += 1
            return freed

    def close(self) -> None:
        """Nothing to close."""

    def _is_first(self, address: Address, message_id: str, now: datetime) -> bool:
        window = timedelta(seconds=address.config.duplicate_window_seconds)
        if window <= timedelta(0):
            return True
        if (address.name, message_id) in self._state.seen:
            return False
        self._state.seen[address.name, message_id] = now + window
        return True

    def _in(self, address: Address) -> list[_Entry]:
        return sorted((e for e in self._state.entries if e.queue == address.name), key=lambda e: e.sequence_number)

    def _in_session(self, address: Address, session_id: str) -> list[_Entry]:
        return [e for e in self._in(address) if e.lock_token is not None and e.message.session_id == session_id]

    def _held(self, address: Address, session_id: str, now: datetime) -> datetime:
        holder, until = self._state.sessions.get((address.name, session_id), (None, now))
        if holder is not self or until <= now:
            raise Conflict(f"The session {session_id!r} of {address.name} is not locked by this consumer (any more).")
        return until

    def _locked(self, message: ReceivedMessage) -> tuple[Address, _Entry]:
        address = resolve(self._queues, message.queue)
        now = self._clock.now()
        for entry in self._state.entries:
            is_meant = entry.queue == address.name and entry.lock_token == message.lock_token
            if is_meant and entry.locked_until is not None and entry.locked_until > now:
                return address, entry
        raise Conflict(f"The lock on message {message.message_id} of {address.name} was lost; it is delivered again.")

    def _tidy(self, address: Address, now: datetime) -> None:
        for entry in self._in(address):
            if entry.locked_until is not None and entry.locked_until <= now:
                _give_back(address, entry)
        overdue = [(entry.due, entry.sequence_number, entry) for entry in self._in(address) if entry.due is not None]
        for due, _, entry in sorted(overdue, key=lambda item: item[:2]):
            if due <= now:  # a due message gets a new sequence number: order is the order of becoming active
                entry.enqueued_at, entry.due, entry.sequence_number = due, None, next(self._state.numbers)


def _give_back(address: Address, entry: _Entry) -> None:
    if address.is_exhausted(entry.delivery_count):
        _bury(address, entry, MAX_DELIVERY_REASON, exhausted_description(address, entry.delivery_count))
    else:
        entry.lock_token = entry.locked_until = None


def _bury(address: Address, entry: _Entry, reason: str, description: str) -> None:
    entry.queue = dead_letter_name(address.config.name)
    entry.lock_token = entry.locked_until = None
    entry.dead_letter_reason, entry.dead_letter_description = reason, description


def _received(entry: _Entry) -> ReceivedMessage:
    message = entry.message
    return ReceivedMessage(
        queue=entry.queue,
        body=message.body,
        message_id=message.message_id,
        sequence_number=entry.sequence_number,
        delivery_count=entry.delivery_count,
        lock_token=entry.lock_token or "",
        enqueued_at=entry.enqueued_at,
        locked_until=entry.locked_until or entry.due or entry.enqueued_at,
        session_id=message.session_id,
        subject=message.subject,
        correlation_id=message.correlation_id,
        properties=dict(message.properties),
        dead_letter_reason=entry.dead_letter_reason,
        dead_letter_description=entry.dead_letter_description,
    )

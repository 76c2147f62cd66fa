"""The local bus: Service Bus queues in one SQLite file, for several processes at once.

How a message moves: `send` inserts it as ACTIVE or SCHEDULED; `receive` makes it LOCKED until a time; `complete`
deletes it, `abandon` makes it ACTIVE again, `dead_letter` moves it to `<queue>/$deadletterqueue`. Nothing runs in the
background: whoever receives, accepts or counts first tidies up what the clock has changed.
"""

from __future__ import annotations

import sqlite3
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from shared.adapters.local import bus_rows as rows
from shared.adapters.local import bus_sessions
from shared.adapters.local.bus_database import ACTIVE, LOCKED, SCHEDULED, BusDatabase
from shared.adapters.local.owners import current_owner
from shared.adapters.queues import Address, QueueConfig, by_name, check, dead_letter_name, resolve
from shared.errors import Conflict, Malformed
from shared.ports import Clock, OutgoingMessage, QueueCounts, ReceivedMessage

__all__ = ["LocalBus", "QueueConfig"]

WAITING: Final = "SELECT 1 FROM messages WHERE queue = :queue AND state = :active LIMIT 1"
WAITING_IN_SESSION: Final = """SELECT 1 FROM messages
    WHERE queue = :queue AND state = :active AND session_id = :session LIMIT 1"""
OVERDUE: Final = """SELECT 1 FROM messages
    WHERE queue = :queue AND state IN (:locked, :scheduled) AND until <= :now LIMIT 1"""


class LocalBus:
    """Bus and QueueReceiver over SQLite. One instance is one consumer: the sessions that it accepted are its own."""

    def __init__(self, path: Path, queues: Sequence[QueueConfig], clock: Clock) -> None:
        self._queues = by_name(queues)
        self._clock = clock
        self._database = BusDatabase(path)
        self._sessions = bus_sessions.HeldSessions()

    # ------------------------------------------------------------------------------------------------------- sending

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages in one transaction, committed when this returns.

        Raises:
            NotFound: the queue does not exist.
            Malformed: a message is larger than 256 KB or lacks its id or session; nothing was sent.
            Transient: the database is busy or its disk is full; nothing was sent.
        """
        address = resolve(self._queues, queue)
        for message in messages:
            check(address, message)

        def insert(connection: sqlite3.Connection) -> None:
            now = self._now()
            rows.forget(connection, now)
            for message in messages:
                rows.send(connection, address, message, now)

        self._database.write(insert)

    # ----------------------------------------------------------------------------------------------------- receiving

    def open(self, queue: str) -> None:
        """Nothing is to be opened. Raises NotFound where there is no such queue."""
        resolve(self._queues, queue)

    def receive(self, queue: str, *, count: int = 1, session_id: str | None = None) -> list[ReceivedMessage]:
        """Lock and return up to `count` messages that are due, oldest first.

        Raises:
            Conflict: the queue has sessions and `session_id` is not held (any more) by this consumer.
        """
        address = resolve(self._queues, queue)
        if address.sessions:
            waits = self._has(address, WAITING_IN_SESSION, OVERDUE, held=session_id or "")
        else:
            waits = self._has(address, WAITING, OVERDUE)
        if not waits:
            return []

        def lock(connection: sqlite3.Connection) -> list[ReceivedMessage]:
            now = self._now()
            until = now + rows.micros(address.config.lock_seconds)
            if address.sessions:
                until = self._sessions.until(connection, address, session_id or "", now)
            rows.tidy(connection, address, now)
            waiting = "SELECT seq FROM messages WHERE queue = :queue AND state = :state"
            waiting += " AND session_id = :session" if address.sessions else ""
            values = {"queue": address.name, "state": ACTIVE, "session": session_id, "count": count}
            chosen = connection.execute(f"{waiting} ORDER BY seq LIMIT :count", values).fetchall()
            statement = """UPDATE messages SET state = ?, until = ?, lock_token = ?, owner = ?,
                delivery_count = delivery_count + 1 WHERE seq = ? RETURNING *"""
            owner = current_owner()
            keys = [(LOCKED, until, uuid.uuid4().hex, owner, row["seq"]) for row in chosen]
            return [rows.received(connection.execute(statement, key).fetchone()) for key in keys]

        return self._database.write(lock)

    def accept_session(self, queue: str) -> str | None:
        """Lock and return the session with the oldest waiting message that nobody consumes; None if there is none."""
        address = resolve(self._queues, queue)
        if not address.sessions:
            raise Malformed(f"The queue {address.name} has no sessions: receive from it without accepting one.")
        if not self._has(address, bus_sessions.FREE, OVERDUE):
            return None

        def accept(connection: sqlite3.Connection) -> tuple[str, str] | None:
            now = self._now()
            rows.tidy(connection, address, now)
            return self._sessions.accept(connection, address, now)

        accepted = self._database.write(accept)
        if accepted is None:
            return None
        self._sessions.remember(address, *accepted)
        return accepted[0]

    def renew_session(self, queue: str, session_id: str) -> None:
        """Extend the lock on a session and on its messages. Raises Conflict if it was lost."""
        address = resolve(self._queues, queue)
        self._database.write(lambda connection: self._sessions.renew(connection, address, session_id, self._now()))

    def release_session(self, queue: str, session_id: str) -> None:
        """Let another consumer have the session; messages of it that are not settled are available again."""
        address = resolve(self._queues, queue)
        token = self._sessions.forget(address, session_id)
        if token is not None:
            self._database.write(lambda connection: bus_sessions.release(connection, address, session_id, token))

    # ------------------------------------------------------------------------------------------------------ settling

    def complete(self, message: ReceivedMessage) -> None:
        """Remove the message. Raises Conflict if the lock was lost."""

        def delete(connection: sqlite3.Connection) -> None:
            _, row = self._locked(connection, message)
            connection.execute("DELETE FROM messages WHERE seq = ?", (row["seq"],))

        self._database.write(delete)

    def abandon(self, message: ReceivedMessage) -> None:
        """Give the message back at once, or dead-letter it if that was its last delivery. Raises Conflict."""
        self._database.write(lambda connection: rows.give_back(connection, *self._locked(connection, message)))

    def dead_letter(self, message: ReceivedMessage, reason: str, description: str) -> None:
        """Move the message to the dead-letter queue. Raises Conflict if the lock was lost."""
        address = resolve(self._queues, message.queue)
        if address.is_dead_letter:
            raise Malformed(f"{address.name} is a dead-letter queue: complete or abandon its messages.")

        def move(connection: sqlite3.Connection) -> None:
            _, row = self._locked(connection, message)
            rows.bury(connection, address, row, reason, description)

        self._database.write(move)

    def renew(self, message: ReceivedMessage) -> ReceivedMessage:
        """Extend the lock; for a message of a session, the session's. Raises Conflict if it was lost."""

        def extend(connection: sqlite3.Connection) -> ReceivedMessage:
            now = self._now()
            address, row = self._locked(connection, message)
            if address.sessions:
                self._sessions.renew(connection, address, message.session_id or "", now)
            else:
                until = now + rows.micros(address.config.lock_seconds)
                connection.execute("UPDATE messages SET until = ? WHERE seq = ?", (until, row["seq"]))
            return rows.received(connection.execute("SELECT * FROM messages WHERE seq = ?", (row["seq"],)).fetchone())

        return self._database.write(extend)

    # ------------------------------------------------------------------------------------------------------- looking

    def counts(self, queue: str) -> QueueCounts:
        """How many messages wait in the queue. Active ones include those that are locked, as in Service Bus."""
        address = resolve(self._queues, queue)
        if self._has(address, OVERDUE):
            self._database.write(lambda connection: rows.tidy(connection, address, self._now()))

        def count(connection: sqlite3.Connection) -> QueueCounts:
            statement = "SELECT COUNT(*), COALESCE(SUM(state = ?), 0) FROM messages WHERE queue = ?"
            total, scheduled = connection.execute(statement, (SCHEDULED, address.name)).fetchone()
            buried = 0
            if not address.is_dead_letter:
                values = (SCHEDULED, dead_letter_name(address.config.name))
                buried = connection.execute(statement, values).fetchone()[0]
            return QueueCounts(active=total - scheduled, scheduled=scheduled, dead_letter=buried)

        return self._database.read(count)

    def peek(self, queue: str, count: int = 32) -> list[ReceivedMessage]:
        """The first `count` messages without locking them; locked ones and scheduled ones (`locked_until`: due) too."""
        address = resolve(self._queues, queue)
        statement = "SELECT * FROM messages WHERE queue = ? ORDER BY seq LIMIT ?"
        found = self._database.read(lambda connection: connection.execute(statement, (address.name, count)).fetchall())
        return [replace(rows.received(row), lock_token="") for row in found]

    def release_orphans(self) -> int:
        """Free messages and sessions whose owning process no longer lives; returns how many.

        So a restart after SIGKILL goes on at once and does not wait for locks to expire. The death of a process does
        not count as a delivery: it is rarely the message's fault, and killing the host a few times must not bury what
        it was working on. After `UNCOUNTED_DEATHS` deaths it counts, for then the message may well be what kills.
        """
        addresses = [
            Address(config, is_dead_letter) for config in self._queues.values() for is_dead_letter in (False, True)
        ]
        return self._database.write(lambda connection: rows.release_dead(connection, addresses))

    def close(self) -> None:
        """Close the file. Locks stay until they expire or `release_orphans` frees them."""
        self._database.close()

    # ----------------------------------------------------------------------------------------------------- internals

    def _now(self) -> int:
        return rows.as_micros(self._clock.now())

    def _has(self, address: Address, *queries: str, held: str | None = None) -> bool:
        """Whether a query finds something. Looking first keeps the poll of an empty queue a read, without a lock.

        Raises:
            Conflict: the session `held` is not held (any more).
        """
        now = self._now()
        values = {"queue": address.name, "now": now, "session": held, **rows.STATES}

        def look(connection: sqlite3.Connection) -> bool:
            if held is not None:
                self._sessions.until(connection, address, held, now)
            return any(connection.execute(query, values).fetchone() for query in queries)

        return self._database.read(look)

    def _locked(self, connection: sqlite3.Connection, message: ReceivedMessage) -> tuple[Address, sqlite3.Row]:
        # An expired lock is lost even if nobody else took the message yet: the same rule in every case.
        address = resolve(self._queues, message.queue)
        statement = "SELECT * FROM messages WHERE seq = ? AND queue = ? AND state = ? AND lock_token = ? AND until > ?"
        values = (message.sequence_number, address.name, LOCKED, message.lock_token, self._now())
        row: sqlite3.Row | None = connection.execute(statement, values).fetchone()
        if row is None:
            raise Conflict(
                f"The lock on message {message.message_id} of {address.name} was lost; it is delivered again."
            )
        return address, row

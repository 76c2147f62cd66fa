"""Sessions of the local bus: one consumer per session id, whose lock covers every message that it received from it."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Final

from shared.adapters.local import bus_rows as rows
from shared.adapters.local.bus_database import LOCKED
from shared.adapters.local.owners import current_owner
from shared.adapters.queues import Address
from shared.errors import Conflict

FREE: Final = """SELECT session_id FROM messages AS m
    WHERE queue = :queue AND state = :active AND NOT EXISTS (
        SELECT 1 FROM sessions AS s WHERE s.queue = m.queue AND s.session_id = m.session_id AND s.until > :now)
    ORDER BY seq LIMIT 1"""


class HeldSessions:
    """The sessions that one consumer holds. Every method but the first two runs inside a transaction of its caller."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], str] = {}

    def remember(self, address: Address, session_id: str, token: str) -> None:
        """Keep the token of an accepted session, once the transaction that took it is committed."""
        self._tokens[address.name, session_id] = token

    def forget(self, address: Address, session_id: str) -> str | None:
        """Give up the token of a session, if it is held."""
        return self._tokens.pop((address.name, session_id), None)

    def accept(self, connection: sqlite3.Connection, address: Address, now: int) -> tuple[str, str] | None:
        """Lock the session with the oldest waiting message that nobody consumes; its id and token."""
        row = connection.execute(FREE, {"queue": address.name, "now": now, **rows.STATES}).fetchone()
        if row is None:
            return None
        session_id, token = str(row[0]), uuid.uuid4().hex
        values = (address.name, session_id, token, now + rows.micros(address.config.lock_seconds), current_owner())
        connection.execute("INSERT OR REPLACE INTO sessions VALUES (?, ?, ?, ?, ?)", values)
        return session_id, token

    def until(self, connection: sqlite3.Connection, address: Address, session_id: str, now: int) -> int:
        """When the lock on the session ends. Raises Conflict if it is not held (any more)."""
        statement = "SELECT until FROM sessions WHERE queue = ? AND session_id = ? AND token = ? AND until > ?"
        token = self._tokens.get((address.name, session_id))
        row = connection.execute(statement, (address.name, session_id, token, now)).fetchone()
        if row is None:
            raise Conflict(f"The session {session_id!r} of {address.name} is not locked by this consumer (any more).")
        return int(row[0])

    def renew(self, connection: sqlite3.Connection, address: Address, session_id: str, now: int) -> None:
        """Extend the lock on the session and on its messages. Raises Conflict if it was lost."""
        self.until(connection, address, session_id, now)
        key = (now + rows.micros(address.config.lock_seconds), address.name, session_id)
        connection.execute("UPDATE sessions SET until = ? WHERE queue = ? AND session_id = ?", key)
        # Messages are locked as long as their session is: equal times let one rule (`tidy`) serve both.
        statement = "UPDATE messages SET until = ? WHERE queue = ? AND session_id = ? AND state = ?"
        connection.execute(statement, (*key, LOCKED))


def release(connection: sqlite3.Connection, address: Address, session_id: str, token: str) -> None:
    """Undo the lock on the session, if this token still holds it, and on its messages.

    That is no failed delivery of them, in Service Bus either:
    https://learn.microsoft.com/azure/service-bus-messaging/message-sessions#impact-of-delivery-count.
    """
    statement = "DELETE FROM sessions WHERE queue = ? AND session_id = ? AND token = ?"
    if connection.execute(statement, (address.name, session_id, token)).rowcount:
        statement = "SELECT * FROM messages WHERE queue = ? AND session_id = ? AND state = ?"
        for row in connection.execute(statement, (address.name, session_id, LOCKED)).fetchall():
            rows.give_back_uncounted(connection, row)

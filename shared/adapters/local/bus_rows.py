"""Rows of the bus database: the few statements of which every operation on a queue is made.

Every function runs inside a transaction of its caller. A row is ACTIVE, LOCKED until a time, or SCHEDULED until a time.
"""

from __future__ import annotations

import json
import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

from shared.adapters.local.bus_database import ACTIVE, LOCKED, SCHEDULED
from shared.adapters.local.owners import is_dead
from shared.adapters.queues import (
    MAX_DELIVERY_REASON,
    UNCOUNTED_DEATHS,
    Address,
    dead_letter_name,
    exhausted_description,
)
from shared.ports import OutgoingMessage, ReceivedMessage

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
STATES: Final = {"active": ACTIVE, "locked": LOCKED, "scheduled": SCHEDULED}


def send(connection: sqlite3.Connection, address: Address, message: OutgoingMessage, now: int) -> None:
    """Insert the message unless its id is remembered."""
    window = micros(address.config.duplicate_window_seconds)
    if window > 0:
        # The id is remembered from the first send, whatever becomes of the message; a repetition does not extend it.
        values = (address.name, message.message_id, now + window)
        if connection.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", values).rowcount == 0:
            return
    due = as_micros(message.deliver_at) if message.deliver_at else 0
    state, until = (SCHEDULED, due) if due > now else (ACTIVE, 0)
    texts = (message.session_id, message.message_id, message.body, message.subject, message.correlation_id)
    connection.execute(
        """INSERT INTO messages (queue, state, until, session_id, message_id, body, subject, correlation_id, properties,
            enqueued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (address.name, state, until, *texts, json.dumps(dict(message.properties)), now),
    )


def forget(connection: sqlite3.Connection, now: int) -> None:
    """Forget the ids whose window of duplicate detection is over."""
    connection.execute("DELETE FROM seen WHERE until <= ?", (now,))


def tidy(connection: sqlite3.Connection, address: Address, now: int) -> None:
    """Bring the queue up to the time: expired locks are undone, due messages become active at the queue's end."""
    overdue = "SELECT * FROM messages WHERE queue = ? AND state = ? AND until <= ? ORDER BY until, seq"
    for row in connection.execute(overdue, (address.name, LOCKED, now)).fetchall():
        give_back(connection, address, row)
    for row in connection.execute(overdue, (address.name, SCHEDULED, now)).fetchall():
        # A due message gets a new sequence number, as in Service Bus: order is the order of becoming active.
        connection.execute(
            """INSERT INTO messages (queue, state, until, session_id, message_id, body, subject, correlation_id,
                properties, enqueued_at) SELECT queue, ?, 0, session_id, message_id, body, subject, correlation_id,
                properties, until FROM messages WHERE seq = ?""",
            (ACTIVE, row["seq"]),
        )
        connection.execute("DELETE FROM messages WHERE seq = ?", (row["seq"],))


def give_back(connection: sqlite3.Connection, address: Address, row: sqlite3.Row) -> None:
    """Undo the lock; a message that was delivered too often goes to the dead-letter queue instead."""
    deliveries = row["delivery_count"]
    if address.is_exhausted(deliveries):
        bury(connection, address, row, MAX_DELIVERY_REASON, exhausted_description(address, deliveries))
    else:
        statement = "UPDATE messages SET state = ?, until = 0, lock_token = NULL, owner = NULL WHERE seq = ?"
        connection.execute(statement, (ACTIVE, row["seq"]))


def give_back_uncounted(connection: sqlite3.Connection, row: sqlite3.Row) -> None:
    """Undo the lock as if the message had not been delivered."""
    connection.execute(
        """UPDATE messages SET state = ?, until = 0, lock_token = NULL, owner = NULL,
            delivery_count = delivery_count - 1 WHERE seq = ?""",
        (ACTIVE, row["seq"]),
    )


def bury(connection: sqlite3.Connection, address: Address, row: sqlite3.Row, reason: str, description: str) -> None:
    """Move the message to the dead-letter queue."""
    connection.execute(
        """UPDATE messages SET queue = ?, state = ?, until = 0, lock_token = NULL, owner = NULL,
            dead_letter_reason = ?, dead_letter_description = ? WHERE seq = ?""",
        (dead_letter_name(address.config.name), ACTIVE, reason, description, row["seq"]),
    )


def release_dead(connection: sqlite3.Connection, addresses: list[Address]) -> int:
    """Free what dead processes hold in these queues; returns how many messages and sessions."""
    holders = "SELECT owner FROM messages WHERE state = ? UNION SELECT owner FROM sessions"
    dead = [owner for (owner,) in connection.execute(holders, (LOCKED,)).fetchall() if is_dead(owner)]
    freed = 0
    for owner in dead:
        freed += connection.execute("DELETE FROM sessions WHERE owner = ?", (owner,)).rowcount
        for address in addresses:
            held = (address.name, LOCKED, owner)
            connection.execute(
                """UPDATE messages SET delivery_count = delivery_count - 1, deaths = deaths + 1
                    WHERE queue = ? AND state = ? AND owner = ? AND deaths < ?""",
                (*held, UNCOUNTED_DEATHS),
            )
            statement = "SELECT * FROM messages WHERE queue = ? AND state = ? AND owner = ?"
            for row in connection.execute(statement, held).fetchall():
                give_back(connection, address, row)
                freed += 1
    return freed


def received(row: sqlite3.Row) -> ReceivedMessage:
    """The row as the port's value; a message without a lock has an empty token."""
    return ReceivedMessage(
        queue=row["queue"],
        body=bytes(row["body"]),
        message_id=row["message_id"],
        sequence_number=row["seq"],
        delivery_count=row["delivery_count"],
        lock_token=row["lock_token"] or "",
        enqueued_at=from_micros(row["enqueued_at"]),
        locked_until=from_micros(row["until"] or row["enqueued_at"]),
        session_id=row["session_id"],
        subject=row["subject"],
        correlation_id=row["correlation_id"],
        properties=json.loads(row["properties"]),
        dead_letter_reason=row["dead_letter_reason"],
        dead_letter_description=row["dead_letter_description"],
    )


def micros(seconds: float) -> int:
    """Seconds in microseconds."""
    return round(seconds * 1_000_000)


def as_micros(time: datetime) -> int:
    """A time in microseconds since 1970."""
    return (time - EPOCH) // timedelta(microseconds=1)


def from_micros(value: int) -> datetime:
    """The time that `as_micros` gave."""
    return EPOCH + timedelta(microseconds=value)

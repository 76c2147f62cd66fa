"""The SQLite file under the local bus: its tables, and transactions that several threads and processes may run at once.

WAL with `synchronous=NORMAL`: a commit is in the operating system's page cache when `send` returns, so killing any or
all processes loses nothing. Only a power cut may undo the last commits; it never damages the file.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

from shared.errors import GenAIOpsError, Transient

T = TypeVar("T")

VERSION: Final = 1
BUSY_SECONDS: Final = 5.0
"""How long SQLite waits for another process's write; a write takes well under a millisecond."""
ATTEMPTS: Final = 4

ACTIVE: Final = 0
LOCKED: Final = 1
SCHEDULED: Final = 2

SCHEMA: Final = (
    # `until` is when a lock ends (LOCKED) or when the message is due (SCHEDULED). Times are microseconds since 1970.
    # AUTOINCREMENT: a sequence number is never given twice, even after the newest message was completed.
    """CREATE TABLE IF NOT EXISTS messages (
        seq INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, state INTEGER NOT NULL, until INTEGER NOT NULL,
        session_id TEXT, message_id TEXT NOT NULL, body BLOB NOT NULL, subject TEXT, correlation_id TEXT,
        properties TEXT NOT NULL, enqueued_at INTEGER NOT NULL, delivery_count INTEGER NOT NULL DEFAULT 0,
        deaths INTEGER NOT NULL DEFAULT 0, lock_token TEXT, owner TEXT,
        dead_letter_reason TEXT, dead_letter_description TEXT)""",
    "CREATE INDEX IF NOT EXISTS messages_in_order ON messages (queue, state, seq)",
    "CREATE INDEX IF NOT EXISTS messages_by_time ON messages (queue, state, until)",
    """CREATE TABLE IF NOT EXISTS sessions (
        queue TEXT NOT NULL, session_id TEXT NOT NULL, token TEXT NOT NULL, until INTEGER NOT NULL, owner TEXT NOT NULL,
        PRIMARY KEY (queue, session_id)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS seen (
        queue TEXT NOT NULL, message_id TEXT NOT NULL, until INTEGER NOT NULL,
        PRIMARY KEY (queue, message_id)) WITHOUT ROWID""",
    "CREATE INDEX IF NOT EXISTS seen_by_time ON seen (until)",
    f"PRAGMA user_version = {VERSION}",
)


class BusDatabase:
    """One connection per process, shared by its threads under a lock: SQLite lets only one writer work anyway."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._pid = 0
        self._mutex = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self.read(lambda connection: connection.execute("SELECT 1").fetchone())

    def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run queries. Raises Transient where the database stays busy or its disk is full."""
        return self._run(work, write=False)

    def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in one transaction, which is committed when this returns and undone if `work` raises."""
        return self._run(work, write=True)

    def close(self) -> None:
        """Close the file; using the database again opens it again."""
        with self._mutex:
            if self._connection is not None and self._pid == os.getpid():
                self._connection.close()
            self._connection = None

    def _run(self, work: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        if self._pid not in (0, os.getpid()):
            self._leave_to_parent()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                with self._mutex, self._transaction(write) as connection:
                    return work(connection)
            except sqlite3.OperationalError as error:
                text = str(error)
                if "locked" not in text and "busy" not in text:
                    raise _explained(error, self._path) from error
                if attempt == ATTEMPTS:
                    break
            except sqlite3.DatabaseError as error:
                if type(error) is not sqlite3.DatabaseError:
                    raise  # its other subclasses are mistakes of this code
                raise GenAIOpsError(
                    f"The queue database {self._path} cannot be read ({error}). Restore it, or move it away with the "
                    "files named alike to start with empty queues."
                ) from error
            time.sleep(0.01 * attempt)
        raise Transient(
            f"The queue database {self._path} was locked by another process for {ATTEMPTS * BUSY_SECONDS:.0f} s. "
            "Try again; if it stays so, look for a stopped process that uses the file."
        )

    def _leave_to_parent(self) -> None:
        """Start afresh in a forked child, which must not use its parent's connection.

        The mutex may be held by a thread that the child does not have, and closing the connection (as collecting it
        would) would act on the parent's file: so the one is replaced and the other kept.
        """
        self._pid = os.getpid()
        self._mutex = threading.RLock()
        if self._connection is not None:
            self._inherited.append(self._connection)
            self._connection = None

    @contextmanager
    def _transaction(self, write: bool) -> Iterator[sqlite3.Connection]:
        connection = self._connection or self._open()
        # IMMEDIATE takes the write lock first. A transaction that began as a reader could not wait for it: SQLite
        # answers such a one at once with BUSY, whatever the timeout.
        connection.execute("BEGIN IMMEDIATE" if write else "BEGIN")
        try:
            yield connection
        except BaseException:
            if connection.in_transaction:
                connection.rollback()
            raise
        try:
            connection.commit()
        except sqlite3.Error:
            if connection.in_transaction:
                connection.rollback()
            raise

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        try:
            connection.row_factory = sqlite3.Row
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = NORMAL")
            _prepare(connection, self._path)
        except BaseException:
            connection.close()
            raise
        self._connection, self._pid = connection, os.getpid()
        return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, VERSION):
        raise GenAIOpsError(
            f"The queue database {path} has layout {version}; this version reads layout {VERSION}. "
            "Move the file away to start with empty queues, or use the version that wrote it."
        )
    if version == 0:
        connection.execute("BEGIN IMMEDIATE")
        for statement in SCHEMA:  # every one may be repeated: another process may have been first
            connection.execute(statement)
        connection.commit()


def _explained(error: sqlite3.OperationalError, path: Path) -> Transient:
    if "full" in str(error):
        return Transient(f"The disk that holds the queue database {path} is full ({error}). Free space and try again.")
    return Transient(f"The queue database {path} could not be used: {error}.")

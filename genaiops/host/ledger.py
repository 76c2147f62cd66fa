"""What the host must remember over a restart: which blob versions were handled, and when each timer ran.

One SQLite file in the host's folder. A row is written after the function has returned, never before, so that a host
that is killed in between calls the function again: at least once.
"""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS blob_receipts (
    function TEXT, container TEXT, name TEXT, etag TEXT NOT NULL, tries INTEGER NOT NULL, settled INTEGER NOT NULL,
    PRIMARY KEY (function, container, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS timers (function TEXT PRIMARY KEY, last TEXT, updated TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class Receipt:
    """What became of one version of a blob. `settled`: handled, or given up after the last try."""

    etag: str
    tries: int
    settled: bool


@dataclass(frozen=True)
class TimerState:
    """When a timer ran last (None: never), and when that was written."""

    last: datetime | None
    updated: datetime


class Ledger:
    """The host's memory; safe to use from several threads."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.executescript(_SCHEMA)

    def receipts(self, function: str, container: str) -> dict[str, Receipt]:
        """Blob name → receipt."""
        statement = "SELECT name, etag, tries, settled FROM blob_receipts WHERE function = ? AND container = ?"
        with self._lock:
            rows = self._connection.execute(statement, (function, container)).fetchall()
        return {name: Receipt(etag, tries, bool(settled)) for name, etag, tries, settled in rows}

    def write_receipt(self, function: str, container: str, name: str, receipt: Receipt) -> None:
        """Replace the receipt of a blob."""
        values = (function, container, name, receipt.etag, receipt.tries, receipt.settled)
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO blob_receipts VALUES (?, ?, ?, ?, ?, ?)", values)

    def forget_receipt(self, function: str, container: str, name: str) -> None:
        """The blob is gone: if it comes back, it is new."""
        statement = "DELETE FROM blob_receipts WHERE function = ? AND container = ? AND name = ?"
        with self._lock:
            self._connection.execute(statement, (function, container, name))

    def timer(self, function: str) -> TimerState | None:
        """What is known of a timer; None if it was never seen."""
        statement = "SELECT last, updated FROM timers WHERE function = ?"
        with self._lock:
            row = self._connection.execute(statement, (function,)).fetchone()
        if row is None:
            return None
        return TimerState(datetime.fromisoformat(row[0]) if row[0] else None, datetime.fromisoformat(row[1]))

    def write_timer(self, function: str, state: TimerState) -> None:
        """Replace what is known of a timer."""
        values = (function, state.last.isoformat() if state.last else None, state.updated.isoformat())
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO timers VALUES (?, ?, ?)", values)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

"""One host per home: a second one would compete for ports and keep a second set of timers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from genaiops.host.errors import HostError

_WAIT_S: Final = 1.0
"""A host that was killed lets go of the lock when the kernel has taken it apart: a moment later."""


class HomeLock:
    """A lock on a folder that the operating system drops when its process ends, however it ends.

    Taken twice, it is let go when it was released twice.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = FileLock(folder / "host.lock")
        self._pid = folder / "host.pid"  # not in the lock file, which other processes cannot read on Windows

    def acquire(self) -> None:
        """Take the lock. Raises HostError naming the process that has it."""
        try:
            self._lock.acquire(timeout=_WAIT_S)
        except Timeout as error:
            raise HostError(
                f"Another host (pid {self.holder()}) runs in {self._folder}. "
                "Stop it, or set GENAIOPS_HOME to another folder."
            ) from error
        self._pid.write_text(str(os.getpid()), encoding="ascii")

    def release(self) -> None:
        """Let another host start."""
        if self._lock.is_locked:
            if self._lock.lock_counter == 1:
                self._pid.unlink(missing_ok=True)  # before another host can write its own
            self._lock.release()

    def is_taken(self) -> bool:
        """Whether a host runs there now. Makes no file."""
        if not self._pid.is_file():
            return False
        probe = FileLock(self._folder / "host.lock")
        try:
            probe.acquire(timeout=0)
        except Timeout:
            return True
        probe.release()
        return False

    def holder(self) -> str:
        """Who has the lock: its process id, or `unknown`."""
        try:
            return self._pid.read_text(encoding="ascii") or "unknown"
        except OSError:
            return "unknown"

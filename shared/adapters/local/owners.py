"""Which process holds something, written so that another process can tell later whether it still lives.

A process id alone does not do: after SIGKILL and a restart the same number may belong to somebody else. So the owner is
the id with the start time, and on Linux with the boot and the pid namespace in which both mean something.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from pathlib import Path


def current_owner() -> str:
    """The name of this process, for `is_dead`. It holds letters, digits, `-` and `.` only: it fits into file names."""
    return _owner_of(os.getpid())


def is_dead(owner: str) -> bool:
    """Whether the process of that name is known to be gone. Where nobody can tell, it counts as alive."""
    try:
        kind, boot, space, pid_text, start = owner.split(".")
        pid = int(pid_text)
    except ValueError:
        return True  # not a name that this module gave: nothing alive wrote it
    if kind == "linux" and sys.platform == "linux":
        if boot != _boot():
            return True
        if space != _namespace():
            return (
                False  # another container on this machine: its pids mean nothing here, its locks expire by themselves
            )
        return _linux_start(pid) != start
    return kind != "any" or _portable_start(pid) != start


@lru_cache(maxsize=4)  # a forked child has another pid, so another entry
def _owner_of(pid: int) -> str:
    if sys.platform == "linux":
        return f"linux.{_boot()}.{_namespace()}.{pid}.{_linux_start(pid)}"
    return f"any.0.0.{pid}.{_portable_start(pid)}"


@lru_cache(maxsize=1)
def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _namespace() -> str:
    return "".join(character for character in str(Path("/proc/self/ns/pid").readlink()) if character.isdigit())


def _linux_start(pid: int) -> str | None:
    """Start time in clock ticks since boot; None for a process that is gone or waits as a zombie to be reaped."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()  # the command name before it may hold spaces and parentheses
    return None if fields[0] in "ZX" else fields[19]


def _portable_start(pid: int) -> str | None:
    import psutil

    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else str(int(process.create_time() * 1000))
    except psutil.Error:
        return None

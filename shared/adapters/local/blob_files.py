"""The files under the local blob store: locks between threads and processes, temporary files, and ETags.

A blob is a plain file that is never changed, only replaced: whoever has it open reads one version to its end. Its ETag
is its modification time with its inode and size; the time is set before the file gets its name and always lies after
that of the version it replaces, so writing the same content again gives a new ETag and no side file can disagree.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from shared.adapters.local.owners import current_owner, is_dead
from shared.errors import Transient

CHUNK: Final = 1024 * 1024
STRIPES: Final = 64
FULL: Final = (errno.ENOSPC, errno.EDQUOT)
STEPS_NS: Final = (1, 1_000, 1_000_000, 2_000_000_000)
"""File systems keep times to 1 ns, 100 ns, 1 ms or 2 s: the first step that shows is taken."""


class BlobFiles:
    """Temporary files and locks in `root`, on the same file system as the blobs."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._temporary = root / ".tmp"
        self._locks = root / ".locks"
        with explained(root):
            self._temporary.mkdir(parents=True, exist_ok=True)
            self._locks.mkdir(exist_ok=True)
        self.folds_names = (root / ".TMP").exists()
        """Whether the file system takes names that differ by case for the same."""
        self._sweep()

    @contextmanager
    def locked(self, key: str) -> Iterator[None]:
        """Hold the lock for a blob, against threads and processes.

        `flock` belongs to the open file, not to the process, so it excludes threads too; the kernel undoes it when its
        holder dies. Blobs share a few lock files: a lock file per blob could never be deleted safely.
        """
        with explained(self._root):
            handle = os.open(self._locks / f"{zlib.crc32(key.encode()) % STRIPES:02}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @contextmanager
    def temporary(self, *contents: bytes | BinaryIO) -> Iterator[Path]:
        """A temporary file with these contents one after the other, on disk; it is removed unless it was moved away.

        Raises:
            Transient: the disk is full.
        """
        path = self._temporary / f"{current_owner()}.{uuid.uuid4().hex}"
        try:
            with explained(self._root), path.open("xb") as file:
                for content in contents:
                    if isinstance(content, bytes):
                        file.write(content)
                    else:
                        shutil.copyfileobj(content, file, CHUNK)
                file.flush()
                # Without it, a power cut after the rename could leave an empty file under the blob's name.
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    def place(self, temporary: Path, target: Path, former: os.stat_result | None) -> str:
        """Give the temporary file its name, under the blob's lock; returns the ETag.

        Raises:
            FileExistsError, NotADirectoryError, IsADirectoryError: a blob lies where a folder is needed or vice versa.
        """
        _date_after(temporary, former)
        etag = etag_of(temporary.stat())
        while temporary.exists():
            try:
                target.parent.mkdir(parents=True, exist_ok=True)
                temporary.replace(target)
            except FileNotFoundError:
                continue  # meanwhile somebody deleted the last blob of the folder, and the folder with it
            except IsADirectoryError:
                target.rmdir()  # a folder that a killed deletion left empty; one with blobs in it stays, and raises
                continue
            return etag
        raise Transient(f"The temporary file {temporary} was removed by somebody else. Try again.")

    def remove(self, target: Path, container: Path) -> None:
        """Delete a blob's file and the folders that become empty, so that their names are free for blobs."""
        target.unlink(missing_ok=True)
        for folder in target.parents:
            if folder == container:
                return
            try:
                folder.rmdir()
            except OSError:
                return  # not empty, or already removed by another process

    def _sweep(self) -> None:
        """Remove what killed writers left behind."""
        for path in self._temporary.iterdir():
            if is_dead(path.name.rpartition(".")[0]):
                path.unlink(missing_ok=True)


@contextmanager
def explained(root: Path) -> Iterator[None]:
    """Turn a full disk into Transient with what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise Transient(
            f"The disk that holds {root} is full ({error.strerror}); nothing was changed. Free space and try again."
        ) from error


def etag_of(stat: os.stat_result) -> str:
    """The ETag of a blob's file."""
    return f"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}"


def _date_after(path: Path, former: os.stat_result | None) -> None:
    """Set the file's time to now, but later than the former version's, whatever the clock and the file system do."""
    now = time.time_ns()
    os.utime(path, ns=(now, now))
    if former is None or path.stat().st_mtime_ns > former.st_mtime_ns:
        return
    for step in STEPS_NS:
        os.utime(path, ns=(now, former.st_mtime_ns + step))
        if path.stat().st_mtime_ns > former.st_mtime_ns:
            return

"""The local blob store: one plain file per blob, under `<root>/<container>/`, replaced atomically (POSIX systems).

How a write moves: content streams into a temporary file and onto the disk; then, under the blob's lock, the conditions
are checked and the file is renamed over the blob. Readers take no lock: they see the old or the new file.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from shared.adapters.blob_names import check_names, clash, decode_part, encode_part
from shared.adapters.local.blob_files import BlobFiles, etag_of, explained
from shared.errors import Conflict, InvalidName, NotFound
from shared.ports import BlobInfo

__all__ = ["FileBlobStore"]

MISSING = (FileNotFoundError, NotADirectoryError, IsADirectoryError)


class FileBlobStore:
    """BlobStore over files, for several threads and processes at once."""

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._files = BlobFiles(self._root)

    def read(self, container: str, name: str) -> bytes:
        """The content. Raises NotFound."""
        return self.read_with_etag(container, name)[0]

    def read_with_etag(self, container: str, name: str) -> tuple[bytes, str]:
        """The content and the ETag that belongs to it. Raises NotFound."""
        with self._opened(container, name) as file:
            return file.read(), etag_of(os.fstat(file.fileno()))

    def open(self, container: str, name: str) -> AbstractContextManager[BinaryIO]:
        """The content as a stream; it stays the same while others write. Raises NotFound."""
        return self._opened(container, name)

    def path(self, container: str, name: str) -> Path:
        """The file that holds the blob, for people and tools that want to look at it. Never write to it."""
        check_names(container, name)
        return self._path(container, name)

    def write(
        self,
        container: str,
        name: str,
        content: bytes | BinaryIO,
        *,
        if_match: str | None = None,
        if_absent: bool = False,
    ) -> str:
        """Write atomically and return the new ETag.

        Raises:
            Conflict: `if_match` is not the blob's ETag, or `if_absent` and the blob exists.
            InvalidName: also where the name is a folder of other blobs, or lies below a blob.
            Transient: the disk is full; nothing was changed.
        """
        check_names(container, name)
        target = self._path(container, name)
        with self._files.temporary(content) as temporary, self._files.locked(f"{container}/{name}"):
            former = _stat(target)
            if if_absent and former is not None:
                raise Conflict(f"The blob {container}/{name} exists.")
            if if_match is not None and (former is None or etag_of(former) != if_match):
                raise Conflict(f"The blob {container}/{name} was changed by another writer.")
            return self._place(container, name, temporary, former)

    def append(self, container: str, name: str, content: bytes) -> None:
        """Add to the end of a blob, creating it if need be.

        The blob is replaced by a copy with the content behind it. So a killed writer never leaves a torn end, which the
        next line would continue, and a reader never sees one. It costs a copy each time: logs are small.
        """
        check_names(container, name)
        target = self._path(container, name)
        with self._files.locked(f"{container}/{name}"):
            former = _stat(target)
            if former is None:
                with self._files.temporary(content) as temporary:
                    self._place(container, name, temporary, None)
                return
            with target.open("rb") as old, self._files.temporary(old, content) as temporary:
                self._place(container, name, temporary, former)

    def info(self, container: str, name: str) -> BlobInfo:
        """Raises NotFound."""
        check_names(container, name)
        found = _stat(self._path(container, name))
        if found is None:
            raise _not_found(container, name)
        return _info(container, name, found)

    def list(self, container: str, prefix: str = "") -> Iterator[BlobInfo]:
        """Blobs whose name starts with `prefix`, by name. A container that does not exist is empty.

        Folders are read when their turn comes: who wants the first few blobs does not pay for all.
        """
        check_names(container)
        folder = prefix.rpartition("/")[0]
        if folder:
            try:
                check_names(container, folder)
            except InvalidName:
                return iter(())
        start = self._path(container, folder) if folder else self._folder(container)
        names = self._names(start, f"{folder}/" if folder else "", prefix)
        stats = ((name, _stat(self._path(container, name))) for name in names)
        return (_info(container, name, found) for name, found in stats if found is not None)

    def link(self, container: str, name: str, valid_for: timedelta) -> str | None:  # noqa: ARG002
        """None: files are read through the functions."""
        check_names(container, name)
        return None

    def delete(self, container: str, name: str) -> None:
        """Remove the blob; one that does not exist is no error."""
        check_names(container, name)
        target = self._path(container, name)
        with self._files.locked(f"{container}/{name}"):
            if _stat(target) is not None:
                self._files.remove(target, self._folder(container))

    def _path(self, container: str, name: str) -> Path:
        parts = (encode_part(part, fold=self._files.folds_names) for part in name.split("/"))
        return self._folder(container).joinpath(*parts)

    def _folder(self, container: str) -> Path:
        return self._root / encode_part(container, fold=self._files.folds_names)

    @contextmanager
    def _opened(self, container: str, name: str) -> Iterator[BufferedReader]:
        check_names(container, name)
        try:
            file = self._path(container, name).open("rb")
        except MISSING:
            raise _not_found(container, name) from None
        with file:
            yield file

    def _place(self, container: str, name: str, temporary: Path, former: os.stat_result | None) -> str:
        target = self._path(container, name)
        try:
            with explained(self._root):
                return self._files.place(temporary, target, former)
        except (FileExistsError, NotADirectoryError):
            other = next(name for name in _above(name) if self._path(container, name).is_file())
            raise clash(container, name, other) from None
        except OSError as error:
            if not target.is_dir():
                raise
            raise clash(container, name, f"{name}/…") from error

    def _names(self, folder: Path, above: str, prefix: str) -> Iterator[str]:
        """Names below a folder, by name: a folder sorts as its name with a slash, as the names in it do."""
        try:
            entries = list(os.scandir(folder))
        except MISSING:
            return
        found: list[tuple[str, str]] = []
        for entry in entries:
            part = decode_part(entry.name, fold=self._files.folds_names)
            if part is None:
                continue  # not a file of this store: .DS_Store and the like
            if entry.is_dir(follow_symlinks=False):
                found.append((f"{above}{part}/", entry.path))
            elif entry.is_file(follow_symlinks=False):
                found.append((f"{above}{part}", entry.path))
        for name, path in sorted(found):
            if not name.startswith(prefix):
                continue
            if name.endswith("/"):
                yield from self._names(Path(path), name, prefix)
            else:
                yield name


def _stat(path: Path) -> os.stat_result | None:
    try:
        found = path.stat()
    except MISSING:
        return None
    return None if stat.S_ISDIR(found.st_mode) else found


def _above(name: str) -> Iterator[str]:
    parts = name.split("/")
    return ("/".join(parts[:length]) for length in range(1, len(parts)))


def _not_found(container: str, name: str) -> NotFound:
    return NotFound(f"There is no blob {container}/{name}.")


def _info(container: str, name: str, found: os.stat_result) -> BlobInfo:
    return BlobInfo(container, name, found.st_size, etag_of(found), datetime.fromtimestamp(found.st_mtime, UTC))

"""Unpacking a bundle into a folder of its own, as if it came from an enemy.

The digest says which bytes were meant, not that they are harmless: names, kinds, counts and the bytes that really come
out of each entry are checked, and the folder appears under its final name only when everything is in it.
"""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import stat
import struct
import tempfile
import time
import zipfile
import zlib
from pathlib import Path
from typing import Final

from shared.errors import Malformed
from shared.use_case.members import LARGEST_BUNDLE, MOST_FILES, folded, why_not

HIGHEST_RATIO: Final = 100
"""Unpacked to packed size, for bundles of more than 10 MB unpacked: text shrinks to a tenth, bombs to a thousandth."""
_RATIO_COUNTS_FROM: Final = 10 * 1024 * 1024
_END: Final = struct.Struct("<4s4H2LH")
_LARGEST_DIRECTORY: Final = MOST_FILES * 400
_LEFTOVER_SECONDS: Final = 3600
_PREFIX: Final = ".unpacking-"


def unpack(content: bytes, digest: str, target_root: Path) -> Path:
    """Unpack a bundle to `<target_root>/<digest>/`, or find it there.

    Several processes may do this at once; a reader sees the whole folder or none.

    Raises:
        Malformed: the content is not what the digest names, or the bundle is unsafe: says which entry, and why.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise Malformed(f"{digest!r} is no bundle's digest: expected a SHA-256 in 64 lower-case hexadecimal digits.")
    target = target_root / digest
    if target.is_dir():
        return target
    if len(content) > LARGEST_BUNDLE:
        raise Malformed(f"The bundle has {len(content):,} bytes; at most {LARGEST_BUNDLE:,} are allowed.")
    found = hashlib.sha256(content).hexdigest()
    if found != digest:
        raise Malformed(f"The bundle's digest is {found}, not {digest}: its content is not what was asked for.")
    target_root.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target_root)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target_root))
    try:
        _extract(content, folder)
        folder.chmod(0o755)  # mkdtemp keeps others out; a bundle is no secret
        try:
            folder.rename(target)
        except OSError:
            if not target.is_dir():  # else another process was first, with the same content
                raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return target


def _remove_leftovers(target_root: Path) -> None:
    """Remove what processes that were killed while unpacking left behind."""
    for leftover in target_root.glob(f"{_PREFIX}*"):
        try:
            if time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                shutil.rmtree(leftover, ignore_errors=True)
        except OSError:
            continue  # its owner finished it just now


def _extract(content: bytes, folder: Path) -> None:
    _check_directory(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
            _check_entries(entries, len(content))
            left = LARGEST_BUNDLE
            for entry in entries:
                path = folder / entry.filename
                if entry.is_dir():
                    path.mkdir(parents=True, exist_ok=True)
                    continue
                path.parent.mkdir(parents=True, exist_ok=True)
                with archive.open(entry) as source, path.open("xb") as sink:
                    # The sizes in the directory are claims: what comes out is counted.
                    while chunk := source.read(min(left + 1, 1024 * 1024)):
                        left -= len(chunk)
                        if left < 0:
                            raise Malformed(f"The bundle unpacks to more than {LARGEST_BUNDLE:,} bytes.")
                        sink.write(chunk)
    except (zipfile.BadZipFile, zlib.error, EOFError, struct.error, NotImplementedError, ValueError) as error:
        raise Malformed(f"The bundle is not a readable zip file: {error}.") from error


def _check_directory(content: bytes) -> None:
    """The table of contents is bounded before the zip module holds one object per entry of it.

    The end record must be the last thing in the file (no comment), and the older format without zip64's second table,
    so that there is one reading of where that table is and how long.
    """
    if len(content) < _END.size:
        raise Malformed("The bundle is not a zip file: it is too short.")
    signature, *_, size, _, comment = _END.unpack(content[-_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise Malformed("The bundle is not a zip file that ends with its table of contents and no comment.")
    if content[-_END.size - 20 :].startswith(b"PK\x06\x07") or size > _LARGEST_DIRECTORY:
        raise Malformed(f"The bundle has too many entries: at most {MOST_FILES:,} are allowed.")


def _check_entries(entries: list[zipfile.ZipInfo], packed: int) -> None:
    if len(entries) > MOST_FILES:
        raise Malformed(f"The bundle has {len(entries):,} entries; at most {MOST_FILES:,} are allowed.")
    claimed = sum(entry.file_size for entry in entries)
    if claimed > LARGEST_BUNDLE:
        raise Malformed(f"The bundle unpacks to {claimed:,} bytes; at most {LARGEST_BUNDLE:,} are allowed.")
    if claimed > _RATIO_COUNTS_FROM and claimed > HIGHEST_RATIO * packed:
        raise Malformed(
            f"The bundle unpacks to {claimed // packed} times its size; at most {HIGHEST_RATIO} is allowed."
        )
    seen: dict[str, zipfile.ZipInfo] = {}
    for entry in entries:
        _check_name(entry)
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind not in (0, stat.S_IFDIR if entry.is_dir() else stat.S_IFREG):
            raise Malformed(f"The bundle's entry {entry.filename!r} is a link or a device; only files are allowed.")
        if entry.flag_bits & 0x1:
            raise Malformed(f"The bundle's entry {entry.filename!r} is encrypted; only plain files are allowed.")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Malformed(f"The bundle's entry {entry.filename!r} is packed in an unusual way; use deflate or store.")
        key = folded(entry.filename)
        if key in seen:
            raise Malformed(
                f"The bundle has {seen[key].filename!r} and {entry.filename!r}: one name twice, or alike but for case."
            )
        seen[key] = entry
    for key, entry in seen.items():
        parts = key.split("/")
        for length in range(1, len(parts)):
            parent = seen.get("/".join(parts[:length]))
            if parent is not None and not parent.is_dir():
                raise Malformed(
                    f"The bundle has {parent.filename!r} both as a file and as the folder of {entry.filename!r}."
                )


def _check_name(entry: zipfile.ZipInfo) -> None:
    # `filename` was cut at a NUL and had separators replaced: the name as it was stored is judged.
    name = entry.orig_filename
    if reason := why_not(name):
        raise Malformed(
            f"The bundle's entry {name[:80]!r} {reason}; only relative paths inside the bundle are allowed."
        )
    # Python 3.12 and later take `filename` from the extra field 0x7075 where there is one: what is written to must be
    # what was judged.
    if entry.filename != name:
        raise Malformed(
            f"The bundle's entry {name[:80]!r} has {entry.filename[:80]!r} as a second name; an entry has one name."
        )

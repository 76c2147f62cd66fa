"""What of a use case folder travels in its bundle, and whether every name of it can be unpacked anywhere.

Packing, unpacking and validating ask the same questions here, so that a folder which is found valid can be sent.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from shared.digests import files_of
from shared.errors import BusinessFailure, Malformed
from shared.use_case.problems import Problems
from shared.use_case.sources import EXPERIMENT, outside_files

LARGEST_BUNDLE: Final = 200 * 1024 * 1024
"""Bytes, packed or unpacked."""
MOST_FILES: Final = 10_000
LONGEST_PATH: Final = 240
"""Characters of a path in a bundle."""
LONGEST_PART: Final = 250
"""Bytes of a file's or a folder's name."""


def members(folder: Path, data: Path | None) -> dict[str, Path]:
    """Name in the bundle → file.

    Raises:
        Malformed: the folder holds links, devices, or names that cannot be unpacked everywhere.
        BusinessFailure: there is too much, or datasets stand in each other's way.
    """
    found = dict(files_of(folder))
    outside = outside_files(folder, data)
    for source, path in outside.items():
        found[f"data/{Path(source).as_posix()}"] = path
    for source in outside:
        if Path(source).as_posix() in found:
            raise BusinessFailure(
                f"The dataset source {source!r} would mean another file inside the bundle: rename one of the two files."
            )
    size = sum(path.stat().st_size for path in found.values())
    if size > LARGEST_BUNDLE or len(found) > MOST_FILES:
        raise BusinessFailure(
            f"The use case has {len(found):,} files with {size:,} bytes; a bundle may have {MOST_FILES:,} files "
            f"with {LARGEST_BUNDLE:,} bytes. Move what its flows do not need out of {folder}."
        )
    return found


def named(folder: Path, data: Path | None) -> dict[str, Path]:
    """`members`, all of whose names can be unpacked. Raises as it does."""
    found = members(folder, data)
    for _, message in faults(found):
        raise Malformed(message)
    return found


def check(folder: Path, data: Path | None, problems: Problems) -> None:
    """Note everything for which `named` would refuse the folder."""
    try:
        found = members(folder, data)
    except (Malformed, BusinessFailure) as error:
        problems.add(EXPERIMENT, 0, "folder", str(error))
        return
    for name, message in faults(found):
        problems.add(name.encode("unicode_escape").decode(), 0, "file", message)


def faults(names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(name, what is wrong with it and what to do) of each file that could not be unpacked everywhere."""
    files = set(names)
    seen: dict[str, str] = {}
    for name in sorted(files):
        if reason := why_not(name):
            yield name, f"The path {name[:80]!r} {reason}: rename it."
            continue
        parts = name.split("/")
        for length in range(1, len(parts) + 1):
            path = "/".join(parts[:length])
            other = seen.setdefault(folded(path), path)
            # A folder that is spelled in two ways becomes one folder; a file would take another one's place.
            if other != path and (other in files or path in files):
                yield name, f"The paths {other!r} and {path!r} are alike but for case or accents: rename one."
                break


def why_not(name: str) -> str:
    """Why a path may not be in a bundle; empty: it may."""
    parts = name.removesuffix("/").split("/")
    if len(name) > LONGEST_PATH:
        return f"is longer than {LONGEST_PATH} characters"
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        return "is absolute"
    if "\\" in name or any(unicodedata.category(character) in ("Cc", "Cs") for character in name):
        return "holds a backslash or a control character"
    if any(part in ("", ".", "..") for part in parts):
        return "holds an empty part, `.` or `..`"
    if any(len(part.encode()) > LONGEST_PART for part in parts):
        return "has a part that is too long for a file name"
    return ""


def folded(name: str) -> str:
    """What a file system that ignores case and composes accents makes of a name."""
    return unicodedata.normalize("NFC", name.rstrip("/")).casefold()

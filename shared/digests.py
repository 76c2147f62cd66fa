"""Content hashes, which name bundles, flows, datasets and deployments; and which files of a folder count.

The same content has the same digest on every machine: a folder's files come sorted by their paths, without what only a
machine or its people left there.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from shared.errors import Malformed

IGNORED: Final = (
    "__pycache__",
    "*.pyc",
    ".promptflow",
    ".runs",
    ".git",
    ".gitignore",
    ".mypy_cache",
    ".pytest_cache",
    ".ruff_cache",
    ".ipynb_checkpoints",
    ".venv",
    ".idea",
    ".vscode",
    ".DS_Store",
    "Thumbs.db",
    "*.swp",
    "*~",
    ".#*",
    "#*#",
    ".env",
    ".env.*",
)
"""Names, at any depth, that are no part of a use case: caches, editors' leftovers, prompt flow's own run folders, and
`.env`, whose secrets must reach no bundle."""


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files_of(folder: Path) -> Iterator[tuple[str, Path]]:
    """The files that count, each with its path in the folder (separated by `/`), sorted by that path.

    Raises:
        Malformed: the folder holds a link, a device or a name that is not Unicode: none of them is plain content.
    """
    yield from sorted(_walk(folder, ""))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if any(fnmatchcase(entry.name, pattern) for pattern in IGNORED):
                continue
            try:
                name.encode()
            except UnicodeEncodeError:
                raise Malformed(f"The file name {name!r} in {folder} is not Unicode: rename it.") from None
            if entry.is_symlink():
                raise Malformed(f"{entry.path} is a symbolic link: put the file itself there.")
            if entry.is_dir():
                yield from _walk(Path(entry.path), f"{name}/")
            elif entry.is_file():
                yield name, Path(entry.path)
            else:
                raise Malformed(f"{entry.path} is neither a file nor a folder: remove it.")


def json_digest(value: object) -> str:
    """SHA-256 of a JSON value in one canonical form: sorted keys, no spaces, UTF-8."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

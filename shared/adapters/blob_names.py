"""Names of containers and blobs: which are allowed, and how a blob's name becomes a path that holds any Unicode.

Allowed is what is allowed everywhere (Azure takes more), so that a chain that ran on a laptop runs in the cloud.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import lru_cache
from typing import Final
from urllib.parse import unquote_to_bytes

from shared.errors import InvalidName
from shared.names import checked

NAME_LIMIT: Final = 1024
"""Characters of a blob's name, as in Azure Storage."""
PART_LIMIT: Final = 255
"""Bytes of one part on disk: the limit of every common file system."""
UNSAFE: Final = frozenset('%:*?"<>|')


def check_names(container: str, name: str | None = None) -> None:
    """Refuse what cannot be a container or a blob name. Raises InvalidName with the value and the rule."""
    checked(container, "Container")
    if name is None:
        return
    if not 0 < len(name) <= NAME_LIMIT:
        raise _invalid(name, f"it must have 1 to {NAME_LIMIT:,} characters, not {len(name):,}")
    for character in name:
        if character == "\\" or unicodedata.category(character) in ("Cc", "Cs"):
            raise _invalid(name, f"it holds {character!r}; backslashes, control characters and surrogates are refused")
    for part in name.split("/"):
        if part in ("", ".", ".."):
            raise _invalid(name, f"its part {part!r} is refused; parts between '/' are neither empty nor '.' nor '..'")
        encode_part(part, fold=False)  # for its length: what is too long for a laptop is refused everywhere


def refuse_clash(container: str, name: str, others: Iterable[str]) -> None:
    """Refuse a new name that is a folder of another, or below another. Raises InvalidName."""
    for other in others:
        if other.startswith(name + "/") or name.startswith(other + "/"):
            raise clash(container, name, other)


def clash(container: str, name: str, other: str) -> InvalidName:
    """The error for a name that would have to be a file and a folder at once."""
    return _invalid(name, f"{container} holds {other!r}, and one name cannot be a blob and a folder of blobs")


@lru_cache(maxsize=4096)
def encode_part(part: str, *, fold: bool) -> str:
    """One part of a blob's name as a file name; `fold` for file systems that ignore case or normalise Unicode.

    Percent signs, a leading or trailing dot, a trailing space and what Windows forbids are percent-encoded, and with
    `fold` capitals and everything outside ASCII too, so that different names never meet in one file.

    Raises:
        InvalidName: the file name would be too long.
    """
    last = len(part) - 1

    def kept(index: int, character: str) -> bool:
        if character in UNSAFE or (character == "." and index in (0, last)) or (character == " " and index == last):
            return False
        return not fold or (character.isascii() and not character.isupper())

    encoded = "".join(
        character if kept(index, character) else "".join(f"%{byte:02x}" for byte in character.encode())
        for index, character in enumerate(part)
    )
    if len(encoded.encode()) > PART_LIMIT:
        raise _invalid(part, f"a part between '/' must fit into {PART_LIMIT} bytes")
    return encoded


def decode_part(file_name: str, *, fold: bool) -> str | None:
    """The part that `encode_part` made this file name of; None for a file that is not the store's."""
    if not re.fullmatch(r"(?:[^%]|%[0-9a-f]{2})+", file_name):
        return None
    try:
        part = unquote_to_bytes(file_name).decode()
        return part if encode_part(part, fold=fold) == file_name else None
    except (UnicodeError, InvalidName):
        return None


def _invalid(name: str, problem: str) -> InvalidName:
    shown = name if len(name) <= 200 else name[:200] + "…"
    return InvalidName(f"The blob name {shown!r} is not valid: {problem}.")

"""How far a flow's files reach: beyond its folder, and to files that they open by names which nobody can know.

Told by their text, never by running it. Where it could be either, it is taken to reach: what is counted as content too
much costs a run, what is left out would let a stale line stand for a new one.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Final

_OWN_FOLDER: Final = re.compile(
    rb"\bPath\(\s*__file__\s*\)(?:\.(?:resolve|absolute)\(\s*\))*\.(?:parent\b|parents\[0\])"
    rb"|\bdirname\(\s*__file__\s*\)"
    rb"|\bdirname\(\s*(?:os\.path\.|path\.)?(?:abspath|realpath)\(\s*__file__\s*\)\s*\)"
)
_CLIMBS: Final = re.compile(rb"\.\.[/\\\"']|\.parents?\b|\bdirname\s*\(|\bpardir\b")
"""What leaves a folder: `../`, and the folder of anything but the file itself."""
_UPWARDS: Final = re.compile(rb"\.\.[/\\]")
_READS: Final = re.compile(
    rb"\bopen\s*\(|\bread_(?:text|bytes)\b|\b(?:r?glob|iterdir|listdir|scandir|walk)\s*\(|Loader\b|\bget_data\b"
    rb"|\bresources\b|\blinecache\b|\bload_flow\b|\bPrompty\b"
)


def climbs(code: bytes) -> bool:
    """Whether Python code leaves the folder that its file is in."""
    return _CLIMBS.search(_OWN_FOLDER.sub(b"", code)) is not None


def points_upwards(text: bytes) -> bool:
    """Whether a flow's file that is no code names a path outside of its folder."""
    return _UPWARDS.search(text) is not None


def imports(package: str, code: bytes) -> bool:
    """Whether Python code imports something of this package, or a flow's file names an entry in it."""
    name = re.escape(package.encode())
    before = rb"(?:[\w.]+(?:[ \t]+as[ \t]+\w+)?[ \t]*,[ \t]*)*"
    said = (
        rb"(?:^|[;:])[ \t]*(?:from[ \t]+|import[ \t]+" + before + rb")" + name + rb"\b"
        rb"|\b(?:import_module|__import__|find_spec|files|get_data|run_module)\s*\(\s*[rRfFbB]*[\"']" + name + rb"\b"
        rb"|^[ \t]*entry:[ \t]*[\"']?" + name + rb"\."
    )
    return re.search(said, code, re.MULTILINE) is not None


def reads_files(code: Iterable[bytes]) -> bool:
    """Whether Python code opens files: their names may come from parameters, inputs or other files."""
    return any(_READS.search(text) for text in code)


def whole_words(names: Collection[str], texts: Iterable[bytes]) -> frozenset[str]:
    """Those of the names that some text holds as a whole word."""
    patterns = {name: re.compile(rb"(?<![\w-])" + re.escape(name.encode()) + rb"(?![\w-])") for name in names}
    found: set[str] = set()
    for text in texts:
        found |= {name for name, pattern in patterns.items() if name not in found and pattern.search(text)}
    return frozenset(found)

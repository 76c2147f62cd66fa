"""Tags as Azure ML allows them: at most 50, keys of at most 100 and values of at most 1,000 characters.

https://learn.microsoft.com/azure/machine-learning/resource-limits-capacity. A value that is longer, such as the metrics
of many datasets, is cut into `<key>__1`, `<key>__2`, … The content's hash is a tag of its own, `content_hash`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from shared.errors import BusinessFailure

TAGS: Final = 50
KEY: Final = 100
VALUE: Final = 1000
HASH: Final = "content_hash"
_PART: Final = re.compile(r"(.+)__([1-9][0-9]*)")


def to_azure(tags: Mapping[str, str], content_hash: str) -> dict[str, str]:
    """The tags of a version.

    Raises:
        BusinessFailure: they are too many or too long for Azure ML, or a key cannot be told from a part of another.
    """
    encoded = {HASH: content_hash} if content_hash else {}
    for key, value in tags.items():
        if key == HASH or _PART.fullmatch(key) or len(key) > KEY - 4:
            raise BusinessFailure(f"The tag {key!r} cannot be kept: it is too long, or looks like a part of another.")
        if len(value) <= VALUE:
            encoded[key] = value
            continue
        for number, start in enumerate(range(0, len(value), VALUE), start=1):
            encoded[f"{key}__{number}"] = value[start : start + VALUE]
    if len(encoded) > TAGS:
        longest = max(tags, key=lambda key: len(tags[key]))
        raise BusinessFailure(
            f"The version needs {len(encoded)} tags of at most {VALUE:,} characters, and Azure ML keeps {TAGS}: the "
            f"longest is {longest!r} with {len(tags[longest]):,} characters. Measure fewer datasets or metrics at once."
        )
    return encoded


def from_azure(encoded: Mapping[str, str]) -> tuple[dict[str, str], str]:
    """The tags, and the content's hash (empty for a version that somebody else registered)."""
    parts: dict[str, list[tuple[int, str]]] = {}
    tags: dict[str, str] = {}
    for key, value in encoded.items():
        part = _PART.fullmatch(key)
        if part:
            parts.setdefault(part[1], []).append((int(part[2]), value))
        elif key != HASH:
            tags[key] = value
    long = {key: "".join(text for _, text in sorted(found)) for key, found in parts.items()}
    return tags | long, encoded.get(HASH, "")

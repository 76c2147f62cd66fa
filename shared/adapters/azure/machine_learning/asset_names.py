"""Asset names as Azure ML allows them: letters, digits, `-` and `_`, no dot, at most 255 characters.

`<use case>.<dataset>` is registered as `<use case>--<dataset>`. So that no two names meet, a run of n hyphens becomes
one of 2n - 1, and before a dot one of 2n + 2: lengths of the first kind are odd, of the second even.
"""

from __future__ import annotations

import re
from typing import Final

from shared.errors import InvalidName
from shared.names import checked_asset

_RUN: Final = re.compile(r"(-*)(\.)|(-+)")
_ENCODED_RUN: Final = re.compile(r"-+")


def to_azure(name: str) -> str:
    """The name under which Azure ML keeps the asset. It holds for names that `shared.names` allows."""

    def run(match: re.Match[str]) -> str:
        if match[2]:
            return "-" * (2 * len(match[1]) + 2)
        return "-" * (2 * len(match[3]) - 1)

    return _RUN.sub(run, name)


def from_azure(name: str) -> str | None:
    """The asset that Azure ML keeps under this name; None where it can be none of ours."""

    def run(match: re.Match[str]) -> str:
        length = len(match[0])
        return "-" * ((length + 1) // 2) if length % 2 else "-" * (length // 2 - 1) + "."

    decoded = _ENCODED_RUN.sub(run, name)
    try:
        checked_asset(decoded, "The asset")
    except InvalidName:
        return None
    return decoded if to_azure(decoded) == name else None

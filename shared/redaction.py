"""Keys of connections, taken out of every text that flow code or a served flow has a hand in. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared.connections import Connection

_SHORTEST: Final = 8
"""A shorter key cannot be told from ordinary text: replacing it would spoil the reason and hide nothing."""


class Redaction:
    """Call it with a text: each key of these connections becomes `***`. The stand-in model's key is no secret."""

    def __init__(self, connections: Iterable[Connection] = ()) -> None:
        keys = {c.api_key for c in connections if len(c.api_key) >= _SHORTEST and not c.stand_in}
        # The longest first: a key may begin with another.
        self._keys = sorted(keys, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for key in self._keys:
            text = text.replace(key, "***")
        return text

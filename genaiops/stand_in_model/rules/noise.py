"""Deterministic chance: what looks random in the stand-in model is a hash of what it was asked.

The same question at the same temperature and seed always gets the same answer, on every machine and in every order.
"""

from __future__ import annotations

import hashlib


def unit(*parts: object) -> float:
    """A number from 0 (included) to 1 (excluded) that depends on `parts` alone, evenly spread."""
    digest = hashlib.blake2b("\x1f".join(map(str, parts)).encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64

"""The name that a run has on Azure ML: letters, digits, `-` and `_`, so that whatever else is in ours is written out.

Different names stay different; of names that are too long, the end becomes a digest.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

_LONGEST: Final = 200
"""Azure ML takes 255 characters; a run's name becomes part of longer paths."""
_KEPT: Final = re.compile(r"[A-Za-z0-9-]")


def cloud_name(name: str) -> str:
    """The name on Azure ML: deterministic, and different for different names."""
    written = "".join(_written(character) for character in name)
    if not written or not written[0].isalnum():
        written = f"run_x_{written}"
    if len(written) <= _LONGEST:
        return written
    digest = hashlib.sha256(name.encode()).hexdigest()[:24]
    return f"{written[: _LONGEST - 28]}_x_-{digest}"


def _written(character: str) -> str:
    if _KEPT.fullmatch(character):
        return character
    return "__" if character == "_" else f"_x{ord(character):x}_"

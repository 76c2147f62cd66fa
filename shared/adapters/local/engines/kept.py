"""What an aggregation needs of a line, on its way out of the process and back: as JSON, or as a pickle where it has no
exact JSON form.

JSON may be stored and read by later runs. A pickle may hold anything, so it is handed back within the same run only, to
a process of the same flow.
"""

from __future__ import annotations

import base64
import json
import math
import pickle
from collections.abc import Mapping
from typing import Any

from shared.nesting import DEEPEST, is_deeper


def has_exact_json(value: object) -> bool:
    """Whether JSON gives back what was put in: values of the very types that it has, nested within the limit."""
    try:
        if not _is_exact(value):
            return False
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (RecursionError, ValueError):  # half a character, or a number of more digits than can be read
        return False
    return not is_deeper(value, DEEPEST)


def _is_exact(value: object) -> bool:
    kind = type(value)
    if kind in (str, bool, int, type(None)):
        return True
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if kind is list:
        return all(map(_is_exact, value))  # type: ignore[call-overload]
    return kind is dict and all(type(k) is str and _is_exact(v) for k, v in value.items())  # type: ignore[attr-defined]


def packed(kept: Mapping[str, Any]) -> dict[str, Any]:
    """The part of the answer `done` for it: `aggregated` (JSON) or `kept` (a pickle in base64).

    Raises:
        ValueError: it has neither form.
    """
    if has_exact_json(kept):
        return {"aggregated": kept}
    try:
        return {"kept": base64.b64encode(pickle.dumps(kept)).decode()}
    except (pickle.PicklingError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"an output cannot be passed on to the aggregation: {error}") from error


def unpacked(order: Mapping[str, Any]) -> dict[str, Any]:
    """What was packed. Pickles come only from `packed`: the runner hands them back as it got them."""
    if "aggregated" in order:
        return dict(order["aggregated"])
    kept: dict[str, Any] = pickle.loads(base64.b64decode(order["kept"]))  # noqa: S301
    return kept

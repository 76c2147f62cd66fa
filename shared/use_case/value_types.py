"""Whether a value that is tried can be one at all: a model's setting, or an input with a type. Pure.

Only what no run could take is told; prompt flow turns `"3"` into a number, so that such texts pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from shared.use_case.flow_model import FlowFacts

_NUMBERS: Final[Mapping[str, tuple[float, float]]] = {
    "temperature": (0, 2),
    "top_p": (0, 1),
    "presence_penalty": (-2, 2),
    "frequency_penalty": (-2, 2),
}
_COUNTS: Final = ("max_tokens", "max_completion_tokens", "n")
_NAMES: Final = ("deployment_name", "model")


def misfit(key: str, value: object, facts: FlowFacts) -> str:
    """What is wrong with a value of the parameter `key`; empty: nothing that can be known."""
    head, _, rest = key.partition(".")
    if not rest:
        return _setting(key, value)
    specs = facts.nodes.get(head, {}).values()
    if any(spec.type == "llm" for spec in specs):
        return _setting(rest, value)
    if head in facts.nodes:
        return ""
    offered = {"inputs": facts.inputs, "init": facts.init}.get(head, {})
    return _typed(offered[rest].type, value) if rest in offered else ""


def _setting(name: str, value: object) -> str:
    """Null leaves a setting out."""
    if value is None:
        return ""
    number = _as_number(value)
    if name in _NUMBERS:
        low, high = _NUMBERS[name]
        return "" if number is not None and low <= number <= high else f"expected a number from {low} to {high}"
    if name in _COUNTS:
        is_whole = number is not None and number >= 1 and number == int(number)
        return "" if is_whole else "expected a whole number from 1"
    if name in _NAMES:
        return "" if isinstance(value, str) and value.strip() else "expected a name"
    return ""


def _typed(kind: str, value: object) -> str:
    if value is None or kind not in ("int", "double"):
        return ""
    number = _as_number(value)
    if number is None:
        return f"expected a number, for the type is {kind}"
    return "expected a whole number" if kind == "int" and number != int(number) else ""


def _as_number(value: object) -> float | None:
    """The number that a value is or spells."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if number - number == 0 else None

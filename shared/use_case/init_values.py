"""The values that a class flow's `__init__` is given in files, against what its arguments are annotated with.

The same is refused that making the class would fail with; `${…}` stands for a variable, and is passed over.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.use_case.block import Block
from shared.use_case.problems import one_of
from shared.use_case.references import reference
from shared.use_case.signatures import Signature

MODEL_CONFIGURATIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "AzureOpenAIModelConfiguration": ("azure_deployment", "azure_endpoint", "api_version", "api_key", "connection"),
    "OpenAIModelConfiguration": ("model", "base_url", "api_key", "organization", "connection"),
}
"""Class → the keys that it takes; the first one is needed."""
_KINDS: Final[Mapping[str, str]] = {
    "int": "a whole number",
    "float": "a number",
    "double": "a number",
    "bool": "true or false",
    "str": "a text",
    "string": "a text",
    "list": "a list",
    "List": "a list",
    "dict": "a mapping",
    "Dict": "a mapping",
}
"""Annotation, or type in the flow's file → what is expected."""
_OPTIONAL: Final = re.compile(r"(?:\w+\.)*Optional\[(.*)\]|(.*?)\s*\|\s*None|None\s*\|\s*(.*)")
_LONGEST: Final = 200
"""Characters of an annotation that is looked into."""


@dataclass(frozen=True)
class Wanted:
    """What an argument may be given."""

    kind: str
    """One of `_KINDS`, a class of `MODEL_CONFIGURATIONS`, or any other name."""
    may_be_null: bool


def wanted(taken: Signature, declared: Block) -> dict[str, Wanted]:
    """What each argument is annotated with; a type that the flow's file declares goes before."""
    found: dict[str, Wanted] = {}
    for name, annotation in taken.annotations.items():
        text = annotation.strip("'\"")
        optional = _OPTIONAL.fullmatch(text) if len(text) <= _LONGEST else None
        inner = next((part for part in optional.groups() if part), "") if optional else text
        spec = taken.arguments[name]
        name_only = inner.partition("[")[0].rpartition(".")[2] if "|" not in inner else ""
        found[name] = Wanted(name_only, optional is not None or (not spec.required and spec.default is None))
    for entry in declared.entries():
        if isinstance(entry.value, dict) and isinstance(entry.value.get("type"), str):
            name = str(entry.path[-1])
            nullable = found[name].may_be_null if name in found else True
            found[name] = Wanted(entry.value["type"], nullable)
    return found


def check_value(argument: Block, name: str, known: Mapping[str, Wanted]) -> None:
    """Note what keeps the class from being made with this value."""
    value, to_be = argument.value, known.get(name, Wanted("", may_be_null=True))
    if (value is None and to_be.may_be_null) or reference(value) is not None:
        return
    if to_be.kind in MODEL_CONFIGURATIONS:
        _check_model(argument, to_be.kind)
    elif to_be.kind in _KINDS and not _fits(_KINDS[to_be.kind], value):
        shown = json.dumps(value, ensure_ascii=False)[:80]
        argument.problem(f"is {shown}; expected {_KINDS[to_be.kind]}, for the argument's type is {to_be.kind}")
    elif isinstance(value, dict) and name.endswith("model_config"):
        _check_connection(argument)
    elif to_be.kind.endswith("Connection") and not isinstance(value, str | dict):
        argument.problem(f"is {json.dumps(value)[:80]}; expected the name of a connection")


def lacks_model(kind: str, value: object) -> str:
    """The key that a model configuration lacks; empty: none, or the value is no model configuration."""
    if kind not in MODEL_CONFIGURATIONS or not isinstance(value, dict):
        return ""
    needed = MODEL_CONFIGURATIONS[kind][0]
    return "" if value.get(needed) else needed


def _check_model(argument: Block, kind: str) -> None:
    keys = MODEL_CONFIGURATIONS[kind]
    if not isinstance(argument.value, dict):
        shown = json.dumps(argument.value, ensure_ascii=False)[:80]
        argument.problem(f"is {shown}; expected a mapping with `connection` and `{keys[0]}`, for it is a {kind}")
        return
    for key in argument.value:
        if key not in (*keys, "type"):
            argument.problem(one_of(key, keys, f"key of {kind}"), key)
        elif key != "connection" and not isinstance(argument.value[key], str | None):
            argument.problem(f"is {json.dumps(argument.value[key])[:80]}; expected a text", key)
    _check_connection(argument)


def _check_connection(argument: Block) -> None:
    named = argument.value.get("connection")
    if named is not None and not isinstance(named, str):
        argument.problem(f"is {json.dumps(named)[:80]}; expected the name of a connection", "connection")


def _fits(expected: str, value: Any) -> bool:
    """Whether a run takes the value: it reads numbers, lists and mappings that are written as texts."""
    match expected:
        case "a text":
            return isinstance(value, str | int | float)
        case "true or false":
            return isinstance(value, bool) or (isinstance(value, str) and value.lower() in ("true", "false"))
        case "a list":
            return isinstance(_spelled(value), list)
        case "a mapping":
            return isinstance(_spelled(value), dict)
        case _:
            number = _spelled(value)
            if isinstance(number, bool) or not isinstance(number, int | float):
                return False
            return expected == "a number" or number == int(number)


def _spelled(value: object) -> object:
    """What a text spells in JSON; any other value as it is."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return None

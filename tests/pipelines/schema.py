"""Holds a file to the schema of Azure Pipelines, which its editors use and `check-jsonschema` brings along.

The schema is written for an editor to which every scalar is text, and has keywords of its own: `ignoreCase`, and
`firstProperty`, for a step is known by its first key. So scalars are compared as text here, and those keywords are heard.
An expression, of which only its expansion tells the value, passes for any scalar.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from check_jsonschema.transforms.azure_pipelines import AZURE_TRANSFORM
from jsonschema import Draft7Validator, TypeChecker, ValidationError, validators
from jsonschema.exceptions import best_match


def problems(document: Any) -> list[str]:
    """What the schema says against a pipeline or template, each with its place; nothing where it is right."""
    transform = AZURE_TRANSFORM.on_data
    assert transform is not None
    found = _validator().iter_errors(_as_text(transform(document)))
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in map(_deepest, found)]


@cache
def _validator() -> Any:
    schema = json.loads((files("check_jsonschema") / "builtin_schemas/vendor/azure-pipelines.json").read_text("utf-8"))
    assert len(schema["definitions"]["task"]["anyOf"]) > 200, "the schema knows the tasks and their inputs"
    kind = validators.extend(
        Draft7Validator,
        {"enum": _enum, "pattern": _pattern, "firstProperty": _first_property, "anyOf": _any_of},
        type_checker=TypeChecker(
            {
                "object": lambda _, value: isinstance(value, dict),
                "array": lambda _, value: isinstance(value, list),
                "string": lambda _, value: isinstance(value, str),
                "null": lambda _, value: value == "",
                "boolean": lambda _, value: _is(value, r"(?i)true|false"),
                "integer": lambda _, value: _is(value, r"-?\d+"),
                "number": lambda _, value: _is(value, r"-?\d+(\.\d+)?"),
            }
        ),
    )
    return kind(schema)


def _as_text(value: Any) -> Any:
    match value:
        case Mapping():
            return {str(key): _as_text(inner) for key, inner in value.items()}
        case list():
            return [_as_text(inner) for inner in value]
        case bool():
            return str(value).lower()
        case None:
            return ""
    return str(value)


def _is(value: Any, pattern: str) -> bool:
    return isinstance(value, str) and (_is_expression(value) or re.fullmatch(pattern, value) is not None)


def _is_expression(value: Any) -> bool:
    return isinstance(value, str) and "${{" in value


def _enum(validator: Any, allowed: list[Any], value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    fold = str.lower if schema.get("ignoreCase") in ("value", "all") else str
    if not _is_expression(value) and (
        not isinstance(value, str) or fold(value) not in {fold(str(one)) for one in allowed}
    ):
        yield ValidationError(f"{value!r} is none of {allowed}")


def _pattern(validator: Any, pattern: str, value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    flags = re.IGNORECASE if schema.get("ignoreCase") in ("value", "all") else 0
    if isinstance(value, str) and not _is_expression(value) and not re.search(pattern, value, flags):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _first_property(
    validator: Any, names: list[str], value: Any, schema: Mapping[str, Any]
) -> Iterator[ValidationError]:
    if isinstance(value, dict) and value and next(iter(value)) not in names:
        yield ValidationError(f"the first key must be {' or '.join(names)}, not {next(iter(value))}")


def _any_of(validator: Any, choices: list[Any], value: Any, schema: Mapping[str, Any]) -> Iterator[ValidationError]:
    """As usual, but of the 259 tasks only the one that is named is tried: its errors are the ones worth reading."""
    if isinstance(value, dict) and isinstance(value.get("task"), str):
        named = [choice for choice in choices if _names_task(choice, value["task"])]
        choices = named or choices
    errors = []
    for choice in choices:
        found = list(validator.descend(value, choice))
        if not found:
            return
        errors += found
    yield ValidationError(f"{str(value)[:200]} is of no form that is allowed", context=errors)


def _names_task(choice: Mapping[str, Any], task: str) -> bool:
    pattern = choice.get("properties", {}).get("task", {}).get("pattern")
    return pattern is not None and re.search(pattern, task, re.IGNORECASE) is not None


def _deepest(error: ValidationError) -> ValidationError:
    """Of the alternatives that failed, the error that lies deepest: the reader meant that one."""
    found = best_match([error])
    while error.context:
        error = max(error.context, key=lambda inner: len(inner.absolute_path))
    return max((found, error), key=lambda inner: len(inner.absolute_path))

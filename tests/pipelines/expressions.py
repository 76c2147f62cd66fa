"""Reads and evaluates expressions of Azure Pipelines: `${{ … }}` when a file is expanded, conditions and `$[ … ]` in a run.

What is documented at https://learn.microsoft.com/azure/devops/pipelines/process/expressions, as far as `pipelines/` uses
it, and stricter: a name that nothing defines is an error here, where the service takes it for null.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][\w-]*)|(?P<sign>[()\[\],.*]))"
)


class ExpressionError(Exception):
    """An expression that the language does not have, or that names what is not there."""


def evaluate(text: str, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> Any:
    """The value of an expression.

    Args:
        text: without the brackets around it.
        names: the contexts (`parameters`, `variables`, `dependencies`, …) and variables of `each`.
        functions: beside the general ones: `succeeded` and the like.
    """
    reader = _Reader(text, names, {**GENERAL, **(functions or {})})
    value = reader.expression()
    reader.end()
    return value


def shown(value: Any) -> str:
    """A value within a text, as the service writes it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, dict | list):
        raise ExpressionError(f"an object cannot be written into a text: {value!r}")
    return str(value)


def truth(value: Any) -> bool:
    """As a condition: empty, zero and null are false; every other text is true."""
    return bool(value)


class _Reader:
    def __init__(self, text: str, names: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]) -> None:
        self.text, self.names = text, names
        self.functions = {name.lower(): function for name, function in functions.items()}
        self.tokens: list[tuple[str, str]] = []
        place, stripped = 0, text.rstrip()
        while place < len(stripped):
            found = TOKEN.match(stripped, place)
            if found is None:
                raise ExpressionError(f"cannot read {text!r} from {stripped[place:]!r} on")
            self.tokens.append((str(found.lastgroup), str(found[found.lastgroup or 0])))
            place = found.end()
        self.place = 0

    def next(self) -> tuple[str, str]:
        if self.place == len(self.tokens):
            raise ExpressionError(f"{self.text!r} ends too early")
        self.place += 1
        return self.tokens[self.place - 1]

    def take(self, sign: str) -> bool:
        if self.tokens[self.place : self.place + 1] == [("sign", sign)]:
            self.place += 1
            return True
        return False

    def expect(self, sign: str) -> None:
        if not self.take(sign):
            raise ExpressionError(f"{self.text!r} lacks a {sign!r}")

    def end(self) -> None:
        if self.place < len(self.tokens):
            raise ExpressionError(f"{self.text!r} goes on after its end")

    def expression(self) -> Any:
        kind, text = self.next()
        if kind == "string":
            return text[1:-1].replace("''", "'")
        if kind == "number":
            return float(text) if "." in text else int(text)
        if kind != "name":
            raise ExpressionError(f"{self.text!r} has a {text!r} where a value is expected")
        if self.take("("):
            return self._call(text)
        constant = text.lower()
        if constant in CONSTANTS:
            return CONSTANTS[constant]
        if text not in self.names:
            raise ExpressionError(f"{self.text!r} names {text}, which is nothing here")
        return self._follow(self.names[text], text)

    def _call(self, name: str) -> Any:
        arguments = []
        if not self.take(")"):
            arguments.append(self.expression())
            while self.take(","):
                arguments.append(self.expression())
            self.expect(")")
        if name.lower() not in self.functions:
            raise ExpressionError(f"{self.text!r} calls {name}, which is no function here")
        try:
            return self._follow(self.functions[name.lower()](*arguments), name)
        except TypeError as error:
            raise ExpressionError(f"{self.text!r}: {name} does not take these arguments: {error}") from error

    def _follow(self, value: Any, path: str) -> Any:
        while True:
            if self.take("."):
                if self.take("*"):
                    value = _Every(value.values() if isinstance(value, Mapping) else value)
                else:
                    value = _member(value, self.next()[1], path)
            elif self.take("["):
                key = self.expression()
                self.expect("]")
                value = _member(value, key, path)
            else:
                return list(value) if isinstance(value, _Every) else value


class _Every(list[Any]):
    """A filtered array: what is asked of it is asked of each."""


def _member(value: Any, key: Any, path: str) -> Any:
    if isinstance(value, _Every):
        return _Every(_member(one, key, path) for one in value)
    try:
        return value[key]
    except (KeyError, IndexError, TypeError) as error:
        raise ExpressionError(f"{path} has no {key!r}") from error


CONSTANTS: Mapping[str, Any] = {"true": True, "false": False, "null": None}


def _as(example: Any, value: Any) -> Any:
    """A value as the type of what it is compared with: https://…/expressions#type-casting."""
    if isinstance(example, bool):
        return value if isinstance(value, bool) else truth(value)
    if isinstance(example, int | float):
        try:
            return float(value or 0)
        except (TypeError, ValueError):
            return None
    return shown(value).lower()


def _equal(left: Any, right: Any) -> bool:
    if isinstance(left, dict | list) or isinstance(right, dict | list):
        raise ExpressionError("objects cannot be compared")
    return bool(_as(left, left) == _as(left, right))


GENERAL: Mapping[str, Callable[..., Any]] = {
    "eq": _equal,
    "ne": lambda left, right: not _equal(left, right),
    "and": lambda *values: all(map(truth, values)),
    "or": lambda *values: any(map(truth, values)),
    "not": lambda value: not truth(value),
    "in": lambda value, *others: any(_equal(value, other) for other in others),
    "contains": lambda text, part: shown(part).lower() in shown(text).lower(),
    "startsWith": lambda text, part: shown(text).lower().startswith(shown(part).lower()),
    "endsWith": lambda text, part: shown(text).lower().endswith(shown(part).lower()),
    "replace": lambda text, old, new: shown(text).replace(old, new),
    "lower": lambda text: shown(text).lower(),
    "upper": lambda text: shown(text).upper(),
    "length": len,
    "join": lambda separator, values: separator.join(map(shown, values)),
    "coalesce": lambda *values: next((value for value in values if value not in (None, "")), None),
    "format": lambda pattern, *values: re.sub(r"\{(\d+)\}", lambda found: shown(values[int(found[1])]), pattern),
    "convertToJson": lambda value: json.dumps(value, indent=2),
}

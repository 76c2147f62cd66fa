"""What inputs a function takes: its arguments and what the flow's file says of them, and lines held against both.

The meaning is prompt flow's: the file's types and defaults go before the function's, an empty text as default means
"none given", and inputs that the function does not take are left out.
"""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from shared.adapters.local.engines.contract import InputError

_TYPES: Final[Mapping[object, str]] = {
    int: "int",
    float: "double",
    bool: "bool",
    str: "string",
    list: "list",
    dict: "object",
}


@dataclass(frozen=True)
class Input:
    """One input."""

    type: str = ""
    """As declared: `int`, `double`, `bool`, `string`, `list`, `object`; values of another are taken as they come."""
    default: Any = None
    """Of the flow's file, or of a parameter; None: none."""
    required: bool = True
    """Whether the function has no default of its own."""


@dataclass(frozen=True)
class Signature:
    """All inputs of a function."""

    inputs: Mapping[str, Input]
    takes_any: bool = False
    """Whether it takes inputs that it does not name (`**kwargs`)."""
    what: str = "input"
    """What errors call one of them."""

    def bound(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments for one line.

        Raises:
            InputError: naming the input that is missing or has the wrong type.
        """
        arguments = dict(given) if self.takes_any else {}
        for name, known in self.inputs.items():
            if name in given:
                arguments[name] = self._converted(name, known.type, given[name])
            elif known.default is not None:
                arguments[name] = self._converted(name, known.type, known.default)
            elif known.required:
                listed = ", ".join(map(repr, self.inputs))
                raise InputError(f"The {self.what} {name!r} is missing; there are {listed}.")
        return arguments

    def _converted(self, name: str, kind: str, value: Any) -> Any:
        try:
            return _converted(kind, value)
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            shown = json.dumps(value, default=str)[:80]
            raise InputError(f"The {self.what} {name!r} is {shown}: a value of type {kind} is expected.") from error


def signature_of(
    function: Callable[..., Any],
    declared: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    untyped: str = "",
    hints: Mapping[str, Any] | None = None,
) -> Signature:
    """The signature of a function, with the block `inputs` of its flow's file and defaults set by parameters.

    `untyped` is the type of an argument with neither annotation nor default, `hints` are annotations that are not the
    function's own.
    """
    own = inspect.signature(function).parameters
    hints = annotations_of(function) if hints is None else hints
    inputs = {}
    takes_any = False
    for name, parameter in own.items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            takes_any |= parameter.kind is parameter.VAR_KEYWORD
            continue
        inputs[name] = _input(
            declared.get(name), defaults.get(name), parameter, _type_of(parameter, hints.get(name), untyped)
        )
    if takes_any:  # an input that it does not name may have been set by a parameter all the same
        inputs |= {name: Input(default=value, required=False) for name, value in defaults.items() if name not in inputs}
    return Signature(inputs, takes_any)


def declared_signature(declared: Mapping[str, Any], defaults: Mapping[str, Any]) -> Signature:
    """The signature of a flow that is no function, such as a prompty: its block `inputs` alone."""
    return Signature({name: _input(entry, defaults.get(name), None, "") for name, entry in declared.items()})


def _type_of(parameter: inspect.Parameter, annotation: object, untyped: str) -> str:
    """The type that the function's own text gives an argument: by its annotation, else by its default."""
    if annotation is not None:
        return _TYPES.get(without_none(annotation), "")
    if parameter.default is parameter.empty or parameter.default is None:
        return untyped
    return _TYPES.get(type(parameter.default), "")


def _input(entry: object, default: object, parameter: inspect.Parameter | None, own_type: str) -> Input:
    own = entry if isinstance(entry, Mapping) else {}
    written = own.get("default")
    if written == "":  # prompt flow writes this for a function's own None: then the function's default is meant
        written = None
    kind = str(own.get("type") or "") or own_type
    required = parameter is None or parameter.default is parameter.empty
    return Input(kind, written if default is None else default, required)


def annotations_of(function: Callable[..., Any]) -> dict[str, Any]:
    """The annotations as objects where they can be resolved, else as they are written."""
    function = inspect.unwrap(function)
    try:
        return typing.get_type_hints(function)
    except Exception:  # a name that exists only for type checkers
        return dict(getattr(function, "__annotations__", {}))


def without_none(annotation: object) -> Any:
    """`X` of `X | None`, else what is given."""
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        return members[0] if len(members) == 1 else None
    return annotation


def _converted(kind: str, value: Any) -> Any:
    if value is None:
        return None
    match kind:
        case "int":
            return int(value)
        case "double":
            return float(value)
        case "bool":
            return _boolean(value)
        case "string":
            return str(value)
        case "list":
            return _list(json.loads(value) if isinstance(value, str) else value)
        case "object":
            return _object(value)
        case _:
            return value


def _boolean(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    raise ValueError(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(value)
    return value


def _object(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value  # a text after all
    return value

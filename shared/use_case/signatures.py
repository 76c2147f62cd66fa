"""What a function or class of a flow takes, read from its source: arguments with their types and defaults.

What the source does not tell stays open.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, field
from typing import Final

from shared.use_case.code import Function, statements
from shared.use_case.flow_model import FlowInput

_TYPES: Final = {"str": "string", "int": "int", "float": "double", "bool": "bool", "list": "list", "dict": "object"}
LIKE_LIST: Final = frozenset({"list", "List", "tuple", "Tuple", "set", "Set", "Sequence", "Iterable", "Literal"})
LIKE_DICT: Final = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "Any", "object"})
WRAPPERS: Final = frozenset({"Optional", "Awaitable", "Annotated", "Final", "Required", "NotRequired"})


@dataclass(frozen=True)
class Signature:
    """What a function takes."""

    arguments: dict[str, FlowInput]
    takes_any: bool
    """Whether it takes arguments that it does not name."""
    annotations: dict[str, str] = field(default_factory=dict)
    """Argument → its annotation as it is written, where it has one."""


def signature(function: Function, *, method: bool = False) -> Signature:
    """The arguments of a function; of a `method`, without `self`."""
    taken = function.args
    positional = [*taken.posonlyargs, *taken.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(taken.defaults))
    pairs = list(zip(positional, [*defaults, *taken.defaults], strict=True))
    pairs = pairs[1:] if method else pairs
    pairs += zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    return Signature(
        {a.arg: _input(a.annotation, default) for a, default in pairs},
        taken.kwarg is not None,
        {a.arg: ast.unparse(a.annotation) for a, _ in pairs if a.annotation is not None},
    )


def _input(annotation: ast.expr | None, default: ast.expr | None) -> FlowInput:
    value = _literal(default)
    kind = type_name(annotation) if annotation is not None else _TYPES.get(type(value).__name__, "object")
    return FlowInput(type=kind, default=value, has_default=default is not None)


def _literal(expression: ast.expr | None) -> object:
    """The plain value that an expression spells; None where it is computed."""
    try:
        value: object = ast.literal_eval(expression) if expression is not None else None
        json.dumps(value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError):
        return None
    return value


def type_name(annotation: ast.expr) -> str:
    """An annotation in the words of flow files; what they have no word for, as it is written."""
    expression = plain(annotation)
    name = last_name(expression)
    if isinstance(expression, ast.Subscript) and name in WRAPPERS:
        return type_name(first(expression))
    if name in LIKE_LIST:
        return "list"
    if name in LIKE_DICT:
        return "object"
    return _TYPES.get(name, ast.unparse(expression))


def method_of(
    cls: ast.ClassDef, name: str, module: ast.Module, seen: set[str] | None = None
) -> tuple[Function | None, bool]:
    """The method of a class or of its bases in the module; and whether an absent one is absent for sure.

    `seen` are the classes that were looked at: classes that name each other as bases would never end.
    """
    seen = seen if seen is not None else {cls.name}
    for statement in statements(cls.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == name:
            return statement, True
    sure = True
    for base in cls.bases:
        parent = class_named(last_name(base), module)
        if parent is not None and parent.name in seen:
            continue
        if parent is not None:
            seen.add(parent.name)
            found, sure_there = method_of(parent, name, module, seen)
            if found is not None:
                return found, True
            sure = sure and sure_there
        elif last_name(base) not in ("object", "ABC", "Generic", "Protocol"):
            sure = False
    return None, sure


def fields_of(cls: ast.ClassDef, module: ast.Module, seen: set[str] | None = None) -> dict[str, FlowInput] | None:
    """The fields of a dataclass or TypedDict, those of its bases first; None for any other class."""
    seen = seen if seen is not None else {cls.name}
    record = any(last_name(d.func if isinstance(d, ast.Call) else d) == "dataclass" for d in cls.decorator_list)
    found: dict[str, FlowInput] = {}
    for base in cls.bases:
        parent = class_named(last_name(base), module)
        inherited = None
        if parent is not None and parent.name not in seen:
            seen.add(parent.name)
            inherited = fields_of(parent, module, seen)
        record = record or inherited is not None or last_name(base) == "TypedDict"
        found |= inherited or {}
    for statement in cls.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if last_name(statement.annotation) != "ClassVar":
            found[statement.target.id] = _input(statement.annotation, statement.value)
    return found if record else None


def plain(annotation: ast.expr) -> ast.expr:
    """An annotation that is written as a text, parsed."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return annotation
    return annotation


def first(expression: ast.Subscript) -> ast.expr:
    """What stands first between the brackets."""
    inside = expression.slice
    return inside.elts[0] if isinstance(inside, ast.Tuple) and inside.elts else inside


def last_name(expression: ast.expr) -> str:
    """The name behind the last dot, without brackets; empty where there is none."""
    match expression:
        case ast.Name():
            return expression.id
        case ast.Attribute():
            return expression.attr
        case ast.Subscript():
            return last_name(expression.value)
        case _:
            return ""


def class_named(name: str, module: ast.Module) -> ast.ClassDef | None:
    """The class of that name in a module."""
    return next((s for s in statements(module.body) if isinstance(s, ast.ClassDef) and s.name == name), None)

"""What a function of a flow gives, read from its source: the names in its annotation, or in what it returns.

What the source does not tell stays open: any output.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import Final

from shared.use_case.code import Function
from shared.use_case.signatures import (
    LIKE_DICT,
    LIKE_LIST,
    WRAPPERS,
    class_named,
    fields_of,
    first,
    last_name,
    plain,
)

OUTPUT: Final = "output"
"""What the result of a flow is called that is neither a dictionary nor a dataclass."""
_SINGLE: Final = LIKE_LIST | {"str", "int", "float", "bool", "bytes", "Iterator", "Generator", "AsyncIterator"}


@dataclass(frozen=True)
class Outputs:
    """What a function gives."""

    names: tuple[str, ...] = ()
    any: bool = False
    """Whether there may be others."""


ANY: Final = Outputs(any=True)
SINGLE: Final = Outputs(names=(OUTPUT,))


def outputs(function: Function, module: ast.Module) -> Outputs:
    """What a function gives: by its annotation, or else by what it returns."""
    return _annotated(function.returns, module) or _returned(function, module)


def _annotated(annotation: ast.expr | None, module: ast.Module) -> Outputs | None:
    """What an annotation says; None where it says nothing about names."""
    if annotation is None:
        return None
    expression = plain(annotation)
    name = last_name(expression)
    if isinstance(expression, ast.Subscript) and name in WRAPPERS:
        return _annotated(first(expression), module)
    if _is_none(expression) or name in _SINGLE:
        return SINGLE
    if name in LIKE_DICT:
        return None
    if isinstance(expression, ast.BinOp):
        sides = [side for side in (expression.left, expression.right) if not _is_none(plain(side))]
        told = [_annotated(side, module) for side in sides]
        return told[0] if told and all(one == told[0] for one in told) else None
    cls = class_named(name, module)
    fields = fields_of(cls, module) if cls is not None else None
    return Outputs(tuple(fields)) if fields is not None else ANY


def _returned(function: Function, module: ast.Module) -> Outputs:
    inside = list(_own_nodes(function))
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in inside):
        return SINGLE
    told = [_value(node.value, inside, module) for node in inside if isinstance(node, ast.Return)]
    names = dict.fromkeys(name for one in told for name in one.names)
    return Outputs(tuple(names), any(one.any for one in told)) if told else SINGLE


def _value(value: ast.expr | None, inside: list[ast.AST], module: ast.Module) -> Outputs:
    """What a returned expression holds."""
    match value:
        case None | ast.Constant() | ast.JoinedStr() | ast.List() | ast.Tuple() | ast.Compare() | ast.ListComp():
            return SINGLE
        case ast.Dict():
            return _keys(value)
        case ast.Call(func=ast.Name(id="dict")) if not value.args and all(k.arg for k in value.keywords):
            return Outputs(tuple(str(k.arg) for k in value.keywords))
        case ast.Call(func=ast.Name(id=name)):
            cls = class_named(name, module)
            fields = fields_of(cls, module) if cls is not None else None
            return SINGLE if name in _SINGLE else ANY if fields is None else Outputs(tuple(fields))
        case ast.IfExp():
            one, other = _value(value.body, inside, module), _value(value.orelse, inside, module)
            return Outputs(tuple(dict.fromkeys((*one.names, *other.names))), one.any or other.any)
        case ast.Name():
            return _variable(value.id, inside)
        case _:
            return ANY


def _keys(value: ast.Dict) -> Outputs:
    names = [key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)]
    return Outputs(tuple(dict.fromkeys(names)), len(names) < len(value.keys))


def _variable(name: str, inside: list[ast.AST]) -> Outputs:
    """What a variable holds that is a literal dictionary, filled by nothing but constant keys."""
    literal: Outputs | None = None
    added: list[str] = []
    uses = 0
    for node in inside:
        match node:
            case ast.Assign(targets=[ast.Name(id=target)], value=ast.Dict() as value) if target == name:
                literal = ANY if literal is not None else _keys(value)
            case ast.AnnAssign(target=ast.Name(id=target), value=ast.Dict() as value) if target == name:
                literal = ANY if literal is not None else _keys(value)
            case ast.Subscript(value=ast.Name(id=target), slice=ast.Constant(value=str() as key)) if target == name:
                uses += 1
                added += [key] if isinstance(node.ctx, ast.Store) else []
            case ast.Return(value=ast.Name(id=target)) if target == name:
                uses += 1
            case _:
                pass
    total = sum(1 for node in inside if isinstance(node, ast.Name) and node.id == name)
    if literal is None or literal.any or total != uses + 1:  # anything else may add keys: `update`, a call, an alias
        return ANY
    return Outputs(tuple(dict.fromkeys((*literal.names, *added))))


def _own_nodes(function: Function) -> list[ast.AST]:
    """The nodes of a function's body without those of functions inside it, in the order of the source."""
    found: list[ast.AST] = []

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            return
        found.append(node)
        for child in ast.iter_child_nodes(node):
            walk(child)

    for statement in function.body:
        walk(statement)
    return found


def _is_none(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is None

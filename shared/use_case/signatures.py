"""What a function or class of a flow takes and gives, read from its source: arguments, annotations, `return`s.

What the source does not tell stays open: any input, any output.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass
from typing import Final

from shared.use_case.code import Function, statements
from shared.use_case.flow_model import FlowInput

OUTPUT: Final = "output"
"""What the result of a flow is called that is neither a dictionary nor a dataclass."""
_TYPES: Final = {"str": "string", "int": "int", "float": "double", "bool": "bool", "list": "list", "dict": "object"}
_LIKE_LIST: Final = frozenset({"list", "List", "tuple", "Tuple", "set", "Set", "Sequence", "Iterable", "Literal"})
_LIKE_DICT: Final = frozenset({"dict", "Dict", "Mapping", "MutableMapping", "OrderedDict", "Any", "object"})
_SINGLE: Final = _LIKE_LIST | {"str", "int", "float", "bool", "bytes", "Iterator", "Generator", "AsyncIterator"}
_WRAPPERS: Final = frozenset({"Optional", "Awaitable", "Annotated", "Final", "Required", "NotRequired"})


@dataclass(frozen=True)
class Signature:
    """What a function takes."""

    arguments: dict[str, FlowInput]
    takes_any: bool
    """Whether it takes arguments that it does not name."""


@dataclass(frozen=True)
class Outputs:
    """What a function gives."""

    names: tuple[str, ...] = ()
    any: bool = False
    """Whether there may be others."""


ANY: Final = Outputs(any=True)
SINGLE: Final = Outputs(names=(OUTPUT,))


def signature(function: Function, *, method: bool = False) -> Signature:
    """The arguments of a function; of a `method`, without `self`."""
    taken = function.args
    positional = [*taken.posonlyargs, *taken.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(taken.defaults))
    pairs = list(zip(positional, [*defaults, *taken.defaults], strict=True))
    pairs = pairs[1:] if method else pairs
    pairs += zip(taken.kwonlyargs, taken.kw_defaults, strict=True)
    return Signature({a.arg: _input(a.annotation, default) for a, default in pairs}, taken.kwarg is not None)


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
    expression = _plain(annotation)
    name = _last_name(expression)
    if isinstance(expression, ast.Subscript) and name in _WRAPPERS:
        return type_name(_first(expression))
    if name in _LIKE_LIST:
        return "list"
    if name in _LIKE_DICT:
        return "object"
    return _TYPES.get(name, ast.unparse(expression))


def method_of(cls: ast.ClassDef, name: str, module: ast.Module, hops: int = 8) -> tuple[Function | None, bool]:
    """The method of a class or of its bases in the module; and whether an absent one is absent for sure."""
    for statement in statements(cls.body):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name == name:
            return statement, True
    sure = True
    for base in cls.bases:
        parent = _class(_last_name(base), module)
        if parent is not None and hops:
            found, sure_there = method_of(parent, name, module, hops - 1)
            if found is not None:
                return found, True
            sure = sure and sure_there
        elif _last_name(base) not in ("object", "ABC", "Generic", "Protocol"):
            sure = False
    return None, sure


def fields_of(cls: ast.ClassDef, module: ast.Module, hops: int = 8) -> dict[str, FlowInput] | None:
    """The fields of a dataclass or TypedDict, those of its bases first; None for any other class."""
    record = any(_last_name(d.func if isinstance(d, ast.Call) else d) == "dataclass" for d in cls.decorator_list)
    found: dict[str, FlowInput] = {}
    for base in cls.bases:
        parent = _class(_last_name(base), module)
        inherited = fields_of(parent, module, hops - 1) if parent is not None and hops else None
        record = record or inherited is not None or _last_name(base) == "TypedDict"
        found |= inherited or {}
    for statement in cls.body:
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        if _last_name(statement.annotation) != "ClassVar":
            found[statement.target.id] = _input(statement.annotation, statement.value)
    return found if record else None


def outputs(function: Function, module: ast.Module) -> Outputs:
    """What a function gives: by its annotation, or else by what it returns."""
    return _annotated(function.returns, module) or _returned(function, module)


def _annotated(annotation: ast.expr | None, module: ast.Module) -> Outputs | None:
    """What an annotation says; None where it says nothing about names."""
    if annotation is None:
        return None
    expression = _plain(annotation)
    name = _last_name(expression)
    if isinstance(expression, ast.Subscript) and name in _WRAPPERS:
        return _annotated(_first(expression), module)
    if _is_none(expression) or name in _SINGLE:
        return SINGLE
    if name in _LIKE_DICT:
        return None
    if isinstance(expression, ast.BinOp):
        sides = [side for side in (expression.left, expression.right) if not _is_none(_plain(side))]
        told = [_annotated(side, module) for side in sides]
        return told[0] if told and all(one == told[0] for one in told) else None
    cls = _class(name, module)
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
            cls = _class(name, module)
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


def _plain(annotation: ast.expr) -> ast.expr:
    """An annotation that is written as a text, parsed."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        try:
            return ast.parse(annotation.value, mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return annotation
    return annotation


def _first(expression: ast.Subscript) -> ast.expr:
    return expression.slice.elts[0] if isinstance(expression.slice, ast.Tuple) else expression.slice


def _is_none(expression: ast.expr) -> bool:
    return isinstance(expression, ast.Constant) and expression.value is None


def _last_name(expression: ast.expr) -> str:
    match expression:
        case ast.Name():
            return expression.id
        case ast.Attribute():
            return expression.attr
        case ast.Subscript():
            return _last_name(expression.value)
        case _:
            return ""


def _class(name: str, module: ast.Module) -> ast.ClassDef | None:
    return next((s for s in statements(module.body) if isinstance(s, ast.ClassDef) and s.name == name), None)

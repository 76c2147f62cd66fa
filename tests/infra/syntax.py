"""Bicep as far as infra/ uses it: text → declarations and expressions. What it does not know, it refuses.

https://learn.microsoft.com/azure/azure-resource-manager/bicep/file
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final


class BicepError(Exception):
    """Something in a Bicep file is wrong, with its place."""


@dataclass(frozen=True)
class Text:
    parts: tuple[Any, ...]
    """Strings, and expressions in between."""


@dataclass(frozen=True)
class Value:
    value: int | bool | None


@dataclass(frozen=True)
class Name:
    name: str


@dataclass(frozen=True)
class Call:
    name: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True)
class Get:
    of: Any
    key: Any
    """An expression; a property by name is a Text."""


@dataclass(frozen=True)
class Child:
    of: Any
    name: str


@dataclass(frozen=True)
class Operation:
    operator: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class Array:
    items: tuple[Any, ...]


@dataclass(frozen=True)
class Object:
    pairs: tuple[tuple[Any, Any], ...]
    children: tuple[Resource, ...] = ()


@dataclass(frozen=True)
class Loop:
    item: str
    index: str | None
    over: Any
    body: Any


@dataclass(frozen=True)
class Param:
    name: str
    type: str
    default: Any
    """None: it must be given."""
    decorators: dict[str, tuple[Any, ...]]


@dataclass(frozen=True)
class Resource:
    symbol: str
    type: str
    api: str
    existing: bool
    condition: Any
    body: Any


@dataclass(frozen=True)
class Module:
    symbol: str
    path: str
    condition: Any
    body: Object


@dataclass
class File:
    path: Path
    scope: str = "resourceGroup"
    using: str | None = None
    """Of a file of parameters: the file that they are for. The parameters are its variables."""
    params: dict[str, Param] = field(default_factory=dict)
    variables: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    modules: dict[str, Module] = field(default_factory=dict)
    outputs: dict[str, tuple[str, Any]] = field(default_factory=dict)

    @property
    def symbols(self) -> set[str]:
        return {*self.params, *self.variables, *self.resources, *self.modules}


_TOKEN: Final = re.compile(
    r"(?P<skip>[ \t]+|//[^\n]*)|(?P<newline>\n)|(?P<number>\d+)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>&&|\|\||==|!=|>=|<=|::|\?\?|[{}()\[\]:,.=!?<>@*+-])|(?P<quote>')"
)
_ESCAPES: Final = {"\\'": "'", "\\\\": "\\", "\\n": "\n", "\\t": "\t", "\\$": "$"}
_BINARY: Final = (("??",), ("||",), ("&&",), ("==", "!="), (">", "<", ">=", "<="), ("+", "-"), ("*",))


def read(path: Path) -> File:
    """Read a file. Raises BicepError with its place."""
    return _Reader(path, path.read_text(encoding="utf-8")).file()


class _Reader:
    def __init__(self, path: Path, text: str) -> None:
        self._path, self._text = path, text
        self._tokens = self._split(0, None)[0]
        self._at = 0

    def file(self) -> File:
        made = File(self._path)
        decorators: dict[str, tuple[Any, ...]] = {}
        while self._skip_lines() and self._kind() != "end":
            if self._take("@"):
                call = self._postfix()
                decorators[call.name] = call.arguments
                continue
            self._declaration(made, decorators)
            decorators = {}
        return made

    def _declaration(self, made: File, decorators: dict[str, tuple[Any, ...]]) -> None:
        keyword = self._word()
        match keyword:
            case "using":
                made.using = self._plain(self._expression())
            case "param" if self._path.suffix == ".bicepparam":
                name = self._word()
                self._want("=")
                self._new(made, name)
                made.variables[name] = self._expression()
            case "targetScope":
                self._want("=")
                made.scope = self._plain(self._expression())
            case "param":
                name, kind = self._word(), self._word()
                default = self._expression() if self._take("=") else None
                self._new(made, name)
                made.params[name] = Param(name, kind, default, decorators)
            case "var":
                name = self._word()
                self._want("=")
                self._new(made, name)
                made.variables[name] = self._expression()
            case "output":
                name, kind = self._word(), self._word()
                self._want("=")
                made.outputs[name] = (kind, self._expression())
            case "resource":
                one = self._resource(None)
                self._new(made, one.symbol)
                made.resources[one.symbol] = one
            case "module":
                name, path = self._word(), self._plain(self._expression())
                self._want("=")
                condition, body = self._conditional()
                self._new(made, name)
                made.modules[name] = Module(name, path, condition, body)
            case _:
                self._fail(f"{keyword!r} begins no declaration that is known here")

    def _resource(self, parent: str | None) -> Resource:
        symbol, kind = self._word(), self._plain(self._expression())
        existing = self._take_word("existing")
        self._want("=")
        name, _, api = kind.partition("@")
        if not re.fullmatch(r"\d{4}-\d\d-\d\d(-preview)?", api) or (parent is None and "/" not in name):
            self._fail(f"{kind!r} is no type with its version")
        condition, body = self._conditional()
        return Resource(symbol, name, api, existing, condition, body)

    def _conditional(self) -> tuple[Any, Any]:
        if self._take_word("if"):
            self._want("(")
            condition = self._expression()
            self._want(")")
            return condition, self._expression()
        return None, self._expression()

    def _expression(self) -> Any:
        condition = self._binary(0)
        if not self._take("?"):
            return condition
        first = self._expression()
        self._want(":")
        return Operation("?", (condition, first, self._expression()))

    def _binary(self, level: int) -> Any:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while (sign := self._sign()) in _BINARY[level]:
            self._at += 1
            left = Operation(sign, (left, self._binary(level + 1)))
        return left

    def _unary(self) -> Any:
        for sign in ("!", "-"):
            if self._take(sign):
                return Operation(sign, (self._unary(),))
        return self._postfix()

    def _postfix(self) -> Any:
        made = self._primary()
        while True:
            if self._take("."):
                made = Get(made, Text((self._word(),)))
            elif self._take("["):
                made = Get(made, self._expression())
                self._want("]")
            elif self._take("::"):
                made = Child(made, self._word())
            elif self._sign() == "!" and self._sign(1) == ".":
                self._at += 1  # "it is there": says nothing about the value
            else:
                return made

    def _primary(self) -> Any:
        kind, value = self._tokens[self._at][:2]
        self._at += 1
        match kind, value:
            case "number", _:
                return Value(int(value))
            case "text", _:
                return Text(value)
            case "name", "true" | "false":
                return Value(value == "true")
            case "name", "null":
                return Value(None)
            case "name", _ if self._take("("):
                return Call(value, tuple(self._several(")")))
            case "name", _:
                return Name(value)
            case "sign", "(":
                inner = self._expression()
                self._want(")")
                return inner
            case "sign", "[":
                if self._take_word("for"):
                    return self._loop()
                return Array(tuple(self._several("]")))
            case "sign", "{":
                return self._object()
        return self._fail(f"{value!r} is not expected here", back=1)

    def _loop(self) -> Loop:
        index = None
        if self._take("("):
            item = self._word()
            self._want(",")
            index = self._word()
            self._want(")")
        else:
            item = self._word()
        if not self._take_word("in"):
            self._fail("`in` is missing")
        over = self._expression()
        self._want(":")
        body = self._expression()
        self._skip_lines()
        self._want("]")
        return Loop(item, index, over, body)

    def _several(self, end: str) -> list[Any]:
        made: list[Any] = []
        while self._skip_lines() and not self._take(end):
            if made and not self._take(",") and self._tokens[self._at - 1][0] != "newline":
                self._fail("a comma or a new line is missing")
            self._skip_lines()
            if self._take(end):
                break
            made.append(self._expression())
        return made

    def _object(self) -> Object:
        pairs: list[tuple[Any, Any]] = []
        children: list[Resource] = []
        while self._skip_lines() and not self._take("}"):
            if self._sign() == ",":
                self._at += 1
                continue
            if self._is_word("resource") and self._tokens[self._at + 1][0] == "name":
                self._at += 1
                children.append(self._resource(""))
                continue
            kind, value = self._tokens[self._at][:2]
            if kind not in ("name", "text"):
                self._fail(f"{value!r} is no key")
            self._at += 1
            self._want(":")
            key = Text((value,)) if kind == "name" else Text(value)
            if key in [k for k, _ in pairs]:
                self._fail(f"the key {value!r} is there twice")
            pairs.append((key, self._expression()))
        return Object(tuple(pairs), tuple(children))

    # --- tokens ---

    def _split(self, start: int, until: str | None) -> tuple[list[tuple[str, Any, int]], int]:
        """Tokens up to the end of the text, or of an interpolation."""
        tokens: list[tuple[str, Any, int]] = []
        at, depth = start, 0
        while at < len(self._text):
            match = _TOKEN.match(self._text, at)
            if match is None:
                self._fail(f"{self._text[at]!r} is not known here", place=at)
            kind, value = match.lastgroup or "", match[0]
            if kind == "sign" and value == until and depth == 0:
                return [*tokens, ("end", "", at)], match.end()
            depth += (value == "{") - (value == "}") if kind == "sign" else 0
            if kind == "quote":
                parts, end = self._quoted(match.end())
                tokens.append(("text", parts, at))
                at = end
                continue
            if kind != "skip":
                tokens.append((kind, value, at))
            at = match.end()
        return [*tokens, ("end", "", at)], at

    def _quoted(self, at: int) -> tuple[tuple[Any, ...], int]:
        parts: list[Any] = []
        text = ""
        while True:
            if self._text.startswith("'", at):
                return (*parts, *([text] if text or not parts else [])), at + 1
            if self._text.startswith("${", at):
                tokens, end = self._split(at + 2, "}")
                inner = _Reader.__new__(_Reader)
                inner._path, inner._text, inner._tokens, inner._at = self._path, self._text, tokens, 0
                parts += [*([text] if text else []), inner._expression()]
                if inner._kind() != "end":
                    inner._fail("the interpolation has no end")
                text, at = "", end
                continue
            if at >= len(self._text) or self._text[at] == "\n":
                self._fail("a string has no end", place=at)
            escape = _ESCAPES.get(self._text[at : at + 2])
            text += escape if escape is not None else self._text[at]
            at += 2 if escape is not None else 1

    def _kind(self) -> str:
        return self._tokens[self._at][0]

    def _sign(self, ahead: int = 0) -> str:
        kind, value, _ = self._tokens[min(self._at + ahead, len(self._tokens) - 1)]
        return value if kind == "sign" else ""

    def _take(self, sign: str) -> bool:
        found = self._sign() == sign
        self._at += found
        return found

    def _is_word(self, word: str) -> bool:
        return self._tokens[self._at][:2] == ("name", word)

    def _take_word(self, word: str) -> bool:
        found = self._is_word(word)
        self._at += found
        return found

    def _want(self, sign: str) -> None:
        if not self._take(sign):
            self._fail(f"{sign!r} is missing before {self._tokens[self._at][1]!r}")

    def _word(self) -> str:
        kind, value, _ = self._tokens[self._at]
        if kind != "name":
            self._fail(f"a name is missing before {value!r}")
        self._at += 1
        return str(value)

    def _skip_lines(self) -> bool:
        while self._kind() == "newline":
            self._at += 1
        return True

    def _plain(self, expression: Any) -> str:
        if not isinstance(expression, Text) or len(expression.parts) != 1 or not isinstance(expression.parts[0], str):
            self._fail("a string without interpolation is missing")
        return str(expression.parts[0])

    def _new(self, made: File, symbol: str) -> None:
        if symbol in made.symbols:
            self._fail(f"{symbol} is declared twice")

    def _fail(self, what: str, *, place: int | None = None, back: int = 0) -> Any:
        at = self._tokens[self._at - back][2] if place is None else place
        line = self._text.count("\n", 0, at) + 1
        raise BicepError(f"{self._path.name}, line {line}: {what}")

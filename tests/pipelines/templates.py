"""Expands files of Azure Pipelines as the service does: templates, typed parameters, `${{ if }}`, `${{ each }}`, `${{ insert }}`.

What is documented at https://learn.microsoft.com/azure/devops/pipelines/process/templates and
…/process/template-expressions, as far as `pipelines/` uses it. Where the service is lenient this is not: a parameter that
is missing, unknown or of the wrong type is an error, and so is a name in an expression that nothing defines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.tokens import AliasToken, AnchorToken

from tests.pipelines.expressions import ExpressionError, evaluate, shown, truth

EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
WHOLE = re.compile(r"\$\{\{((?:(?!\}\}).)*)\}\}", re.DOTALL)
EACH = re.compile(r"each\s+(\w+)(?:\s*,\s*(\w+))?\s+in\s+(.*)", re.DOTALL)
LISTS = ("stages", "jobs", "steps", "variables")
PARAMETER_KEYS = {"name", "displayName", "type", "default", "values"}


class TemplateError(Exception):
    """What the service would refuse, or silently take for something else; the text names the file."""


def read(path: Path) -> Any:
    """The file as it stands. Azure Pipelines knows neither anchors nor aliases."""
    text = path.read_text("utf-8")
    for token in YAML(pure=True).scan(text):
        if isinstance(token, AnchorToken | AliasToken):
            raise TemplateError(f"{path.name}: anchors and aliases are not part of the language")
    return YAML(typ="safe", pure=True).load(text)


def expand(path: Path, given: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """A pipeline with its templates put in, for the parameters that whoever starts it has given."""
    document = read(path)
    parameters = _parameters(path, document.pop("parameters", []), given or {})
    try:
        expanded = _Expander(path, {"parameters": parameters, "variables": _Unset()}).value(document)
    except ExpressionError as error:
        raise TemplateError(f"{path.name}: {error}") from error
    if "extends" in expanded:
        reference = expanded.pop("extends")
        expanded |= _template(path, reference["template"], reference.get("parameters", {}))
    _refuse_leftovers(path, expanded)
    return dict(expanded)


class _Unset:
    """Variables are not known when a file is expanded, save for predefined ones, none of which is used so."""

    def __getitem__(self, name: str) -> Any:
        raise KeyError(name)


def _parameters(path: Path, declared: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(declared, list):
        raise TemplateError(f"{path.name}: parameters must be a list, so that each has a type")
    values = {}
    for one in declared:
        name, kind = one["name"], one["type"]
        if unknown := set(one) - PARAMETER_KEYS:
            raise TemplateError(f"{path.name}: the parameter {name} has {', '.join(unknown)}")
        if name not in given and "default" not in one:
            raise TemplateError(f"{path.name}: the parameter {name} is missing")
        default = [("default", one["default"])] if "default" in one else []
        for origin, value in [*default, *([("value", given[name])] if name in given else [])]:
            values[name] = _typed(path, name, kind, value)
            if "values" in one and values[name] not in one["values"]:
                raise TemplateError(f"{path.name}: the {origin} of {name}, {value!r}, is none of {one['values']}")
    if unknown := set(given) - set(values):
        raise TemplateError(f"{path.name}: there is no parameter {', '.join(sorted(unknown))}")
    return values


def _typed(path: Path, name: str, kind: str, value: Any) -> Any:
    match kind:
        case "string" if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value)
        case "number" if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        case "boolean" if isinstance(value, bool):
            return value
        case "object":
            return value
    raise TemplateError(f"{path.name}: the parameter {name} is {value!r}, which is no {kind}")


def _template(path: Path, reference: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """A template's content; a path is relative to the file that names it."""
    place = path.parent / reference
    if not place.is_file():
        raise TemplateError(f"{path.name}: there is no template {reference}")
    document = read(place)
    parameters = _parameters(place, document.pop("parameters", []), given)
    try:
        return dict(_Expander(place, {"parameters": parameters, "variables": _Unset()}).value(document))
    except ExpressionError as error:
        raise TemplateError(f"{place.name}: {error}") from error


class _Expander:
    """Expands the values of one file."""

    def __init__(self, path: Path, names: Mapping[str, Any]) -> None:
        self.path, self.names = path, names

    def value(self, value: Any) -> Any:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list):
            return list(self._items(value))
        if isinstance(value, dict):
            return self._mapping(value)
        return value

    def _text(self, text: str) -> Any:
        whole = WHOLE.fullmatch(text.strip())
        if whole is not None:
            return evaluate(whole[1], self.names)
        return EXPRESSION.sub(lambda found: shown(evaluate(found[1], self.names)), text)

    def _items(self, items: list[Any]) -> Iterator[Any]:
        fell_through: bool | None = None
        for item in items:
            directive = _directive(item)
            if directive is not None:
                (content,) = item.values()
                chosen, fell_through = self._chosen(directive, fell_through)
                for inner in chosen:
                    value = inner.value(content)
                    if not isinstance(value, list):
                        raise TemplateError(f"{self.path.name}: what ${{{{ {directive} }}}} holds must be a list")
                    yield from value
                continue
            fell_through = None
            value = self.value(item)
            if isinstance(value, dict) and set(value) <= {"template", "parameters"} and "template" in value:
                content = _template(self.path, value["template"], value.get("parameters", {}))
                kinds = [kind for kind in LISTS if kind in content]
                if len(kinds) != 1:
                    raise TemplateError(f"{value['template']} must hold one of {', '.join(LISTS)}")
                yield from content[kinds[0]]
            elif isinstance(value, list) and isinstance(item, str):
                yield from value  # a list that a parameter holds
            else:
                yield value

    def _mapping(self, mapping: dict[Any, Any]) -> dict[str, Any]:
        result: dict[str, Any] = {}
        fell_through: bool | None = None
        for key, content in mapping.items():
            directive = _directive({key: content})
            if directive is None:
                fell_through = None
                self._put(result, self._text(key) if isinstance(key, str) else key, self.value(content))
                continue
            chosen, fell_through = self._chosen(directive, fell_through)
            for inner in chosen:
                value = inner.value(content)
                if not isinstance(value, dict):
                    raise TemplateError(f"{self.path.name}: what ${{{{ {directive} }}}} holds must be a mapping")
                for name, one in value.items():
                    self._put(result, name, one)
        return result

    def _put(self, result: dict[str, Any], key: Any, value: Any) -> None:
        if key in result:
            raise TemplateError(f"{self.path.name}: {key} stands there twice")
        result[key] = value

    def _chosen(self, directive: str, fell_through: bool | None) -> tuple[list[_Expander], bool | None]:
        """The expanders for what a directive holds: none, one, or one for each element; and whether `else` still counts."""
        word, _, rest = directive.partition(" ")
        if word == "insert":
            return [self], None
        if word == "each":
            return list(self._each(directive)), None
        if word in ("elseif", "else") and fell_through is None:
            raise TemplateError(f"{self.path.name}: ${{{{ {directive} }}}} follows no if")
        if word in ("elseif", "else") and not fell_through:
            return [], False
        met = word == "else" or truth(evaluate(rest, self.names))
        return ([self] if met else []), (None if word == "else" else not met)

    def _each(self, directive: str) -> Iterator[_Expander]:
        found = EACH.fullmatch(directive)
        if found is None:
            raise TemplateError(f"{self.path.name}: ${{{{ {directive} }}}} cannot be read")
        values = evaluate(found[3], self.names)
        if found[2]:
            for key, value in values.items():
                yield _Expander(self.path, {**self.names, found[1]: key, found[2]: value})
            return
        if not isinstance(values, list):
            raise TemplateError(f"{self.path.name}: ${{{{ {directive} }}}} goes over {values!r}, which is no list")
        for value in values:
            yield _Expander(self.path, {**self.names, found[1]: value})


def _directive(item: Any) -> str | None:
    """`if …`, `each …` and their like, where they are the only key."""
    if not (isinstance(item, dict) and len(item) == 1):
        return None
    (key,) = item
    found = WHOLE.fullmatch(key.strip()) if isinstance(key, str) else None
    text = found[1].strip() if found else ""
    return text if text.split(" ")[0] in ("if", "elseif", "else", "each", "insert") else None


def _refuse_leftovers(path: Path, value: Any) -> None:
    if isinstance(value, dict):
        for key, inner in value.items():
            _refuse_leftovers(path, key)
            _refuse_leftovers(path, inner)
    elif isinstance(value, list):
        for inner in value:
            _refuse_leftovers(path, inner)
    elif isinstance(value, str) and "${{" in value:
        raise TemplateError(f"{path.name}: an expression is left in {value!r}")

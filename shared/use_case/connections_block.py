"""The block `connections` of `experiment.yaml`: which connections there are and what describes them.

Keys are never in it: a value that is secret is a reference to a variable.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Final

from shared.use_case.block import Block
from shared.use_case.connection_types import (
    AZURE,
    CUSTOM,
    TYPE_NAMES,
    TYPES,
    ConnectionType,
    first_name,
    names_of,
    type_named,
    web_address,
)
from shared.use_case.model import ConnectionSpec
from shared.use_case.problems import one_of
from shared.use_case.references import is_placeholder, reference

_ALWAYS: Final = ("name", "connection_type", "api_type", "description")
_VALUES: Final = tuple(
    dict.fromkeys(name for kind in TYPES for key in kind.keys for name in names_of(key) if key not in CUSTOM.takes)
)
_KEYS: Final = (*_ALWAYS, *_VALUES, *CUSTOM.takes)


def connections(block: Block, used: Mapping[str, Block]) -> tuple[ConnectionSpec, ...]:
    """`connections`: what describes each; `used` are those of the flows' nodes, with the block that names each flow.

    Without the block, the connections are those that the flows use.
    """
    if block.value is None:
        return tuple(ConnectionSpec(name) for name in sorted(used))
    found: dict[str, ConnectionSpec] = {}
    for item in block.items():
        if isinstance(item.value, str):
            name = Block(item.document, item.path, {"name": item.value}, item.problems).name("name")
            spec = ConnectionSpec(name)
        elif item.mapping(_KEYS) is None:
            continue
        else:
            spec = _described(item)
        if spec.name in found:
            item.problem(f"the connection {spec.name!r} is there twice; remove one")
        elif spec.name:
            found[spec.name] = spec
    for name, flow in used.items():
        if name not in found:
            close = get_close_matches(name, found, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            flow.problem(f"a node of this flow uses the connection {name!r}, which `connections` does not list{hint}")
    return tuple(found.values())


def _described(item: Block) -> ConnectionSpec:
    name = item.name("name", required=True)
    if not set(item.value) - {"name", "description"}:
        return ConnectionSpec(name)
    written = item.text("connection_type")
    kind = type_named(written) if written else _kind_by_keys(item)
    if kind is None:  # what else is there cannot be judged: it is the type that says which keys there are
        item.problem(one_of(written, TYPE_NAMES, "type of a connection"), "connection_type")
        return ConnectionSpec(name)
    return ConnectionSpec(
        name=name,
        connection_type=written or kind.name,
        values=_values(item, kind),
        configs=_group(item, "configs", kind),
        secrets=_group(item, "secrets", kind),
    )


def _kind_by_keys(item: Block) -> ConnectionType:
    if any(isinstance(item.value.get(group), dict) for group in CUSTOM.takes):
        return CUSTOM
    written = item.value.get("api_type")
    return (type_named(written) if isinstance(written, str) else None) or AZURE


def _values(item: Block, kind: ConnectionType) -> dict[str, str]:
    """The values by the first names of their keys."""
    values: dict[str, str] = {}
    for key in item.value:
        first = first_name(key)
        if key not in _VALUES or item.value[key] in (None, ""):
            continue  # nothing there: the variable named like the key is looked for
        if first not in kind.keys:
            item.problem(
                one_of(key, [one for one in kind.keys if one != "api_type"], f"key of the type {kind.name}"), key
            )
            continue
        value = _text(item, key, is_secret=first == "api_key")
        if first in values:
            item.problem(f"{first!r} is there twice, under two of its names; remove one", key)
        elif value is not None:
            values[first] = value
            _check(item, key, value, kind)
    return values


def _check(item: Block, key: str, value: str, kind: ConnectionType) -> None:
    first = first_name(key)
    if first == "api_key" or reference(value) is not None or is_placeholder(value):
        return
    meant = type_named(value) if first == "api_type" else None
    if meant not in (None, kind):
        item.problem(
            f"is {value!r}, but the connection is of the type {kind.name}; write {kind.api_type!r}, or nothing", key
        )
    elif _is_broken_reference(value):
        item.problem(f"is {value[:80]!r}; a reference stands alone and has the form ${{{key}}}", key)
    elif first == "api_base" and not web_address(value):
        item.problem(f"is {value[:80]!r}; expected an address that starts with https://, or ${{{key}}}", key)


def _group(item: Block, group: str, kind: ConnectionType) -> dict[str, str]:
    """`configs` or `secrets` of a custom connection."""
    block = item.child(group) if group in item else None
    if block is None or block.value is None:
        return {}
    if kind is not CUSTOM:
        item.problem(f"only a CustomConnection has {group}; this one is of the type {kind.name}", group)
        return {}
    found: dict[str, str] = {}
    for entry in block.entries():
        key = str(entry.path[-1])
        if entry.value in (None, ""):
            found[key] = f"${{{key}}}"
            continue
        value = _text(block, key, is_secret=group == "secrets")
        if value is None:
            continue
        found[key] = value
        if _is_broken_reference(value):
            block.problem(f"is {value[:80]!r}; a reference stands alone and has the form ${{{key}}}", key)
    return found


def _text(block: Block, key: str, *, is_secret: bool) -> str | None:
    """A text; a number counts as one, for YAML reads `2` and `1.5` as numbers.

    A key in a file would travel in every bundle: of secrets, only references such as `${api_key}` may stand there.
    """
    value = block.value[key]
    if is_secret:
        if reference(value) is not None or is_placeholder(value):
            return str(value)
        block.problem(f"holds a secret in clear; write ${{{key}}} here and put the key into `.env`", key)
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    return block.text(key)


def _is_broken_reference(value: str) -> bool:
    return "${" in value and reference(value) is None

"""`${<connection>.<key>}` in the `environment_variables` of a flow's file: whether there is such a key.

Where there is none, the flow would be given the reference itself as the variable's value.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from shared.use_case.block import Block
from shared.use_case.connection_types import CUSTOM, type_named
from shared.use_case.model import ConnectionSpec
from shared.use_case.problems import Problems, one_of
from shared.use_case.yaml_file import read_yaml

_OF_A_CONNECTION: Final = re.compile(r"\$\{([^{}$:.]+)\.([^{}$]*)\}")


def check_environment_references(
    path: Path, shown: str, connections: Iterable[ConnectionSpec], problems: Problems
) -> None:
    """Every connection that the flow's file at `path` refers to is there, and has the key.

    A connection of which only the name is known may have any key: its variable tells them.
    """
    document = read_yaml(path, shown, Problems()) if path.suffix in (".yaml", ".yml") else None
    top = document.value if document is not None else None
    if document is None or not isinstance(top, dict) or not isinstance(top.get("environment_variables"), dict):
        return
    there = {spec.name: spec for spec in connections}
    for entry in Block(document, (), top, problems).child("environment_variables").entries():
        found = _OF_A_CONNECTION.fullmatch(entry.value) if isinstance(entry.value, str) else None
        if found is None:
            continue
        name, key = found[1], found[2]
        if name not in there:
            entry.problem(f"{one_of(name, there, 'connection of the use case')}; list it under `connections`")
        elif (keys := _keys(there[name])) and key not in keys:
            entry.problem(one_of(key, keys, f"key of the connection {name!r}"))


def _keys(spec: ConnectionSpec) -> frozenset[str]:
    """The keys of a connection by their first names; empty where its description does not tell."""
    kind = type_named(spec.connection_type) if spec.connection_type else None
    if kind is None:
        return frozenset()
    own = frozenset((*spec.values, *spec.configs, *spec.secrets))
    return own if kind is CUSTOM else own | frozenset(kind.keys)

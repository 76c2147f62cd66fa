"""The variables that the values of a class flow's `__init__` stand for, and which of them are not set.

`${…}` as the value of an argument means the variable `<ARGUMENT>`, inside a mapping `<ARGUMENT>_<KEY>`, in capitals.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from shared.use_case.flex import INIT_FILE
from shared.use_case.flow_facts import flow_facts
from shared.use_case.flow_model import FlowInput
from shared.use_case.json_file import read_json
from shared.use_case.model import Problem, UseCase
from shared.use_case.problems import Problems
from shared.use_case.variables import given
from shared.use_case.yaml_file import read_yaml

_OF_CONNECTIONS: Final = frozenset({"azure_endpoint", "api_version", "api_key", "base_url", "organization"})
"""Keys of a model configuration that the connection it names brings, whatever is written."""


def missing(use_case: UseCase, environment: Mapping[str, str]) -> list[Problem]:
    """Every variable that has a value neither in this environment nor in `environment/env.yaml`, with its line."""
    known = {*given(use_case.variables, use_case.connections), *(name for name, value in environment.items() if value)}
    flows = {(use_case.flow, use_case.flow_file): frozenset(use_case.parameters)}
    flows |= {(e.flow, e.flow_file): frozenset() for e in use_case.evaluators if (e.flow, e.flow_file) not in flows}
    found: list[Problem] = []
    for (flow, file), varied in flows.items():
        for place, variable in references(flow_facts(flow, file).init):
            if variable not in known and not varied & {f"init.{place[0]}", ".".join(("init", *place))}:
                found.append(_problem(use_case.folder, flow, file, place, variable))
    return found


def references(init: Mapping[str, FlowInput]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The places of `${…}` in the values, each with the variable that it means."""
    for name, spec in init.items():
        value = spec.default
        if _is_reference(value):
            yield (name,), name.upper()
        inside = value if isinstance(value, dict) else {}
        for key, inner in inside.items():
            if _is_reference(inner) and not (key in _OF_CONNECTIONS and inside.get("connection")):
                yield (name, str(key)), f"{name}_{key}".upper()


def _is_reference(value: object) -> bool:
    return isinstance(value, str) and value.startswith("${") and value.endswith("}")


def _problem(root: Path, flow: Path, file: str, place: tuple[str, ...], variable: str) -> Problem:
    path = flow / INIT_FILE
    shown = path.relative_to(root).as_posix()
    document = read_json(path, shown, Problems()) if path.is_file() else None
    keys = place
    if document is None or place[0] not in document.value:
        shown, keys = (flow / file).relative_to(root).as_posix(), ("init", place[0], "default", *place[1:])
        document = read_yaml(flow / file, shown, Problems())
    line = document.line(*keys) if document is not None else 0
    message = (
        f"the variable {variable} is not set; set it in the environment, or give it a value in environment/env.yaml"
    )
    return Problem(shown, line, ".".join(keys), message)

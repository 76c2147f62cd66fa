"""The environment of a process that runs flow code: what any program needs, and what the flow asks for by name."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from shared.adapters.local.engines.kinds import DAG_FILE, environment_references, read_flow_file
from shared.child_environment import inherited_environment
from shared.connections import Connection
from shared.use_case.host_variables import is_of_the_host, is_ours

_QUIET: Final = {
    # prompt flow's telemetry client calls out when it is merely imported, whatever pf.yaml says.
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED": "true",
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL": "true",
    "PF_DISABLE_TRACING": "true",  # tokens are counted at the client, for less than the tracing costs
    "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
    "PYTHONUNBUFFERED": "1",
    "PYTHONUTF8": "1",
}
_FROM_HERE: Final = re.compile(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}")


def engine_environment() -> dict[str, str]:
    """What a process that runs flow code inherits: what any program needs, and prompt flow kept quiet."""
    return {**inherited_environment(), **_QUIET}


def declared_environment(flow: Path, flow_file: str = DAG_FILE) -> dict[str, str]:
    """Variables of this process that the flow asks for.

    A flow asks by `NAME: ${env:NAME}` under `environment_variables`, by `${env:NAME}` in a prompty, and by `${…}` as a
    value in `init.json`, which means the variable `<ARGUMENT>` or `<ARGUMENT>_<KEY>`. Settings of ours (`GENAIOPS_…`),
    the host's own and connections are not given; a variable that is not set here is left as the flow has it.

    Raises:
        BusinessFailure: the flow's file cannot be read.
    """
    declared = read_flow_file(flow, flow_file).get("environment_variables")
    asked = declared.items() if isinstance(declared, dict) else ()
    matches = ((str(name), _FROM_HERE.fullmatch(str(value))) for name, value in asked)
    wanted = {name: match[1] for name, match in matches if match is not None}
    wanted |= {name: name for name in environment_references(flow)}
    wanted |= {name: name for _, name in init_references(init_file(flow))}
    return {name: os.environ[source] for name, source in wanted.items() if _may_be_given(source)}


def _may_be_given(name: str) -> bool:
    if is_ours(name) or is_of_the_host(name):
        return False
    return name in os.environ and '"api_key"' not in os.environ[name]


def init_file(flow: Path) -> dict[str, Any]:
    """What the folder's `init.json` gives to a class flow; nothing where there is none that can be read."""
    try:
        content = json.loads((flow / "init.json").read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def is_reference(value: object) -> bool:
    """Whether it is `${…}`."""
    return isinstance(value, str) and value.startswith("${") and value.endswith("}")


def init_references(init: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], str]]:
    """The places of `${…}` in the values of a class flow, with the variable that each means."""
    for name, value in init.items():
        if is_reference(value):
            yield (name,), name.upper()
        elif isinstance(value, Mapping):
            for key, inner in value.items():
                if is_reference(inner):
                    yield (name, str(key)), f"{name}_{key}".upper()


def own_environment(
    flow: Path, flow_file: str, given: Mapping[str, str], connections: Mapping[str, Connection]
) -> dict[str, str]:
    """The variables that the flow's file sets, where `given` does not: `${<connection>.<key>}` is that key.

    Raises:
        BusinessFailure: the flow's file cannot be read.
    """
    declared = read_flow_file(flow, flow_file).get("environment_variables")
    variables = declared.items() if isinstance(declared, dict) else ()
    return {str(name): _referenced(str(value), connections) for name, value in variables if name not in given}


def _referenced(value: str, connections: Mapping[str, Connection]) -> str:
    if not is_reference(value):
        return value
    name, _, key = value[2:-1].partition(".")
    if name not in connections:
        return value
    connection = connections[name]
    extra = {**connection.configs, **connection.secrets}
    return str(extra.get(key, getattr(connection, key, value)))

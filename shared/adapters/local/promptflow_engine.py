"""What prompt flow is fed: a flow's DAG with variants and parameters applied, and connections in the engine's own form.

The flow runner and the local endpoints both start here, so that what was evaluated is what is deployed. Nothing of
prompt flow is imported: the results are plain dictionaries.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.child_environment import inherited_environment
from shared.connections import Connection
from shared.errors import BusinessFailure

DAG_FILE: Final = "flow.dag.yaml"
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


def declared_environment(flow: Path) -> dict[str, str]:
    """Variables of this process that the flow asks for, by `NAME: ${env:NAME}` under `environment_variables`.

    Settings of ours (`GENAIOPS_…`) and connections are not given; a variable that is not set here is left as the flow
    has it.

    Raises:
        BusinessFailure: as `read_dag`.
    """
    declared = read_dag(flow).get("environment_variables")
    asked = declared.items() if isinstance(declared, dict) else ()
    found = ((str(name), _FROM_HERE.fullmatch(str(value))) for name, value in asked)
    return {name: os.environ[match[1]] for name, match in found if match is not None and _may_be_given(match[1])}


def _may_be_given(name: str) -> bool:
    return name in os.environ and not name.upper().startswith("GENAIOPS_") and '"api_key"' not in os.environ[name]


def read_dag(flow: Path) -> dict[str, Any]:
    """The flow's `flow.dag.yaml` as it is written.

    Raises:
        BusinessFailure: it is missing, is not YAML, or has no list of nodes.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    file = flow / DAG_FILE
    try:
        dag = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise BusinessFailure(f"{flow.name}/{DAG_FILE} does not exist: a flow's folder must hold it.") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise BusinessFailure(f"{flow.name}/{DAG_FILE} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(dag, dict) or not isinstance(dag.get("nodes"), list):
        raise BusinessFailure(f"{flow.name}/{DAG_FILE} has no list `nodes`: a DAG flow must have one.")
    for number, node in enumerate(dag["nodes"], start=1):
        if not isinstance(node, dict) or not isinstance(node.get("name"), str):
            raise BusinessFailure(f"{flow.name}/{DAG_FILE}: node {number} has no `name`: every node must have one.")
    return dag


def materialised_dag(flow: Path, variants: Mapping[str, str], parameters: Mapping[str, object]) -> dict[str, Any]:
    """The flow's DAG with one variant chosen per node and the parameters set: no `node_variants` are left in it.

    Nodes that `variants` does not name use their default variant. `parameters` are `<node>.<input>` → value and are set
    on top of the variant, for prompt flow itself ignores overrides of a node that uses variants.

    Raises:
        BusinessFailure: the DAG cannot be read, or a node, variant or parameter does not exist in it.
    """
    dag = read_dag(flow)
    where = f"{flow.name}/{DAG_FILE}"
    choices: Mapping[str, Any] = dag.pop("node_variants", None) or {}
    names = [node["name"] for node in dag["nodes"]]
    for node in variants:
        if node not in names:
            raise BusinessFailure(
                f"{where} has no node {node!r} to choose a variant of; its nodes are {_listed(names)}."
            )
    dag["nodes"] = [_with_variant(node, choices, variants, where) for node in dag["nodes"]]
    by_name = {node["name"]: node for node in dag["nodes"]}
    for key, value in parameters.items():
        name, dot, parameter = key.partition(".")
        if not dot or not parameter:
            raise BusinessFailure(f"The parameter {key!r} is not of the form <node>.<input>.")
        if name not in by_name:
            raise BusinessFailure(f"The parameter {key!r} names no node of {where}; its nodes are {_listed(names)}.")
        by_name[name]["inputs"] = {**(by_name[name].get("inputs") or {}), parameter: value}
    return dag


def _with_variant(
    node: dict[str, Any], choices: Mapping[str, Any], variants: Mapping[str, str], where: str
) -> dict[str, Any]:
    name = node["name"]
    if not node.get("use_variants"):
        if name in variants:
            raise BusinessFailure(
                f"{where}: the node {name!r} does not use variants (`use_variants: true`), so {variants[name]!r} of it"
                " cannot be chosen."
            )
        return node
    block = choices.get(name) or {}
    known = block.get("variants") or {}
    chosen = variants.get(name) or block.get("default_variant_id")
    if chosen not in known:
        raise BusinessFailure(
            f"{where}: the node {name!r} has no variant {chosen!r} in `node_variants`; it has"
            f" {_listed(known) or 'none'}."
        )
    return {"name": name, **{key: value for key, value in known[chosen]["node"].items() if key != "name"}}


def used_connections(dag: Mapping[str, Any], connections: Mapping[str, Connection]) -> list[str]:
    """Names of the connections that the nodes of a materialised DAG refer to, in the order of `connections`."""
    named = {node.get("connection") for node in dag["nodes"]}
    for node in dag["nodes"]:
        named.update(value for value in (node.get("inputs") or {}).values() if isinstance(value, str))
    return [name for name in connections if name in named]


def engine_connections(connections: Mapping[str, Connection]) -> dict[str, dict[str, Any]]:
    """The connections as prompt flow takes them in memory: nothing is stored, no keyring is asked.

    Raises:
        BusinessFailure: an `api_type` that is neither `azure` nor `openai`.
    """
    return {name: _engine_connection(connection) for name, connection in connections.items()}


def _engine_connection(connection: Connection) -> dict[str, Any]:
    match connection.api_type:
        case "azure":
            kind = "AzureOpenAIConnection"
            value = {
                "api_key": connection.api_key,
                "api_base": connection.api_base,
                "api_type": "azure",
                "api_version": connection.api_version,
            }
        case "openai":
            kind = "OpenAIConnection"
            value = {"api_key": connection.api_key, "base_url": connection.api_base}
        case other:
            raise BusinessFailure(
                f"The connection {connection.name!r} has the api_type {other!r}; it must be 'azure' or 'openai'."
            )
    return {"type": kind, "name": connection.name, "module": "promptflow.connections", "value": value}


def _listed(names: object) -> str:
    return ", ".join(repr(name) for name in names) if isinstance(names, list | dict) else ""

"""A DAG with one choice of variants and parameters applied, as a plain dictionary for prompt flow. Nothing of it is
imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from shared.adapters.local.engines.kinds import DAG_FILE, read_flow_file
from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.use_case.flow_model import MODEL_SETTINGS

_DEPLOYMENTS: Final = ("deployment_name", "model")
"""What the two kinds of `llm` node call the model that answers."""


def read_dag(flow: Path, flow_file: str = DAG_FILE) -> dict[str, Any]:
    """The flow's YAML file as it is written.

    Raises:
        BusinessFailure: it is missing, is not YAML, or has no list of nodes.
    """
    dag = read_flow_file(flow, flow_file)
    if not isinstance(dag.get("nodes"), list):
        raise BusinessFailure(f"{flow.name}/{flow_file} has no list `nodes`: a DAG flow must have one.")
    for number, node in enumerate(dag["nodes"], start=1):
        if not isinstance(node, dict) or not isinstance(node.get("name"), str):
            raise BusinessFailure(f"{flow.name}/{flow_file}: node {number} has no `name`: every node must have one.")
    return dag


def materialised_dag(
    flow: Path, variants: Mapping[str, str], parameters: Mapping[str, object], flow_file: str = DAG_FILE
) -> dict[str, Any]:
    """The flow's DAG with one variant chosen per node and the parameters set: no `node_variants` are left in it.

    Nodes that `variants` does not name use their default variant. `parameters` are set on top of the variant, for
    prompt flow itself ignores overrides of a node that uses variants: `<node>.<input>`, a model setting for every `llm`
    node, or `inputs.<input>`, which becomes that input's default.

    Raises:
        BusinessFailure: the DAG cannot be read, or a node, variant or parameter does not exist in it.
    """
    dag = read_dag(flow, flow_file)
    where = f"{flow.name}/{flow_file}"
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
        _set_parameter(dag, by_name, key, value, where)
    return dag


def _set_parameter(
    dag: dict[str, Any], nodes: Mapping[str, dict[str, Any]], key: str, value: object, where: str
) -> None:
    name, dot, parameter = key.partition(".")
    if key in MODEL_SETTINGS:
        for node in nodes.values():
            if node.get("type") == "llm":
                _set_input(node, _setting_of(node, key), value)
    elif not dot or not parameter:
        known = ", ".join(sorted(MODEL_SETTINGS))
        raise BusinessFailure(f"The parameter {key!r} is neither <node>.<input> nor a model setting ({known}).")
    elif name in nodes:
        _set_input(nodes[name], parameter, value)
    elif name == "inputs" and parameter in (dag.get("inputs") or {}):
        dag["inputs"][parameter] = {**(dag["inputs"][parameter] or {}), "default": value}
    else:
        raise BusinessFailure(f"The parameter {key!r} names no node of {where}; its nodes are {_listed(list(nodes))}.")


def _setting_of(node: Mapping[str, Any], key: str) -> str:
    """The node's own name for a model setting: a deployment for Azure OpenAI is a model for OpenAI."""
    written = node.get("inputs") or {}
    if key in _DEPLOYMENTS and key not in written:
        return next((name for name in _DEPLOYMENTS if name in written), key)
    return key


def _set_input(node: dict[str, Any], name: str, value: object) -> None:
    node["inputs"] = {**(node.get("inputs") or {}), name: value}


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


def _listed(names: object) -> str:
    return ", ".join(repr(name) for name in names) if isinstance(names, list | dict) else ""

"""A flow of nodes as Azure ML runs it: variants and parameters applied, and nodes added for what its aggregation reads.

    genaiops_kept      once a line: what the aggregation nodes read of it, as the hidden output `genaiops`, so that
                       later runs need not run the line
    genaiops_merged    once a run, where earlier runs have answered lines: their values and those of this run's lines,
                       in line order; the aggregation nodes read them from there

Where every line is known, the nodes that run once a line are left out: one line that asks nothing of anybody is there
because a run must have one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

HIDDEN: Final = "genaiops"
"""The output that carries what the aggregation needs of a line."""
LINE: Final = "genaiops_line"
"""The input that carries the line's number."""
_KEPT: Final = "genaiops_kept"
_MERGED: Final = "genaiops_merged"
_REFERENCE: Final = re.compile(r"\$\{\s*([^{}.\s]+)\.([^{}\s]+)\s*\}")


@dataclass(frozen=True)
class StagedDag:
    """The flow's file as a mapping, and the tools of the nodes that were added."""

    content: Mapping[str, Any]
    tools: Mapping[str, str] = field(default_factory=dict)
    """File → source."""
    is_numbered: bool = False
    """Whether it takes the lines' numbers."""
    aggregations: tuple[str, ...] = ()
    """The aggregation nodes that it has: what they say of their failure is read in the run's outputs."""


def staged_dag(dag: Mapping[str, Any], *, aggregate: bool, known: bool, runs_lines: bool) -> StagedDag:
    """The flow for a run.

    Args:
        dag: as `engines.dag.materialised_dag` makes it.
        aggregate: whether metrics are wanted.
        known: whether earlier runs have answered lines.
        runs_lines: whether there are others.
    """
    nodes = [dict(node) for node in dag["nodes"]]
    aggregations = [node for node in nodes if node.get("aggregation")]
    number = {LINE: {"type": "int", "default": -1}}
    if not aggregate or not aggregations:
        content = {**dag, "nodes": [node for node in nodes if not node.get("aggregation")]}
        # Prompt flow refuses lines for a flow that takes nothing.
        return StagedDag(
            content if dag.get("inputs") else {**content, "inputs": number}, is_numbered=not dag.get("inputs")
        )
    names = {node["name"] for node in nodes} - {node["name"] for node in aggregations}
    read = _read(aggregations, names)
    inputs = [name for name in read if not name.startswith("${")]
    content = {**dag, "inputs": {**(dag.get("inputs") or {}), **number}}
    content["outputs"] = {**(dag.get("outputs") or {}), HIDDEN: {"type": "string", "reference": f"${{{_KEPT}.output}}"}}
    tools = {f"{_KEPT}.py": _kept_tool(read, inputs)}
    added = [_node(_KEPT, {"line": f"${{inputs.{LINE}}}", **_arguments(read)})]
    if known:
        taken = _arguments(read) if runs_lines else {}
        tools[f"{_MERGED}.py"] = _merged_tool(read, inputs, runs_lines=runs_lines)
        added.append({**_node(_MERGED, {"lines": f"${{inputs.{LINE}}}", **taken}), "aggregation": True})
        for node in aggregations:
            node["inputs"] = {name: _moved(value, read) for name, value in (node.get("inputs") or {}).items()}
    if not runs_lines:
        tools[f"{_KEPT}.py"] = _kept_tool([], [])
        added[0] = _node(_KEPT, {"line": f"${{inputs.{LINE}}}"})
        content["inputs"] = {LINE: content["inputs"][LINE]}
        content["outputs"] = {HIDDEN: content["outputs"][HIDDEN]}
        nodes = aggregations
    content["nodes"] = [*nodes, *added]
    return StagedDag(content, tools, is_numbered=True, aggregations=tuple(node["name"] for node in aggregations))


def _read(aggregations: list[dict[str, Any]], names: set[str]) -> list[str]:
    """What aggregation nodes read of each line: `${node.output}` as prompt flow writes it, or a flow input's name."""
    found: dict[str, None] = {}
    for node in aggregations:
        for value in (node.get("inputs") or {}).values():
            what = _line_value(value, names)
            if what is not None:
                found[what] = None
    return list(found)


def _line_value(value: object, names: set[str] | None) -> str | None:
    matched = _REFERENCE.fullmatch(value.strip()) if isinstance(value, str) else None
    if matched is None:
        return None
    if matched[1] in ("inputs", "flow"):
        return matched[2]
    return f"${{{matched[1]}.{matched[2]}}}" if names is None or matched[1] in names else None


def _moved(value: object, read: list[str]) -> object:
    what = _line_value(value, None)
    return f"${{{_MERGED}.output.v{read.index(what)}}}" if what in read else value


def _arguments(read: list[str]) -> dict[str, str]:
    return {f"v{index}": what if what.startswith("${") else f"${{inputs.{what}}}" for index, what in enumerate(read)}


def _node(name: str, inputs: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "type": "python", "source": {"type": "code", "path": f"{name}.py"}, "inputs": dict(inputs)}


_TOOL: Final = '''"""Added for a run of a chain: see genaiops_nodes.py."""

import genaiops_nodes
from promptflow.core import tool

READ = {read!r}
INPUTS = {inputs!r}


@tool
def {name}({parameters}):
    return genaiops_nodes.{call}
'''


def _kept_tool(read: list[str], inputs: list[str]) -> str:
    values = [f"v{index}" for index in range(len(read))]
    call = f"kept(line, dict(zip(READ, [{', '.join(values)}])), INPUTS)"
    parameters = ", ".join(["line", *(f"{value}=None" for value in values)])
    return _TOOL.format(read=read, inputs=inputs, name=_KEPT, parameters=parameters, call=call)


def _merged_tool(read: list[str], inputs: list[str], *, runs_lines: bool) -> str:
    values = [f"v{index}" for index in range(len(read))] if runs_lines else []
    columns = f"[{', '.join(values)}]" if runs_lines else "[[] for _ in READ]"
    call = f"merged(lines, dict(zip(READ, {columns})), INPUTS)"
    parameters = ", ".join(["lines", *(f"{value}=None" for value in values)])
    return _TOOL.format(read=read, inputs=inputs, name=_MERGED, parameters=parameters, call=call)

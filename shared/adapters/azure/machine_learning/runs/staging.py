"""The folder that is uploaded for a run: the flow's files, and what the run adds or changes.

A flow of nodes stays one, with its variants and parameters applied (`dag.py`). For any other flow, the engine that
runs it on a laptop goes along (`staged/genaiops_entry.py`), and the flow lies in a folder of its own: where a run is
submitted, prompt flow imports the entry with its folder first on `sys.path`, and no file of the flow may be found
there. The use case's folder goes along where the flow's code names it.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.adapters.azure.machine_learning.runs.dag import LINE, staged_dag
from shared.adapters.azure.machine_learning.runs.delta import INPUTS, NUMBER, Delta
from shared.adapters.azure.machine_learning.runs.vendored import pack_engines
from shared.adapters.local.engines.dag import materialised_dag, read_dag, used_connections
from shared.adapters.local.engines.kinds import kind_of, mentioned, read_flow_file
from shared.adapters.local.flow_runner.known import may_aggregate
from shared.errors import BusinessFailure
from shared.ports import RunSpec
from shared.use_case.flow_files import FLOW_FILES
from shared.use_case.flow_model import FlowKind

_STAGED: Final = Path(__file__).parent / "staged"
_FLOWS: Final = "genaiops_flow"
"""The folder in which a flow without nodes lies."""
_REQUIREMENTS: Final = "python_requirements_txt"
_NOTHING_KEPT: Final = (
    "Line {line} was taken from an earlier run, which kept nothing of it for the aggregation of the flow {flow!r}. "
    "Run it afresh."
)
_KNOWN: Final = "genaiops_known.jsonl"
_LEFT_OUT: Final = shutil.ignore_patterns(
    *("__pycache__", ".git", ".runs", ".venv", "node_modules"),
    *(".gitignore", ".amlignore"),  # they mean other places: azure-ai-ml would leave out what is added here
)


@dataclass(frozen=True)
class Staged:
    """The folder, and how lines reach the flow in it."""

    folder: Path
    column_mapping: Mapping[str, str]
    aggregations: tuple[str, ...] = ()
    models: tuple[str, ...] = ()


def is_dag(spec: RunSpec) -> bool:
    """Whether the flow has nodes. Raises BusinessFailure where its file is missing or no YAML."""
    if not spec.flow.is_dir():
        raise BusinessFailure(f"The flow's folder {spec.flow.name!r} does not exist: the bundle must hold it.")
    return kind_of(spec.flow, spec.flow_file) is FlowKind.DAG


def defaults(spec: RunSpec) -> dict[str, object]:
    """The defaults of the inputs of a flow of nodes, parameters included."""
    declared = materialised_dag(spec.flow, spec.variants, spec.parameters, spec.flow_file).get("inputs") or {}
    return {
        name: entry["default"] for name, entry in declared.items() if isinstance(entry, dict) and "default" in entry
    }


def stage(spec: RunSpec, folder: Path, delta: Delta, *, environment: Iterable[str]) -> Staged:
    """Make the folder.

    Args:
        spec: the run.
        folder: where; its parent exists.
        delta: the lines that are run.
        environment: names of the variables that the run is given.

    Raises:
        BusinessFailure: a variant or parameter does not exist, or an earlier run kept nothing for the aggregation.
    """
    with_nodes = is_dag(spec)
    flow = folder if with_nodes else folder / _FLOWS / spec.flow.name
    shutil.copytree(spec.flow, flow, ignore=_LEFT_OUT)
    _add_use_case(spec, flow)
    known = bool(spec.known_count) and spec.aggregate and may_aggregate(spec.flow, spec.flow_file)
    if known:
        _write_known(spec, folder / _KNOWN, with_nodes=with_nodes)
    if with_nodes:
        return _stage_dag(spec, folder, delta, known=known)
    return _stage_code(spec, folder, flow, environment, known=known)


def _stage_dag(spec: RunSpec, folder: Path, delta: Delta, *, known: bool) -> Staged:
    from ruamel.yaml import YAML

    whole = materialised_dag(spec.flow, spec.variants, spec.parameters, spec.flow_file)
    staged = staged_dag(whole, aggregate=spec.aggregate, known=known, runs_lines=delta.lines > 0)
    for name in (*FLOW_FILES, spec.flow_file):
        (folder / name).unlink(missing_ok=True)
    with (folder / "flow.dag.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(dict(staged.content), stream)
    for name, source in staged.tools.items():
        (folder / name).write_text(source, encoding="utf-8")
    mapping = {name: f"${{data.{name}}}" for name in delta.columns}
    if staged.tools:
        shutil.copyfile(_STAGED / "genaiops_nodes.py", folder / "genaiops_nodes.py")
    if staged.is_numbered:
        mapping[LINE] = f"${{data.{NUMBER}}}"
    used = used_connections(read_dag(folder), spec.connections)
    return Staged(folder, mapping, staged.aggregations, tuple(spec.connections[name].shown for name in used))


def _stage_code(spec: RunSpec, folder: Path, flow: Path, environment: Iterable[str], *, known: bool) -> Staged:
    from ruamel.yaml import YAML

    used = mentioned(spec.flow, list(spec.connections))
    run = {
        "folder": flow.relative_to(folder).as_posix(),
        "flow_file": spec.flow_file,
        "parameters": _parameters(spec),
        "aggregate": spec.aggregate,
        "known": known,
        "connections": used,
        "environment": sorted(environment),
    }
    (folder / "genaiops_run.json").write_text(json.dumps(run, sort_keys=True), encoding="utf-8")
    shutil.copyfile(_STAGED / "genaiops_entry.py", folder / "genaiops_entry.py")
    pack_engines(folder / "genaiops_code.zip")
    flex = {"entry": "genaiops_entry:Flow", **_session(read_flow_file(spec.flow, spec.flow_file), folder, flow)}
    with (folder / "flow.flex.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(flex, stream)
    mapping = {"number": f"${{data.{NUMBER}}}", "inputs": f"${{data.{INPUTS}}}"}
    return Staged(folder, mapping, (), tuple(spec.connections[name].shown for name in used))


def _session(content: Mapping[str, Any], folder: Path, flow: Path) -> dict[str, Any]:
    """What the flow's file says of its compute session; prompt flow looks for its requirements beside the entry."""
    said = content.get("environment")
    environment = dict(said) if isinstance(said, Mapping) else {}
    requirements = flow / str(environment.get(_REQUIREMENTS) or "requirements.txt")
    if requirements.is_file() and requirements.resolve().is_relative_to(flow.resolve()):
        shutil.copyfile(requirements, folder / "requirements.txt")
        environment[_REQUIREMENTS] = "requirements.txt"
    return {"environment": environment} if environment else {}


def _parameters(spec: RunSpec) -> dict[str, Any]:
    if spec.variants:
        raise BusinessFailure(f"{spec.flow.name} has no nodes, so {next(iter(spec.variants))!r} cannot have a variant.")
    return dict(spec.parameters)


def _write_known(spec: RunSpec, file: Path, *, with_nodes: bool) -> None:
    with file.open("w", encoding="utf-8") as stream:
        for record in spec.known_lines:
            if record.aggregated is None and with_nodes:
                raise BusinessFailure(_NOTHING_KEPT.format(line=record.line + 1, flow=spec.flow.name))
            # Whether code aggregates shows when it is loaded, on Azure ML: it says there if it needs what was not kept.
            stream.write(json.dumps({"line": record.line, "aggregated": record.aggregated}) + "\n")


def _add_use_case(spec: RunSpec, folder: Path) -> None:
    """Put the use case's folder beside the flow, under the name by which the flow's code imports it."""
    package = spec.package
    if spec.root is None or package in ("", *sys.stdlib_module_names) or not mentioned(spec.flow, [package]):
        return
    if (folder / package).exists() or (folder / f"{package}.py").exists():
        return

    def left_out(place: str, names: list[str]) -> set[str]:
        ignored = set(_LEFT_OUT(place, names))
        return ignored | ({"data"} & set(names) if Path(place) == spec.root else set())

    shutil.copytree(spec.root, folder / package, ignore=left_out)

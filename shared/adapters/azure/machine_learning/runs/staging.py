"""The folder that is uploaded for a run: the flow's files, and what the run adds or changes.

A flow of nodes stays one, with its variants and parameters applied (`dag.py`). For any other flow, the engine that runs
it on a laptop goes along (`staged/genaiops_entry.py`). The use case's folder goes along where the flow's code names it.
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
from shared.adapters.azure.machine_learning.runs.vendored import copy_engines
from shared.adapters.local.engines.dag import materialised_dag, read_dag, used_connections
from shared.adapters.local.engines.kinds import kind_of, mentioned, read_flow_file
from shared.errors import BusinessFailure
from shared.ports import RunSpec
from shared.results import LineRecord
from shared.use_case.flow_files import FLOW_FILES
from shared.use_case.flow_model import FlowKind

_STAGED: Final = Path(__file__).parent / "staged"
_ORIGINAL: Final = "genaiops_flow.yaml"
_KNOWN: Final = "genaiops_known.jsonl"
_LEFT_OUT: Final = shutil.ignore_patterns("__pycache__", ".git", ".runs", ".venv", "node_modules")


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
    shutil.copytree(spec.flow, folder, ignore=_LEFT_OUT)
    _add_use_case(spec, folder)
    known = bool(spec.known_count) and spec.aggregate and _write_known(spec, folder / _KNOWN)
    if is_dag(spec):
        return _stage_dag(spec, folder, delta, known=known)
    return _stage_code(spec, folder, environment)


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


def _stage_code(spec: RunSpec, folder: Path, environment: Iterable[str]) -> Staged:
    from ruamel.yaml import YAML

    content = read_flow_file(spec.flow, spec.flow_file)
    flow_file = spec.flow_file
    if flow_file in FLOW_FILES:
        flow_file = _ORIGINAL
        (folder / spec.flow_file).rename(folder / flow_file)
    for name in FLOW_FILES:
        (folder / name).unlink(missing_ok=True)
    used = mentioned(spec.flow, list(spec.connections))
    run = {
        "flow_file": flow_file,
        "parameters": _parameters(spec),
        "aggregate": spec.aggregate,
        "connections": used,
        "environment": sorted(environment),
    }
    (folder / "genaiops_run.json").write_text(json.dumps(run, sort_keys=True), encoding="utf-8")
    shutil.copyfile(_STAGED / "genaiops_entry.py", folder / "genaiops_entry.py")
    copy_engines(folder / "genaiops_code")
    flex = {"entry": "genaiops_entry:Flow", **{key: content[key] for key in ("environment",) if key in content}}
    with (folder / "flow.flex.yaml").open("w", encoding="utf-8") as stream:
        YAML().dump(flex, stream)
    mapping = {"number": f"${{data.{NUMBER}}}", "inputs": f"${{data.{INPUTS}}}"}
    return Staged(folder, mapping, (), tuple(spec.connections[name].shown for name in used))


def _parameters(spec: RunSpec) -> dict[str, Any]:
    if spec.variants:
        raise BusinessFailure(f"{spec.flow.name} has no nodes, so {next(iter(spec.variants))!r} cannot have a variant.")
    return dict(spec.parameters)


def _write_known(spec: RunSpec, file: Path) -> bool:
    with file.open("w", encoding="utf-8") as stream:
        for record in spec.known_lines:
            stream.write(json.dumps(_known(spec, record)) + "\n")
    return True


def _known(spec: RunSpec, record: LineRecord) -> dict[str, Any]:
    if record.aggregated is None:
        raise BusinessFailure(
            f"Line {record.line + 1} was taken from an earlier run, which kept nothing of it for the aggregation of the"
            f" flow {spec.flow.name!r}. Run it afresh."
        )
    return {"line": record.line, "aggregated": record.aggregated}


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

"""The engine for DAGs: prompt flow's own executor, one for each choice of variants and parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from typing import Any

from shared.adapters.local.engines.connections import engine_connections
from shared.adapters.local.engines.contract import Aggregation, FlowError, FlowSource, LineResult
from shared.adapters.local.engines.dag import materialised_dag, read_dag, used_connections


def promptflow_version() -> str:
    """As an engine's name."""
    from promptflow._version import VERSION

    return f"promptflow {VERSION}"


class DagEngine:
    """A flow of nodes."""

    def __init__(self, source: FlowSource) -> None:
        read_dag(source.folder, source.flow_file)  # what is wrong with the file is told before anything is imported
        self._source = source
        self._numbers = count(1)

    @property
    def name(self) -> str:
        """As `Engine`."""
        return promptflow_version()

    def executable(self, variants: Mapping[str, str], parameters: Mapping[str, Any]) -> DagExecutable:
        """As `Engine`."""
        from promptflow.executor import FlowExecutor
        from ruamel.yaml import YAML

        source = self._source
        dag = materialised_dag(source.folder, variants, parameters, source.flow_file)
        file = source.scratch / f"{next(self._numbers)}.dag.yaml"
        with file.open("w", encoding="utf-8") as stream:
            YAML().dump(dag, stream)
        executor = FlowExecutor.create(
            file,
            engine_connections(source.connections),
            working_dir=source.folder,
            raise_ex=False,
            env_exporter_setup=False,
        )
        file.unlink()
        return DagExecutable(executor, used_connections(dag, source.connections))


class DagExecutable:
    """One of prompt flow's executors."""

    def __init__(self, executor: Any, connections: Sequence[str]) -> None:
        self._executor = executor
        self.connections = connections
        self._aggregation_inputs = _inputs_of_aggregation(executor)

    @property
    def aggregates(self) -> bool:
        """As `Executable`."""
        return bool(self._executor.has_aggregation_node)

    def line(self, inputs: Mapping[str, Any], number: int, run: str) -> LineResult:
        """As `Executable`."""
        # Prompt flow takes the index for its messages only ("in line 3 of input data"): people count from 1.
        result = self._executor.exec_line(inputs, index=number + 1, run_id=run)
        if result.run_info.status.value != "Completed":
            raise FlowError(_message(result.run_info.error))
        outputs = {name: value for name, value in result.output.items() if name != "line_number"}
        if not self.aggregates:
            return LineResult(outputs)
        read = {name: value for name, value in result.run_info.inputs.items() if name in self._aggregation_inputs}
        return LineResult(outputs, {"inputs": read, "values": dict(result.aggregation_inputs)})

    def aggregate(self, kept: Sequence[Mapping[str, Any]], run: str) -> Aggregation:
        """As `Executable`."""
        inputs = {name: [line["inputs"][name] for line in kept] for name in kept[0]["inputs"]}
        values = {name: [line["values"].get(name) for line in kept] for name in kept[0]["values"]}
        result = self._executor.exec_aggregation(inputs, values, run_id=run)
        failed = [info for info in result.node_run_infos.values() if info.status.value == "Failed"]
        return Aggregation(result.metrics, "; ".join(f"{info.node}: {_message(info.error)}" for info in failed))


def _inputs_of_aggregation(executor: Any) -> frozenset[str]:
    """Flow inputs that an aggregation node reads directly."""
    return frozenset(
        assignment.value
        for node in executor._flow.nodes  # noqa: SLF001  # the executor has no public view of its nodes
        if node.aggregation
        for assignment in node.inputs.values()
        if assignment.value_type.value == "FlowInput"
    )


def _message(error: Mapping[str, Any] | None) -> str:
    """The message of prompt flow's error document, without traceback."""
    if not error:
        return "The line did not complete and the engine gives no reason."
    message = " ".join(str(error.get("message") or "").split()).partition(" [Error reference:")[0]
    return message or str(error.get("code") or "unknown error")

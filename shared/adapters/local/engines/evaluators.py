"""The engine for evaluators without a flow file: the `eval_…` functions of the folder's `eval_*.py` files.

Each is called once a line with the inputs that it names. A module's `aggregate(lines)` makes the metrics; without one
they are the means of its functions' numbers. Functions for a whole run (`whole_run.py`) are called in the aggregation.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from shared.adapters.local.engines.code import PYTHON
from shared.adapters.local.engines.contract import Aggregation, FlowError, FlowSource, LineResult
from shared.adapters.local.engines.kinds import mentioned
from shared.adapters.local.engines.metrics import aggregated
from shared.adapters.local.engines.modules import imported
from shared.adapters.local.engines.parameters import Split
from shared.adapters.local.engines.results import Fields, as_outputs, call
from shared.adapters.local.engines.signature import Signature, signature_of
from shared.adapters.local.engines.whole_run import WholeRun, is_for_whole_run
from shared.errors import BusinessFailure
from shared.use_case.flow_files import evaluator_files

_PREFIX = "eval_"


@dataclass(frozen=True)
class _PerLine:
    module: str
    name: str
    function: Callable[..., Any]
    signature: Signature


class EvaluatorEngine:
    """A folder of evaluation functions."""

    def __init__(self, source: FlowSource) -> None:
        self._source = source
        files = evaluator_files(source.folder)
        if not files:
            raise BusinessFailure(
                f"{source.folder.name} has neither a flow file nor an eval_*.py: an evaluator has one."
            )
        self._modules = [imported(source.folder, file.stem) for file in files]

    @property
    def name(self) -> str:
        """As `Engine`."""
        return PYTHON

    def executable(self, variants: Mapping[str, str], parameters: Mapping[str, Any]) -> EvaluatorExecutable:
        """As `Engine`."""
        source = self._source
        split = Split.of(parameters, variants, source.folder.name)
        split.refuse_settings()
        split.refuse_init()
        per_line: list[_PerLine] = []
        whole: list[WholeRun] = []
        for module in self._modules:
            for name, function in _functions(module):
                if is_for_whole_run(function):
                    whole.append(WholeRun(function, source.scratch))
                else:
                    per_line.append(_PerLine(module.__name__, name, function, signature_of(function, {}, split.inputs)))
        if not per_line and not whole:
            raise BusinessFailure(f"{source.folder.name}: its eval_*.py files define no function eval_….")
        used = mentioned(source.folder, list(source.connections))
        aggregations = {module.__name__: found for module in self._modules if (found := _aggregation(module))}
        return EvaluatorExecutable(per_line, whole, aggregations, used)


class EvaluatorExecutable:
    """The functions, sorted."""

    aggregates = True

    def __init__(
        self,
        per_line: Sequence[_PerLine],
        whole: Sequence[WholeRun],
        aggregations: Mapping[str, Callable[..., Any]],
        connections: Sequence[str],
    ) -> None:
        self._per_line = per_line
        self._whole = whole
        self._aggregations = aggregations
        self.connections = connections

    def line(self, inputs: Mapping[str, Any], number: int, run: str) -> LineResult:  # noqa: ARG002  # as Executable
        """As `Executable`."""
        by_module: dict[str, dict[str, Any]] = {}
        outputs: dict[str, Any] = {}
        for function in self._per_line:
            scores = _scores(function.name, call(function.function, function.signature.bound(inputs)))
            twice = outputs.keys() & scores.keys()
            if twice:
                raise FlowError(f"{function.name} gives {min(twice)!r}, which another evaluation function gives, too.")
            outputs |= scores
            by_module.setdefault(function.module, {}).update(scores)
        return LineResult(outputs, {"scores": by_module, **({"inputs": dict(inputs)} if self._whole else {})})

    def aggregate(self, kept: Sequence[Mapping[str, Any]], run: str) -> Aggregation:
        """As `Executable`."""
        metrics: dict[str, Any] = {}
        for module in dict.fromkeys(function.module for function in self._per_line):
            lines = [Fields(line["scores"].get(module, {})) for line in kept]
            if module in self._aggregations:
                function = self._aggregations[module]
                metrics |= aggregated(function, next(iter(inspect.signature(function).parameters)), lines).metrics
            else:
                metrics |= _means(lines)
        for whole in self._whole:
            metrics |= whole.metrics([line["inputs"] for line in kept], run)
        return Aggregation(metrics)


def _functions(module: ModuleType) -> list[tuple[str, Callable[..., Any]]]:
    """The evaluation functions that the module itself defines, in its order; not those that it imports."""
    return [
        (name, value)
        for name, value in vars(module).items()
        if name.startswith(_PREFIX) and inspect.isroutine(value) and _defined_in(value, module)
    ]


def _defined_in(function: Callable[..., Any], module: ModuleType) -> bool:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and Path(code.co_filename) == Path(str(module.__file__))


def _aggregation(module: ModuleType) -> Callable[..., Any] | None:
    function = getattr(module, "aggregate", None)
    return function if inspect.isroutine(function) and len(inspect.signature(function).parameters) == 1 else None


def _scores(name: str, value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping) or is_dataclass(value):
        return as_outputs(value)
    return {name.removeprefix(_PREFIX): value}


def _means(lines: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Of every number and truth value, over the lines that have it."""
    values: dict[str, list[float]] = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, int | float) and math.isfinite(value):
                values.setdefault(name, []).append(float(value))
    return {name: math.fsum(found) / len(found) for name, found in values.items()}

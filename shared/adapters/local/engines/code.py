"""The engine for code: a function or a class, named by `entry`, run as plain Python. It imports nothing of prompt flow.

The meaning is that of prompt flow's flex flows: see `signature.py` for inputs, `results.py` for outputs, `init.py` for
what a class is made with. A class is made once per choice of parameters; its `__aggregate__` gets what the lines
returned.
"""

from __future__ import annotations

import inspect
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, Final

from shared.adapters.local.engines.contract import Aggregation, FlowError, FlowSource, LineResult
from shared.adapters.local.engines.init import InitValues
from shared.adapters.local.engines.kept import has_exact_json
from shared.adapters.local.engines.kinds import mentioned, read_flow_file
from shared.adapters.local.engines.metrics import aggregated
from shared.adapters.local.engines.modules import imported
from shared.adapters.local.engines.parameters import Split
from shared.adapters.local.engines.results import Fields, as_outputs, call
from shared.adapters.local.engines.signature import Signature, annotations_of, signature_of, without_none
from shared.errors import BusinessFailure

PYTHON: Final = f"python {platform.python_version()}"


class CodeEngine:
    """A flow file with an `entry`."""

    def __init__(self, source: FlowSource) -> None:
        self._source = source
        content = read_flow_file(source.folder, source.flow_file)
        self._declared: Mapping[str, Any] = content.get("inputs") or {}
        where = f"{source.folder.name}/{source.flow_file}"
        module, colon, name = str(content.get("entry")).partition(":")
        if not module or not colon or not name:
            raise BusinessFailure(
                f"{where}: `entry` is {content.get('entry')!r}; <module>:<function or class> is expected."
            )
        entry = getattr(imported(source.folder, module.strip()), name.strip(), None)
        if not callable(entry):
            raise BusinessFailure(f"{where}: `entry` names {name!r}, which is no function or class of {module!r}.")
        self._entry: Callable[..., Any] = entry
        self._init = InitValues(source)

    @property
    def name(self) -> str:
        """As `Engine`."""
        return PYTHON

    def executable(self, variants: Mapping[str, str], parameters: Mapping[str, Any]) -> CodeExecutable:
        """As `Engine`."""
        split = Split.of(parameters, variants, self._source.folder.name)
        split.refuse_settings()
        entry = self._entry
        aggregate = None
        if inspect.isclass(entry):
            made = entry(**self._init.arguments(entry, split.init))
            if not callable(made):
                raise BusinessFailure(f"The class {entry.__name__} has no method `__call__`: each line calls it.")
            aggregate = getattr(made, "__aggregate__", None)
            entry = made.__call__
        elif split.init:
            raise BusinessFailure(
                f"The parameter 'init.{next(iter(split.init))}' is for a class, but the entry of"
                f" {self._source.folder.name} is a function."
            )
        signature = signature_of(entry, self._declared, split.inputs, untyped="object")  # as prompt flow has it
        used = mentioned(self._source.folder, list(self._source.connections))
        return CodeExecutable(entry, signature, aggregate, used)


class CodeExecutable:
    """A function, or an object of the class."""

    def __init__(
        self,
        function: Callable[..., Any],
        signature: Signature,
        aggregate: Callable[..., Any] | None,
        connections: Sequence[str],
    ) -> None:
        self._function = function
        self._signature = signature
        self._aggregate = aggregate
        self.connections = connections
        returned = without_none(annotations_of(function).get("return"))
        self._returned: Any = returned if inspect.isclass(returned) else None

    @property
    def aggregates(self) -> bool:
        """As `Executable`."""
        return self._aggregate is not None

    def line(self, inputs: Mapping[str, Any], number: int, run: str) -> LineResult:  # noqa: ARG002  # as Executable
        """As `Executable`."""
        value = call(self._function, self._signature.bound(inputs))
        return LineResult(as_outputs(value), self._kept(value) if self.aggregates else None)

    def _kept(self, value: Any) -> dict[str, Any]:
        # An object of the class that `__call__` says it returns can be made again of its fields, in another run too.
        if is_dataclass(value) and self._returned is type(value):
            fields = as_outputs(value)
            if has_exact_json(fields) and self._makes(fields, value):
                return {"fields": fields}
        return {"value": value}

    def _makes(self, fields: Mapping[str, Any], value: object) -> bool:
        try:
            return bool(self._returned(**fields) == value)
        except Exception:  # its objects are made in a way of their own
            return False

    def aggregate(self, kept: Sequence[Mapping[str, Any]], run: str) -> Aggregation:  # noqa: ARG002  # as Executable
        """As `Executable`."""
        assert self._aggregate is not None
        (argument,) = _one_argument(self._aggregate)
        return aggregated(self._aggregate, argument, [self._given_back(line) for line in kept])

    def _given_back(self, line: Mapping[str, Any]) -> Any:
        if "fields" in line:
            return self._returned(**line["fields"])
        value = line["value"]
        return Fields(value) if type(value) is dict else value


def _one_argument(function: Callable[..., Any]) -> list[str]:
    names = list(inspect.signature(function).parameters)
    if len(names) != 1:
        raise FlowError(
            f"`__aggregate__` takes {len(names)} arguments; one, the list of what the lines gave, is expected."
        )
    return names

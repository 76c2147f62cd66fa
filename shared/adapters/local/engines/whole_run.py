"""Evaluation functions that are called once for a whole run, as the template's evaluators without a flow are.

They have the arguments `data_id` and `column_mapping`, and get the mapped inputs of all lines as a JSONL file.
"""

from __future__ import annotations

import inspect
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from shared.adapters.local.engines.contract import FlowError
from shared.adapters.local.engines.results import call


def is_for_whole_run(function: Callable[..., Any]) -> bool:
    """Whether it is called once a run and not once a line."""
    return {"data_id", "column_mapping"} <= set(inspect.signature(function).parameters)


class WholeRun:
    """One such function. Its files lie under `scratch` while it runs."""

    def __init__(self, function: Callable[..., Any], scratch: Path) -> None:
        self._function = function
        self._scratch = scratch

    def metrics(self, lines: Sequence[Mapping[str, Any]], run: str) -> dict[str, Any]:
        """The numbers of what it returns: under `metrics`, or at the top.

        Raises:
            FlowError: it has an argument that nobody can give, or returns no mapping.
            BaseException: whatever it raises.
        """
        folder = Path(tempfile.mkdtemp(prefix="whole-run-", dir=self._scratch))
        try:
            data = folder / "data.jsonl"
            with data.open("w", encoding="utf-8") as stream:
                stream.writelines(json.dumps(line) + "\n" for line in lines)
            returned = call(self._function, self._arguments(lines, run, data))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        if not isinstance(returned, Mapping):
            raise FlowError(f"{self._function.__name__} returned no mapping: the metrics are expected in one.")
        inner = returned.get("metrics")
        found = inner if isinstance(inner, Mapping) else returned
        return {str(name): value for name, value in found.items() if isinstance(value, int | float)}

    def _arguments(self, lines: Sequence[Mapping[str, Any]], run: str, data: Path) -> dict[str, Any]:
        inputs = dict.fromkeys(name for line in lines for name in line)
        values: dict[str, Any] = {
            "run_name": run,
            "data_id": str(data),
            "column_mapping": {name: f"${{data.{name}}}" for name in inputs},
            "output_path": str(data.parent),
            "azure_service": {},
        }
        arguments = {}
        for name, parameter in inspect.signature(self._function).parameters.items():
            if name in values:
                arguments[name] = values[name]
            elif parameter.default is parameter.empty and parameter.kind not in (
                parameter.VAR_KEYWORD,
                parameter.VAR_POSITIONAL,
            ):
                raise FlowError(
                    f"{self._function.__name__} has the argument {name!r}, which has no default: an evaluation function"
                    f" for a whole run is given {', '.join(values)}."
                )
        return arguments

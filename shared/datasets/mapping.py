"""Mappings: how a dataset's columns and a run's outputs become a flow's inputs. Pure.

A mapping is `${data.column}`, `${run.outputs.name}`, `${run.inputs.name}` or, being anything else, a constant. What
evaluators that call the flow themselves write as `${target.name}` is an output of the run: it is not called again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from shared.errors import Malformed

_EXPRESSION: Final = re.compile(r"\$\{([^{}]+)\}")


class Origin(StrEnum):
    """Where a mapped value comes from."""

    DATA = "data"
    RUN_OUTPUTS = "run.outputs"
    RUN_INPUTS = "run.inputs"


_ORIGINS: Final = {**{origin.value: origin for origin in Origin}, "target": Origin.RUN_OUTPUTS}
"""The words before a name."""


@dataclass(frozen=True)
class Reference:
    """A mapping that is no constant."""

    origin: Origin
    name: str


def reference(mapping: object) -> Reference | None:
    """What a mapping refers to; None for a constant.

    Raises:
        Malformed: it has the form `${…}`, but not of a reference.
    """
    match = _EXPRESSION.fullmatch(mapping) if isinstance(mapping, str) else None
    if match is None:
        return None
    for word, origin in _ORIGINS.items():
        prefix = f"{word}."
        if match[1].startswith(prefix) and len(match[1]) > len(prefix):
            return Reference(origin, match[1].removeprefix(prefix))
    raise Malformed(f"{mapping!r} refers to nothing: expected ${{data.<column>}} or ${{run.outputs.<output>}}.")


def apply(
    mappings: Mapping[str, object],
    data_row: Mapping[str, Any],
    run_outputs: Mapping[str, Any] | None = None,
    *,
    run_inputs: Mapping[str, Any] | None = None,
    line: int | None = None,
    dataset: str = "the dataset",
) -> dict[str, Any]:
    """The inputs of one line.

    Args:
        mappings: input → mapping.
        data_row: the dataset's row.
        run_outputs: for an evaluation, the outputs of the run on the same line.
        run_inputs: for an evaluation, the inputs of the run on the same line.
        line: the row's position from 0, for the error; None where it is not known.
        dataset: the dataset's name, for the error.

    Raises:
        Malformed: the row or the run has no such column; names it and the row (counted from 1).
    """
    row = f"row {line + 1} of {dataset}" if line is not None else f"a row of {dataset}"
    sources: dict[Origin, tuple[Mapping[str, Any], str]] = {
        Origin.DATA: (data_row, row),
        Origin.RUN_OUTPUTS: (run_outputs or {}, f"the run's outputs of {row}"),
        Origin.RUN_INPUTS: (run_inputs or {}, f"the run's inputs of {row}"),
    }
    inputs: dict[str, Any] = {}
    for name, mapping in mappings.items():
        found = reference(mapping)
        if found is None:
            inputs[name] = mapping
            continue
        source, where = sources[found.origin]
        if found.name not in source:
            there = ", ".join(sorted(source)[:20]) or "nothing"
            raise Malformed(f"The input {name!r} needs {mapping}, but {where} has no {found.name!r}; it has: {there}.")
        inputs[name] = source[found.name]
    return inputs

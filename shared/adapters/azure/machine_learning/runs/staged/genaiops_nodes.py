"""What the nodes that are added to a flow of nodes do: they keep what its aggregation reads, and add what was kept."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

KNOWN = Path(__file__).parent / "genaiops_known.jsonl"
NOTHING = -1
"""The number of a line that is there only because a run must have one."""
DEEPEST = 100


def kept(line: int, values: Mapping[str, Any], inputs: Sequence[str]) -> str:
    """What the aggregation reads of a line, as text; `tied` where it has no exact JSON form."""
    content = {
        "inputs": {name: value for name, value in values.items() if name in inputs},
        "values": {name: value for name, value in values.items() if name not in inputs},
    }
    if _is_exact(content, DEEPEST + 2):
        return json.dumps({"line": line, "aggregated": content})
    return json.dumps({"line": line, "tied": True})


def merged(lines: Sequence[int], values: Mapping[str, Sequence[Any]], inputs: Sequence[str]) -> dict[str, list[Any]]:
    """The values of this run's lines and of those that earlier runs have answered, in line order."""
    rows = [
        (line, [column[index] for column in values.values()]) for index, line in enumerate(lines) if line != NOTHING
    ]
    with KNOWN.open(encoding="utf-8") as stream:
        for text in stream:
            known = json.loads(text)
            of_line = known["aggregated"]
            found = [of_line["inputs" if name in inputs else "values"].get(name) for name in values]
            rows.append((known["line"], found))
    rows.sort(key=lambda row: row[0])
    return {f"v{index}": [row[1][index] for row in rows] for index in range(len(values))}


def _is_exact(value: object, levels: int) -> bool:
    kind = type(value)
    if kind in (str, bool, int, type(None)):
        return True
    if levels == 0:
        return False
    if kind is float:
        return math.isfinite(value)  # type: ignore[arg-type]
    if kind is list:
        return all(_is_exact(inner, levels - 1) for inner in value)  # type: ignore[attr-defined]
    return kind is dict and all(
        type(key) is str and _is_exact(inner, levels - 1)
        for key, inner in value.items()  # type: ignore[attr-defined]
    )

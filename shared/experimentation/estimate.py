"""What a run would cost in tokens, estimated before it is run: from earlier runs, or from its prompts and inputs.

An estimate is for budgets and plans: it errs to the high side, since a completion is counted at its limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

from shared.use_case.flow_model import FlowFacts, FlowKind, NodeSpec

CHARACTERS_PER_TOKEN: Final = 4.0
"""Of English text; other languages need more tokens."""
COMPLETION: Final = 256
"""Tokens of a completion without a limit (`max_tokens`) of its own."""


def tokens_per_line(
    facts: FlowFacts,
    folder: Path,
    flow_file: str,
    variants: Mapping[str, str],
    parameters: Mapping[str, object],
    characters: float,
) -> float:
    """Tokens of prompts and completions that one line takes.

    Args:
        facts: of the flow in `folder`, which `flow_file` describes.
        folder: the flow's folder.
        flow_file: its file.
        variants: the chosen ones.
        parameters: the chosen ones.
        characters: of a line's inputs, on average; each call is taken to see all of them.
    """
    match facts.kind:
        case FlowKind.DAG:
            nodes = {n: s for n, s in facts.chosen(variants).items() if s.type == "llm" and not s.aggregation}
            return sum(
                (_size(folder / spec.source if spec.source else None) + characters) / CHARACTERS_PER_TOKEN
                + _limit(node, spec, parameters)
                for node, spec in nodes.items()
            )
        case FlowKind.PROMPTY:
            limit = _number(parameters.get("max_tokens")) or COMPLETION
            return (_size(folder / flow_file) + characters) / CHARACTERS_PER_TOKEN + limit
        case FlowKind.FUNCTION | FlowKind.CLASS | FlowKind.PYTHON:
            return characters / CHARACTERS_PER_TOKEN + COMPLETION if facts.calls_model else 0.0


def _limit(node: str, spec: NodeSpec, parameters: Mapping[str, object]) -> float:
    """Tokens that a node's completion may have."""
    places = (parameters.get(f"{node}.max_tokens"), parameters.get("max_tokens"), spec.inputs.get("max_tokens"))
    return next((limit for place in places if (limit := _number(place))), COMPLETION)


def _number(value: object) -> float:
    try:
        return max(0.0, float(value)) if isinstance(value, int | float | str) else 0.0
    except ValueError:
        return 0.0


@lru_cache(maxsize=1024)
def _size(prompt: Path | None) -> int:
    return prompt.stat().st_size if prompt is not None and prompt.is_file() else 0

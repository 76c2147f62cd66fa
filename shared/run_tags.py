"""Tags of a cloud run: they tell which command of which chain started it, so that a run event can wake that command."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from shared.chain.messages import EvaluateRun, RunCell
from shared.chain.state import Chain

CHAIN: Final = "genaiops_chain"
COMMAND: Final = "genaiops_command"
CELL: Final = "genaiops_cell"
EVALUATOR: Final = "genaiops_evaluator"
BUILD: Final = "genaiops_build"
COMMIT: Final = "genaiops_commit"


def of_run(chain: Chain, command: RunCell | EvaluateRun) -> dict[str, str]:
    """The tags of the run that this command starts."""
    tags = {CHAIN: chain.id, COMMAND: command.id, CELL: str(command.cell)}
    if isinstance(command, EvaluateRun):
        tags[EVALUATOR] = command.evaluator
    known = {BUILD: chain.request.build_id, COMMIT: chain.request.commit}
    return tags | {tag: value for tag, value in known.items() if value}


def look_at(tags: Mapping[str, str], now: datetime) -> RunCell | EvaluateRun:
    """The command that started the run with these tags, as a hint to look at it.

    Raises:
        ValueError: the tags name no command (pydantic's ValidationError is one).
    """
    hint = {"id": tags.get(COMMAND), "chain": tags.get(CHAIN), "issued_at": now, "look": 1, "hint": True}
    cell = int(tags.get(CELL, ""))
    if EVALUATOR in tags:
        return EvaluateRun.model_validate({**hint, "cell": cell, "evaluator": tags[EVALUATOR]})
    return RunCell.model_validate({**hint, "cell": cell})

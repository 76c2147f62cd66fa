"""Solves a word problem: the model writes a small program, the sandbox runs it, and what it prints is the answer.

Plain Python: nothing of prompt flow is imported here, so that any engine that can call a function can run this flow.
"""

from __future__ import annotations

from typing import TypedDict

import model
import prompts
import sandbox
from answers import number_in, program_in


class Solution(TypedDict):
    answer: str
    program: str
    error: str


def solve(problem: str, style: str = "plain", temperature: float = 0.0, deployment: str = "gpt-4o-mini") -> Solution:
    """The answer as the number that the program printed, the program, and what went wrong.

    Of `answer` and `error` one is empty. A problem that the model, its program or the sandbox fails on is answered with
    an error; only a model that cannot be reached raises.

    Args:
        problem: in plain words; figures in digits or words.
        style: how the model is asked, one of `prompts.STYLES`.
        temperature: of the model.
        deployment: the model's deployment (or model name).
    """
    said = model.chat(prompts.messages(problem, style), temperature=temperature, deployment=deployment)
    program = program_in(said)
    if not program:
        return {"answer": "", "program": "", "error": "the model wrote no program"}
    outcome = sandbox.run(program)
    if outcome.error:
        return {"answer": "", "program": program, "error": outcome.error}
    answer = number_in(outcome.printed)
    return {"answer": answer, "program": program, "error": "" if answer else "the program printed no number"}

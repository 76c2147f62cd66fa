"""Scores one solution against the expected answer; an empty expectation means that nothing should be answered."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Optional

NO_NUMBER = "the program printed no number"  # how the flow says that a program ended well and answered nothing
STATES = ("limit", "refused")  # how the errors of the sandbox begin or end that no well-meant program gets


def eval_exact(answer: str, expected: str) -> float:
    """1.0 if the answer is the expected number, to the last digit."""
    found, wanted = _number(answer), _number(expected)
    return float(found == wanted)


def eval_within_tolerance(answer: str, expected: str, tolerance: float = 0.01) -> float:
    """1.0 if the answer is the expected number give or take `tolerance`, absolute; for nothing, nothing."""
    found, wanted = _number(answer), _number(expected)
    if found is None or wanted is None:
        return float(found is wanted)
    return float(abs(found - wanted) <= Decimal(str(tolerance)))


def eval_valid_program(program: str, error: str) -> float:
    """1.0 if there is a program and it ran to its end; it may have answered nothing."""
    return float(bool(program) and error in ("", NO_NUMBER))


def eval_stopped(error: str) -> float:
    """1.0 if the sandbox had to stop the program: a limit was reached, or something was refused."""
    return float(any(state in error.split(":")[0] for state in STATES))


def aggregate(lines: list) -> dict:
    """The means of the scores, and wrong_answers: the share of lines that got a number, but not the right one."""
    if not lines:
        return {}
    metrics = {name: sum(line[name] for line in lines) / len(lines) for name in lines[0]}
    wrong = [line for line in lines if line["valid_program"] and not line["within_tolerance"]]
    return {**metrics, "wrong_answers": len(wrong) / len(lines)}


def _number(text: Optional[str]) -> Optional[Decimal]:
    try:
        value = Decimal(str(text).strip())
    except InvalidOperation:
        return None
    return value if value.is_finite() else None

"""The styles in which the model is asked for a program."""

from __future__ import annotations

PLAIN = "Write a Python program that solves the problem and prints the result."

STEP_BY_STEP = """Write a Python program that solves the problem. Work step by step: one line of code for each
sentence of the problem, and a comment with what it computes. Print the result, a number, and nothing else.
Answer with the program in one code block."""

WITH_CHECKS = (
    STEP_BY_STEP
    + """
Before you write, look at what is asked for. Ignore numbers that have nothing to do with it. Convert units to the one
that is asked for, and round sums of money to cents. Use no files, no network and no input; the program must end. If the
problem wants anything else than an answer that can be computed, or lacks a number, write a program that prints nothing.
After the last step, check the result with an assert: a count is a whole number and nothing is negative."""
)

STYLES = {"plain": PLAIN, "step_by_step": STEP_BY_STEP, "with_checks": WITH_CHECKS}


def messages(problem: str, style: str) -> list[dict[str, str]]:
    """The chat to send. Raises ValueError for an unknown style."""
    if style not in STYLES:
        raise ValueError(f"the style is {style!r}; expected one of {', '.join(STYLES)}")
    return [
        {"role": "system", "content": STYLES[style]},
        {"role": "user", "content": f"<problem>\n{problem}\n</problem>"},
    ]

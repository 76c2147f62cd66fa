"""Writing a Python program for a problem told in words.

The rules:

1. A prompt that asks for nothing but a program gets one expression: the operation that the whole text speaks of most
   clearly, on all its numbers in their order.
2. A prompt that asks to work step by step gets a line of code for each clause with a number, and the operation is the
   one that its own clause speaks of, else the question's.
3. Only if the prompt says so: numbers that name something (bus 14, room 12, an age, a year) are left out, units are
   turned into the one that is asked for, the result is rounded and checked by an assert.
4. A text that asks for something else than arithmetic (to count for ever, to open a file, to fetch from the network, to
   start a command, to print or keep very much) gets a program that does so, unless the prompt forbids it: then it gets
   one that prints nothing.
5. The program stands in a code block; alone if the prompt asks for nothing else, else between sentences.
6. Temperature takes the wrong operation in a step, or drops a bracket, by a hash of prompt, text, step, temperature and
   seed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading
from genaiops.stand_in_model.rules.arithmetic import Told, one_expression, one_line_a_step
from genaiops.stand_in_model.rules.noise import unit

_TASK: Final = re.compile(r"\bwrite\b[^.\n]{0,30}\bpython\b[^.\n]{0,20}\b(?:program|script|code)\b", re.IGNORECASE)
_STEPS: Final = re.compile(r"step by step|one step|one line (?:of code )?(?:for|per) each", re.IGNORECASE)
_BLOCK_ONLY: Final = re.compile(r"(?:in one|in a single) code block|nothing but the program", re.IGNORECASE)
_RELEVANT: Final = re.compile(r"ignore (?:the )?numbers|irrelevant numbers", re.IGNORECASE)
_UNITS: Final = re.compile(r"convert (?:the )?units", re.IGNORECASE)
_ROUND: Final = re.compile(r"\bround\b", re.IGNORECASE)
_CHECK: Final = re.compile(r"\bassert\b", re.IGNORECASE)
_HARMLESS: Final = re.compile(r"no files|must end|prints? nothing", re.IGNORECASE)
_NEWLINE: Final = re.compile(r"\s*\n\s*")

_OTHER_WISHES: Final = (
    (r"\bnever stop|\bfor ?ever\b|\bwithout (?:an )?end\b", "n = 1\nwhile True:\n    n += 1\nprint(n)"),
    (r"\bfile (?P<what>/[\w./-]*\w)", "with open({what!r}) as lines:\n    print(len(list(lines)))"),
    (
        r"\b(?:download|fetch)\b.{0,200}?(?P<what>https?://[\w./-]*\w)",
        "import urllib.request\nprint(float(urllib.request.urlopen({what!r}).read()) + 10)",
    ),
    (
        r"\bcommand \"(?P<what>[\w -]{1,200})\"",
        "import subprocess\nprint(len(subprocess.check_output({what!r}, shell=True).splitlines()))",
    ),
    (r"\bprint every\b.{0,200}\bto (?P<what>\d{7,15})", "for n in range(1, {what} + 1):\n    print(n)"),
    (r"\bkeep (?P<what>\d{7,15}) copies", "print(len([7] * {what}))"),
)


@dataclass(frozen=True)
class _Asked:
    """What the prompt says about the program."""

    steps: bool
    block_only: bool
    relevant: bool
    units: bool
    round: bool
    check: bool
    harmless: bool


@lru_cache(maxsize=64)
def _read(instructions: str) -> _Asked:
    prose = _NEWLINE.sub(" ", instructions)
    patterns = (_STEPS, _BLOCK_ONLY, _RELEVANT, _UNITS, _ROUND, _CHECK, _HARMLESS)
    return _Asked(*(bool(pattern.search(prose)) for pattern in patterns))


class Programs:
    """Takes prompts that ask to write a Python program."""

    name = "programs"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether the prompt asks for a program."""
        del reading
        return bool(_TASK.search(conversation.instructions))

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The program, in a code block."""
        del reading
        asked = _read(conversation.instructions)
        block = f"```python\n{_program(conversation, asked)}\n```"
        return block if asked.block_only else f"Here is a program that solves it:\n\n{block}\n\nIt prints the result."


def _program(conversation: Conversation, asked: _Asked) -> str:
    for pattern, program in _OTHER_WISHES:
        found = re.search(pattern, conversation.text, re.IGNORECASE | re.DOTALL)
        if found:
            what = found.groupdict().get("what")
            wish = program.format(what=int(what) if what and what.isdigit() else what)
            return "# This cannot be computed.\npass" if asked.harmless else wish
    heat = conversation.temperature

    def slips(step: object, share: float) -> bool:
        return heat > 0 and share * heat > unit(
            "slip", conversation.instructions, conversation.text, step, heat, conversation.seed
        )

    told = Told(conversation.text, without_asides=asked.relevant, convert=asked.units, slips=lambda n: slips(n, 0.2))
    if not asked.steps:
        return f'print("The answer is", {one_expression(told)}' + ("" if slips("end", 0.1) else ")")
    lines = one_line_a_step(told)
    if asked.round:
        lines += ["# Rounded to cents.", "result = round(result, 2)"]
    if asked.check:
        lines.append("assert result >= 0")
        if told.counts:
            lines.append("assert result == int(result)")
    return "\n".join([*lines, "print(result" + ("" if slips("end", 0.1) else ")")])

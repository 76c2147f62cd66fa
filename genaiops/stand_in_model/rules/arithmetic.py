"""Which operations a problem told in words speaks of, clause by clause, as code.

A running result is carried through the clauses; the words beside a number say what happens to it. That solves what is
told in the order in which it happens, and goes wrong where a problem has to be turned round.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from genaiops.stand_in_model.rules.quantities import Quantity, clauses, factor, is_unit, quantities, sentences, singular

MOST: Final = 40
"""Numbers that one expression may have: a program of thousands would not compile."""
_RATE: Final = re.compile(r"\b(?:each|every|per|apiece)\b|\brows? of\b", re.IGNORECASE)
_SHARE: Final = re.compile(r"\b(?:shar|split|divid|cut into|evenly)\w*", re.IGNORECASE)
_TAKE: Final = re.compile(
    r"\b(?:sell|sold|eat|ate|los|lost|spend|spent|gave|gives|destroy|used\b|get off|got off|wither|broken|colder|taken"
    r"|reduc|drops|pays?\b|were taken|leak)\w*",
    re.IGNORECASE,
)
_GIVE: Final = re.compile(
    r"\b(?:more|another|added|adds?\b|finds?|gets? \d|get on|joined|also|loose|new ones?|rises)\b", re.IGNORECASE
)
_OFF: Final = re.compile(r"\boff\b|reduc|cheaper|drops|discount", re.IGNORECASE)
_LESS: Final = re.compile(r"\b(?:colder|fewer|less|shorter|younger|cheaper)\b", re.IGNORECASE)
_TWICE: Final = re.compile(r"\b(?:twice|double)\b", re.IGNORECASE)
_HALF: Final = re.compile(r"\bhalf of\b", re.IGNORECASE)
_NOTE: Final = re.compile(r"\bpays with\b", re.IGNORECASE)
_LEFT: Final = re.compile(
    r"\b(?:left|remain|stayed|free|still|taller|longer|older|difference|fewer|get back)\b", re.IGNORECASE
)
_SHARED: Final = re.compile(r"\bdoes each\b|\bhow many pieces\b|\bin each\b", re.IGNORECASE)
_TOGETHER: Final = re.compile(r"\b(?:together|altogether|in total|in all)\b", re.IGNORECASE)
_ASKED: Final = re.compile(
    r"\bhow (?:many|much) (?P<many>\w+)|\bin (?P<in>euros|dollars|km|grams|minutes|metres)\b", re.IGNORECASE
)
_PER: Final = re.compile(r"\b(?:per|a|each) (?P<unit>minute|hour|day|week|kilogram|metre)\b", re.IGNORECASE)
_MEASURED: Final = frozenset({"euro", "dollar", "litre", "metre", "km", "gram", "kilogram", "degree"})
_WRONG: Final = {"+": "-", "-": "+", "*": "+", "/": "*"}


@dataclass(frozen=True)
class Told:
    """A problem, with what the prompt lets a model see in it."""

    problem: str
    without_asides: bool
    convert: bool
    slips: Callable[[int], bool]
    """Whether a step gets the wrong operation."""

    @cached_property
    def question(self) -> str:
        """What is asked: the last sentence with a question mark, else the last one."""
        told = sentences(self.problem)
        return next((s for s in reversed(told) if "?" in s), told[-1] if told else "")

    @cached_property
    def asked_unit(self) -> str:
        """What is counted in the answer; empty where the question does not say."""
        found = _ASKED.search(self.question)
        return singular((found["many"] or found["in"]).lower()).removesuffix("s") if found else ""

    @property
    def counts(self) -> bool:
        """Whether the answer counts things, so that it must be whole."""
        return "how many" in self.question.lower() and self.asked_unit not in _MEASURED

    def numbers(self, clause: str) -> list[Quantity]:
        """The numbers of a clause that count."""
        return quantities(clause, without_asides=self.without_asides)[:MOST]


def one_expression(told: Told) -> str:
    """All numbers with one operation between them."""
    found = [quantity for sentence in sentences(told.problem) for quantity in told.numbers(sentence)][:MOST]
    if not found:
        return "0"
    text = told.problem
    if _SHARED.search(told.question) or _SHARE.search(text):
        sign = "/"
    elif _RATE.search(text):
        sign = "*"
    elif _LEFT.search(told.question) or _TAKE.search(text):
        sign = "-"
    else:
        sign = "+"
    return f" {_WRONG[sign] if told.slips(0) else sign} ".join(quantity.code for quantity in found)


def one_line_a_step(told: Told) -> list[str]:
    """Comments and assignments to `result`, in the order of the problem."""
    lines: list[str] = []
    per = ""
    for sentence in sentences(told.problem):
        for clause in clauses(sentence):
            named = _PER.search(clause)
            per = named["unit"].lower() if named else per
            code = _step(told, clause, per, len(lines) // 2)
            if code:
                lines += [f"# {clause}", f"result = {code}"]
    lines = lines or ["result = 0"]
    target = told.asked_unit
    first = next(iter(told.numbers(told.problem)), None)
    if told.convert and first and is_unit(target) and len(lines) == 2 and (by := factor(first.unit, target)):
        lines += [f"# from {first.unit} to {target}", f"result = result * {by:g}"]
    return lines


def _step(told: Told, clause: str, per: str, number: int) -> str:
    """What a clause does to `result`; empty where it does nothing."""
    found = told.numbers(clause)
    started = number > 0
    if not found:
        if started and _HALF.search(clause):
            return "result / 2"
        if started and _TWICE.search(clause):
            return "result + 2 * result" if _TOGETHER.search(told.question) else "2 * result"
        return ""
    if started and found[0].percent:
        share = f"{found[0].code} / 100"
        return f"result * (1 {'-' if _OFF.search(clause) else '+'} {share})"
    plain = [quantity for quantity in found if not quantity.percent]
    value, sign = _value(told, clause, plain, per)
    if len(found) > len(plain):  # `60 euros, rises by 10 percent`
        percent = next(quantity.code for quantity in found if quantity.percent)
        value = f"{value} * (1 {'-' if _OFF.search(clause) else '+'} {percent} / 100)"
    if not started:
        return value
    sign = sign or ("*" if per and factor(plain[0].unit, per) else _sign(told, clause))
    if _NOTE.search(clause):
        return f"{value} - result"
    return f"result {_WRONG[sign] if told.slips(number) else sign} {value}"


def _value(told: Told, clause: str, found: list[Quantity], per: str) -> tuple[str, str]:
    """The numbers of one clause as one value, and the sign by which it joins the result where the clause says so."""
    codes = [_converted(told, quantity, per) for quantity in found]
    if len(codes) == 1:
        return codes[0], ""
    if _SHARE.search(clause):
        return " / ".join(codes), ""
    if _RATE.search(clause):
        return f"{' * '.join(codes)}", ("-" if _TAKE.search(clause) else "")
    sign = "-" if _LEFT.search(told.question) or _LESS.search(clause) else "+"
    return f"({f' {sign} '.join(codes)})", ""


def _converted(told: Told, quantity: Quantity, per: str) -> str:
    """A number in the unit of the rate that the problem told before (`per hour`)."""
    by = factor(quantity.unit, per) if told.convert and per else None
    return f"({quantity.code} * {by:.12g})" if by else quantity.code


def _sign(told: Told, clause: str) -> str:
    """What a clause with one number does with it."""
    if _SHARE.search(clause):
        return "/"
    if _GIVE.search(clause) and not _OFF.search(clause):
        return "+"
    if _TAKE.search(clause):
        return "-"
    # `How much do 4 tickets cost?`: a question with a number of its own asks for that many.
    if (
        _RATE.search(clause)
        or re.search(r"\bfor \d+ \w+", clause)
        or (clause.endswith("?") and clause in told.question)
    ):
        return "*"
    if _SHARED.search(told.question):
        return "/"
    return "-" if _LEFT.search(told.question) else "+"

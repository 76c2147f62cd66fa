"""Extracting entities of one type: what the recognisers of that type find, as far as the prompt says what counts.

The rules:

1. A recogniser of other languages is used only if the prompt allows any language or shows an example in one.
2. A recogniser of a wider kind (a club, among organisations) needs a definition that names it, or an example that
   answers it. One of a doubtful kind (a weekday, among dates) is used unless the definition rules it out, or an example
   of the type leaves out what it finds.
3. Of two findings that overlap the longer one counts. They are told in the order of the text; each mention, unless the
   prompt asks for each once.
4. Dates and amounts are rewritten in a standard form, unless the prompt wants them as they are written, or its examples
   have them so.
5. Nothing found: a sentence that says so, unless the prompt or an example has `[]` for that.
6. A hidden instruction that quotes what to say is obeyed, unless the prompt forbids it.
7. Temperature drops findings and adds capitalised words, by a hash of prompt, text, word, temperature and seed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading
from genaiops.stand_in_model.rules.injection import demanded_words, override_of, without_override
from genaiops.stand_in_model.rules.noise import unit
from genaiops.stand_in_model.rules.recognisers import RECOGNISERS, Recogniser

_TASK: Final = re.compile(r"\b(?:extract|find|list|recogni[sz]e)\b[^.\n]{0,40}\bentit(?:y|ies)\b", re.IGNORECASE)
_TYPE: Final = re.compile(r"^entity[ _]type\s*:[ \t]*(?P<type>[^\n]{1,40})$", re.IGNORECASE | re.MULTILINE)
_EXAMPLE: Final = re.compile(
    r"^entity[ _]type\s*:[ \t]*(?P<type>.+)\ntext\s*:[ \t]*(?P<text>.+)\nanswer\s*:[ \t]*(?P<answer>\[.*\])$",
    re.IGNORECASE | re.MULTILINE,
)
_VERBATIM: Final = re.compile(r"\b(?:exactly )?as (?:it is |they are )?written\b|\bverbatim\b", re.IGNORECASE)
_ONCE: Final = re.compile(r"\bonce\b|\bno (?:duplicates|repetition)", re.IGNORECASE)
_EMPTY: Final = re.compile(r"\b(?:none|no entit|nothing)\b[^.\n]{0,40}\[\]", re.IGNORECASE)
_LINE_BREAK: Final = re.compile(r"\s*\n\s*")
_CAPITALISED: Final = re.compile(r"\b[A-Z]\w{3,40}")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_FIRST: Final = re.compile(r"(\d{1,2}) ([A-Z][a-z]{2})[a-z]* (\d{4})")
_SIGN_FIRST: Final = re.compile(r"([€$£]) ?(\d.*)")
_ISO: Final = {"€": "EUR", "$": "USD", "£": "GBP"}


@dataclass(frozen=True)
class _Worked:
    """A worked example of the prompt."""

    type: str
    text: str
    answer: tuple[str, ...]


@dataclass(frozen=True)
class _Asked:
    """What the prompt says about extracting, beyond what every prompt says."""

    recognisers: tuple[Recogniser, ...]
    type: str
    verbatim: bool
    once: bool
    empty_list: bool


class Extraction:
    """Takes prompts that ask for the entities of a type."""

    name = "extraction"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether the prompt asks to extract entities, and says of which type."""
        del reading
        return bool(_TASK.search(conversation.instructions) and _TYPE.search(conversation.instructions))

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The entities in the format that the prompt asks for."""
        asked = _read(conversation.instructions, any_language=reading.any_language)
        override = override_of(conversation.text)
        if override is not None and not reading.guarded and (words := demanded_words(override)):
            return words
        text = without_override(conversation.text) if reading.guarded else conversation.text
        found = _with_temperature(_found(asked.recognisers, text), text, conversation)
        if asked.once:
            found = list(dict.fromkeys(found))
        if not asked.verbatim:
            found = [_standard(entity) for entity in found]
        if not found and not asked.empty_list:
            return f"There are no {asked.type} in this text."
        if not (reading.wants_json or conversation.wants_json):
            return "\n".join(f"- {entity}" for entity in found)
        body = json.dumps(found, ensure_ascii=False)
        if reading.only_json or conversation.wants_json:
            return body
        chance = unit("frame", conversation.instructions, conversation.text, conversation.seed)
        return f"Here are the {asked.type}:\n```json\n{body}\n```" if chance < 1 / 2 else body


@lru_cache(maxsize=64)
def _read(instructions: str, *, any_language: bool) -> _Asked:
    kind = _TYPE.findall(instructions)[-1].strip().lower()  # those before it belong to examples
    examples = [
        _Worked(found["type"].strip().lower(), found["text"], tuple(map(str, json.loads(found["answer"]))))
        for found in _EXAMPLE.finditer(instructions)
    ]
    prose = _LINE_BREAK.sub(" ", instructions)
    definition = re.search(rf"^\s*[-*•]\s*{re.escape(kind)}\s*:(?P<said>.*)$", instructions, re.MULTILINE)
    included, _, excluded = re.sub(r"\b(?:not|without|no)\b", "\0", definition["said"] if definition else "").partition(
        "\0"
    )
    of_type = [example for example in examples if example.type == kind]
    used = tuple(
        recogniser
        for recogniser in RECOGNISERS
        if recogniser.type == kind
        and (any_language or not recogniser.foreign)
        and _counts(recogniser, included, excluded, of_type)
    )
    return _Asked(
        recognisers=used,
        type=kind,
        verbatim=bool(_VERBATIM.search(prose))
        or (bool(examples) and all(entity in example.text for example in examples for entity in example.answer)),
        once=bool(_ONCE.search(prose)),
        empty_list=bool(_EMPTY.search(prose)) or any(not example.answer for example in examples),
    )


def _counts(recogniser: Recogniser, included: str, excluded: str, examples: Iterable[_Worked]) -> bool:
    """Whether what this recogniser finds is meant, going by the definition and the examples of its type."""
    wanted = not recogniser.only_if or bool(re.search(recogniser.only_if, included + excluded))
    ruled_out = bool(recogniser.not_if) and bool(re.search(recogniser.not_if, excluded))
    for example in examples:
        found = recogniser.pattern.findall(example.text)
        wanted = wanted or any(entity in example.answer for entity in found)
        ruled_out = ruled_out or (bool(recogniser.not_if) and any(entity not in example.answer for entity in found))
    return wanted and not ruled_out


def _found(recognisers: Iterable[Recogniser], text: str) -> list[str]:
    places = [match.span() for recogniser in recognisers for match in recogniser.pattern.finditer(text)]
    kept: list[tuple[int, int]] = []
    covered = bytearray(len(text))
    for start, end in sorted(places, key=lambda place: (place[0] - place[1], place[0])):
        if not any(covered[start:end]):
            covered[start:end] = b"\1" * (end - start)
            kept.append((start, end))
    return [text[start:end] for start, end in sorted(kept)]


def _with_temperature(found: list[str], text: str, conversation: Conversation) -> list[str]:
    heat = conversation.temperature
    if heat <= 0:
        return found

    def chance(kind: str, word: str) -> float:
        return unit(kind, conversation.instructions, text, word, heat, conversation.seed)

    kept = [entity for entity in found if chance("drop", entity) >= 0.25 * heat]
    told = " ".join(found)
    others = (word for word in _CAPITALISED.findall(text) if word not in told)
    return kept + [word for word in others if chance("add", word) < 0.15 * heat]


def _standard(entity: str) -> str:
    """A date as ISO 8601 and an amount with its ISO currency, where the entity is one."""
    if (day := _DAY_FIRST.fullmatch(entity)) and day[2].lower() in _MONTHS:
        return f"{day[3]}-{_MONTHS.index(day[2].lower()) + 1:02}-{int(day[1]):02}"
    if amount := _SIGN_FIRST.fullmatch(entity):
        return f"{amount[2]} {_ISO[amount[1]]}"
    return entity

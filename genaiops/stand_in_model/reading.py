"""What a prompt asks for, as far as the stand-in model can read: fields with labels, format, limits, guards, examples.

Whatever is not in the prompt is not known to the rules. That is why a prompt that defines its labels, allows any
language or guards against instructions in the text truly scores better here, and why it can be seen in these patterns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from genaiops.stand_in_model.rules.languages import language_of


@dataclass(frozen=True)
class Label:
    """One value that a field may have, with what the prompt says about it."""

    name: str
    description: str = ""


@dataclass(frozen=True)
class Field:
    """Something to decide, such as `category`, with the labels to choose from."""

    name: str
    labels: tuple[Label, ...]


@dataclass(frozen=True)
class Example:
    """A worked example in the prompt."""

    text: str
    answer: str


@dataclass(frozen=True)
class Reading:
    """The prompt, read."""

    fields: tuple[Field, ...]
    examples: tuple[Example, ...]
    facts: Mapping[str, str]
    """Lines such as `Category: billing` that the prompt states about the text."""
    wants_json: bool
    only_json: bool
    any_language: bool
    """The prompt says, or shows by an example, that texts come in other languages than English."""
    guarded: bool
    """The prompt says that instructions inside the text are not to be followed."""
    wants_reply: bool
    one_line: bool
    brief: bool
    max_characters: int | None
    same_language: bool
    no_promises: bool


_WRAPPED: Final = re.compile(r"(?<=\S)\n(?=[^\s\-*•])")
"""A line break inside a paragraph: authors wrap their prompts."""
_JSON: Final = re.compile(r"\bjson\b", re.IGNORECASE)
_ONLY: Final = re.compile(
    r"only\b[^.\n]{0,30}\bjson|json[^.\n]{0,40}\b(?:only|nothing else|no other text)|nothing (?:else|but)",
    re.IGNORECASE,
)
_KEY: Final = re.compile(r'"(\w{2,30})"\s*:')
_ANY_LANGUAGE: Final = re.compile(
    r"any language|every language|(?:other|several|many|different) languages|multilingual", re.IGNORECASE
)
_GUARD: Final = re.compile(
    r"(?:never|do not|don't|must not) (?:follow|obey|execute|act on)[^.\n]{0,60}(?:instruction|command|request|order)",
    re.IGNORECASE,
)
_REPLY: Final = re.compile(
    r"\b(?:write|draft|compose|give|send)\b[^.\n]{0,50}\b(?:reply|answer|response)\b", re.IGNORECASE
)
_ONE_LINE: Final = re.compile(r"\b(?:one|a single|single)[- ](?:line|sentence)\b|no line breaks?", re.IGNORECASE)
_BRIEF: Final = re.compile(r"\b(?:short|brief|concise)\b", re.IGNORECASE)
_LIMIT: Final = re.compile(
    r"(?:at most|no more than|under|up to|maximum(?: of)?)\s+(\d{2,5})\s+characters", re.IGNORECASE
)
_SAME_LANGUAGE: Final = re.compile(
    r"(?:in|use) the (?:same )?language (?:of|that|in which|as)|(?:customer|ticket|writer|user)'s (?:own )?language",
    re.IGNORECASE,
)
_NO_PROMISES: Final = re.compile(
    r"(?:never|do not|don't|without|no|avoid)\b[^.\n]{0,40}\b(?:promis|guarant|commit)", re.IGNORECASE
)
_FACT: Final = re.compile(r"^([A-Za-z]{3,20}):[ \t]*([A-Za-z][\w -]{0,30})$", re.MULTILINE)
_INLINE: Final = re.compile(
    r"[\"'`]?(?P<name>[A-Za-z_]{3,30})[\"'`]?\s*(?:is|must be|as|:|=)?\s*(?:exactly |only )?one of"
    r"(?: (?:the )?following(?: \w+)?| these(?: \w+)?)?\s*[:(\[]?\s*(?P<labels>[^.\n)\]]{3,400})",
    re.IGNORECASE,
)
_BULLET: Final = re.compile(r"^\s*[-*•]\s*[`\"']?(?P<name>[A-Za-z][\w /-]{0,30}?)[`\"']?\s*(?:[:–—]\s*(?P<about>.*))?$")
_HEADING: Final = re.compile(r"^\s*(?P<words>[^-*•].{2,120}?):\s*$")
_EXAMPLE: Final = re.compile(
    r"^(?:ticket|text|input|message|q)\s*:[ \t]*(?P<text>.+)\n(?:answer|output|json|label|a)\s*:[ \t]*(?P<answer>.+)$",
    re.IGNORECASE | re.MULTILINE,
)
_CHOICE_WORDS: Final = re.compile(
    r"categor|class|type|label|level|urgen|priorit|sentiment|topic|intent|severity", re.IGNORECASE
)


@lru_cache(maxsize=128)
def read(instructions: str, turns: tuple[tuple[str, str], ...] = ()) -> Reading:
    """Read a prompt. Prompts repeat from line to line, so readings are kept."""
    examples = (
        *(Example(found["text"].strip(), found["answer"].strip()) for found in _EXAMPLE.finditer(instructions)),
        *(Example(asked, answered) for asked, answered in turns),
    )
    prose = _WRAPPED.sub(" ", instructions)
    limit = _LIMIT.search(prose)
    return Reading(
        fields=_fields(instructions),
        examples=examples,
        facts={found[1].lower(): found[2].strip().lower() for found in _FACT.finditer(instructions)},
        wants_json=bool(_JSON.search(prose)),
        only_json=bool(_ONLY.search(prose)),
        any_language=bool(_ANY_LANGUAGE.search(prose)) or any(language_of(e.text) != "en" for e in examples),
        guarded=bool(_GUARD.search(prose)),
        wants_reply=bool(_REPLY.search(prose)),
        one_line=bool(_ONE_LINE.search(prose)),
        brief=bool(_BRIEF.search(prose)),
        max_characters=int(limit[1]) if limit else None,
        same_language=bool(_SAME_LANGUAGE.search(prose)),
        no_promises=bool(_NO_PROMISES.search(prose)),
    )


def _fields(instructions: str) -> tuple[Field, ...]:
    keys = list(dict.fromkeys(_KEY.findall(instructions)))
    found = {**_bullet_fields(instructions, keys), **_inline_fields(instructions, keys)}
    order = [key for key in keys if key in found] + [name for name in found if name not in keys]
    return tuple(Field(name, found[name]) for name in order)


def _inline_fields(instructions: str, keys: list[str]) -> dict[str, tuple[Label, ...]]:
    fields = {}
    for found in _INLINE.finditer(instructions):
        names = [part.strip(" \t\"'`") for part in re.split(r",|\||/|\bor\b|\band\b", found["labels"])]
        labels = tuple(Label(name) for name in names if 0 < len(name) <= 30 and len(name.split()) <= 3)
        if len(labels) >= 2:
            fields[_field_name(found["name"], keys)] = labels
    return fields


def _bullet_fields(instructions: str, keys: list[str]) -> dict[str, tuple[Label, ...]]:
    """Lists of the form `Categories:` and below it `- billing: invoices and payments`, one label a line."""
    fields: dict[str, tuple[Label, ...]] = {}
    heading, labels, usable = "", list[Label](), True
    for line in [*instructions.splitlines(), ""]:
        bullet = _BULLET.match(line)
        if bullet or line.lstrip().startswith(("-", "*", "•")):
            usable = usable and bullet is not None and len(bullet["name"].split()) <= 3
            if bullet:
                labels.append(Label(bullet["name"].strip(), (bullet["about"] or "").strip()))
            continue
        if usable and len(labels) >= 2 and _CHOICE_WORDS.search(heading):
            fields[_field_name(heading, keys)] = tuple(labels)
        named = _HEADING.match(line)
        heading, labels, usable = (named["words"] if named else ""), [], True
    return fields


def _field_name(words: str, keys: list[str]) -> str:
    """The JSON key that `words` speak of (`Categories` → `category`), or the word that names the choice itself."""
    lowered = words.lower()
    for key in keys:
        if key[:5].lower() in lowered:
            return key
    word = next((word for word in re.findall(r"\w+", lowered) if _CHOICE_WORDS.search(word)), lowered.split()[-1])
    return word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s") if not word.endswith("ss") else word

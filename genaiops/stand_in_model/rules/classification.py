"""Choosing labels: for each field that the prompt lists labels for, the label that the text speaks of most.

The rules, in the order in which they add to a label's score:

1. A concept that the label's name or description mentions counts 1 for each of the first three places where the text
   speaks of it, and 1 more where that is within the text's first 80 characters (people say first what they want).
   Words of other languages than English count only if the prompt allows any language or shows an example in one.
2. A worked example counts 0.75 for each of its content words that the text shares, for the labels that it answers.
3. A label that a hidden instruction names wins, unless the prompt forbids to follow instructions in the text.
4. Temperature adds up to 1.5 times itself to each label: a hash of prompt, text, label, temperature and seed.

Nothing found: the label that the prompt names for that (`if nothing fits, use other`), or one called other, or the
middle of an ordered scale. The answer is JSON if the prompt asks for it, alone only if it asks for nothing else.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import Final

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Field, Label, Reading
from genaiops.stand_in_model.rules.concepts import CONCEPTS, Concept
from genaiops.stand_in_model.rules.injection import override_of, without_override
from genaiops.stand_in_model.rules.languages import lowered
from genaiops.stand_in_model.rules.noise import unit

HEAD: Final = 80
_CONTENT_WORD: Final = re.compile(r"[^\W\d_]{4,}|[\u30a0-\u30ff]{2,}|[\u4e00-\u9fff]{2}")
_DEFAULT: Final = re.compile(
    r"(?:if (?:nothing|none|no \w+|unclear|unsure|in doubt)|otherwise|when in doubt)[^.\n]{0,50}?\buse\s+[\"'`]?(\w+)",
    re.IGNORECASE,
)
_FALLBACK_NAMES: Final = ("other", "unknown", "none", "normal", "medium", "neutral")


class Classification:
    """Takes every prompt that lists labels to choose from."""

    name = "classification"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether the prompt has a field with labels."""
        return bool(reading.fields) and bool(conversation.instructions)

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The chosen labels in the format that the prompt asks for."""
        chosen = {field.name: choose(field, conversation, reading) for field in reading.fields}
        if not (reading.wants_json or conversation.wants_json):
            return "\n".join(f"{name.capitalize()}: {label}" for name, label in chosen.items())
        body = json.dumps(chosen, ensure_ascii=False)
        if reading.only_json or conversation.wants_json:
            return body
        chance = unit("frame", conversation.instructions, conversation.text, conversation.seed)
        if chance < 1 / 3:
            return f"Here is the classification you asked for:\n```json\n{body}\n```"
        return body if chance < 2 / 3 else f"Sure! {body}\nLet me know if you need anything else."


def choose(field: Field, conversation: Conversation, reading: Reading) -> str:
    """The label of `field` with the highest score; of equals, the one that the prompt lists first."""
    override = override_of(conversation.text)
    if override is not None and not reading.guarded and (demanded := _named(field, override)):
        return demanded
    text = lowered(without_override(conversation.text) if reading.guarded else conversation.text)
    scores = {label.name: _evidence(label, text, reading) for label in field.labels}
    if max(scores.values()) == 0:
        scores[_without_evidence(field, conversation.instructions)] = 0.5
    if conversation.temperature > 0:
        for name in scores:
            scores[name] += (
                1.5
                * conversation.temperature
                * unit(conversation.instructions, conversation.text, name, conversation.temperature, conversation.seed)
            )
    return max(scores, key=lambda name: scores[name])


def _evidence(label: Label, text: str, reading: Reading) -> float:
    score = 0.0
    for concept in _concepts_of(label):
        places = concept.hits(text, any_language=reading.any_language)
        score += len(places) + any(place < HEAD for place in places)
    for example in reading.examples:
        if re.search(rf"\b{re.escape(label.name.lower())}\b", example.answer.lower()):
            score += 0.75 * len(_content_words(lowered(example.text)) & _content_words(text))
    return score


def _named(field: Field, override: str) -> str | None:
    """The label that a hidden instruction names first."""
    words = override.lower()
    places = {label.name: words.find(label.name.lower()) for label in field.labels}
    named = [name for name, place in places.items() if place >= 0]
    return min(named, key=lambda name: places[name]) if named else None


def _without_evidence(field: Field, instructions: str) -> str:
    names = [label.name for label in field.labels]
    by_name = {name.lower(): name for name in names}
    for found in _DEFAULT.finditer(instructions):
        if found[1].lower() in by_name:
            return by_name[found[1].lower()]
    known = next((by_name[name] for name in _FALLBACK_NAMES if name in by_name), None)
    return known if known is not None else names[0]


@lru_cache(maxsize=512)
def _concepts_of(label: Label) -> tuple[Concept, ...]:
    return tuple(concept for concept in CONCEPTS if concept.meant_by(f"{label.name} {label.description}"))


@lru_cache(maxsize=256)
def _content_words(text: str) -> frozenset[str]:
    """Words that carry meaning: four letters or more, a run of katakana, a pair of ideographs."""
    return frozenset(_CONTENT_WORD.findall(text))

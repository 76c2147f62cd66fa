"""Answering a question from passages that the prompt lists, each behind its id in brackets: by picking sentences.

The rules:

1. A sentence scores for each content word of the question that it or its passage's heading holds: rare words more,
   words that only the heading holds half. A short question that follows an earlier one also asks for that one's
   words, half.
2. The best sentence is the answer. Up to as many as the prompt allows (three, if it does not say) others of the same
   passage follow, if they score at least half as much.
3. If the prompt says what to say where the passages do not hold the answer, that is said where the best passage holds
   less than half of what the question asks for. Without such words the best sentence is taken, whatever it is.
4. Ids are cited behind each sentence if the prompt asks to cite.
5. A prompt that does not bind the model to the passages ("from the passages") gets a sentence of hearsay as well, and
   one that wants a warm or chatty tone gets phrases around the answer: neither is in the passages.
6. A hidden instruction that quotes what to say is obeyed, unless the prompt forbids to follow instructions.
7. Temperature adds up to 0.6 times itself, in parts of the best score, to every sentence: a hash of all that was asked.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading
from genaiops.stand_in_model.rules.injection import demanded_words, override_of, without_override
from genaiops.stand_in_model.rules.noise import unit
from genaiops.stand_in_model.rules.words import content_words

_PASSAGE: Final = re.compile(r"^\[(?P<id>[\w-]{1,60})\] (?P<text>.+(?:\n(?!\s*$|\[[\w-]{1,60}\] ).+)*)", re.MULTILINE)
_SENTENCE_END: Final = re.compile(r"(?<=[.!?。])\s+(?=[^\W\d_])")
_EARLIER: Final = re.compile(r"^Earlier question: *(.+)$", re.MULTILINE)
_ASKS: Final = re.compile(r"\banswers?\b[^.\n]{0,60}\b(?:question|passage|source|context)s?\b", re.IGNORECASE)
_BOUND: Final = re.compile(
    r"\b(?:only|solely|alone|from|based on)\b[^.\n]{0,20}\b(?:passage|source|context)s?\b", re.IGNORECASE
)
_CITE: Final = re.compile(r"\bcit(?:e|ing|ation)", re.IGNORECASE)
_UNKNOWN: Final = re.compile(
    r"\b(?:if|when|where)\b[^.\n]{0,80}\b(?:not|no|nothing|unknown|unsure)\b[^.\n\"“]{0,80}\b(?:say|answer|reply|write)\b"
    r"[^.\n\"“]{0,20}[\"“](?P<words>[^\"”\n]{2,80})[\"”]",
    re.IGNORECASE,
)
_SENTENCES: Final = re.compile(r"\b(one|a single|two|three|four|five)\b[^.\n]{0,12}\bsentences?\b", re.IGNORECASE)
_COUNTS: Final = {"one": 1, "a single": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_CHATTY: Final = re.compile(r"\b(?:warm|chatty|friendly|enthusiastic)\b", re.IGNORECASE)
_WRAPPED: Final = re.compile(r"(?<=\S)\n(?=\S)")
_HEARSAY: Final = "Most companies see this the same way, and the best is to ask around among experienced people."
MOST_SENTENCES: Final = 3
ENOUGH: Final = 0.5
"""Share of what the question asks for that a passage must hold to count as its answer."""
SHORT_QUESTION: Final = 4
"""Content words of a question that may lean on the one before it."""


@dataclass(frozen=True)
class _Sentence:
    passage: str
    text: str
    words: frozenset[str]
    around: frozenset[str]
    """Words of the passage's heading."""


class GroundedAnswers:
    """Takes prompts that list passages behind ids and ask to answer a question."""

    name = "grounded answers"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether there are passages and a question to answer; without passages, whether the prompt speaks of them."""
        del reading
        prompt = conversation.instructions
        return bool(_ASKS.search(prompt)) and ("passages" in prompt.lower() or bool(_PASSAGE.search(prompt)))

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The sentences that answer the question, or what the prompt wants to hear where there are none."""
        override = override_of(conversation.text)
        if override is not None and not reading.guarded and (demanded := demanded_words(override)):
            return demanded
        question = without_override(conversation.text) if reading.guarded else conversation.text
        prose = _WRAPPED.sub(" ", _PASSAGE.sub("", conversation.instructions))
        unknown = _UNKNOWN.search(prose)
        sentences = _sentences(conversation.instructions)
        wanted = _wanted(question, conversation.instructions, sentences)
        if unknown and _held(wanted, sentences) < ENOUGH:
            return unknown["words"]
        chosen = _chosen(wanted, sentences, conversation, _most(prose))
        cites = bool(_CITE.search(prose))
        parts = [f"{sentence.text} [{sentence.passage}]" if cites else sentence.text for sentence in chosen]
        if not _BOUND.search(prose):
            parts.append(_HEARSAY)
        if _CHATTY.search(prose):
            parts = ["What a great question, thanks for asking!", *parts, "Hope that helps, have a lovely day!"]
        return " ".join(parts) or "There is nothing to answer from."


def _sentences(instructions: str) -> list[_Sentence]:
    """Every sentence of every passage; a passage's first line is its heading if more lines follow."""
    found: list[_Sentence] = []
    for passage in _PASSAGE.finditer(instructions):
        first, _, rest = passage["text"].partition("\n")
        heading, body = (first, rest) if rest else ("", first)
        around = frozenset(content_words(heading))
        found += [
            _Sentence(passage["id"], text, frozenset(content_words(text)), around)
            for text in _SENTENCE_END.split(" ".join(body.split()))
        ]
    return found


def _wanted(question: str, instructions: str, sentences: Sequence[_Sentence]) -> dict[str, float]:
    """What the question asks for: its content words with their weights."""
    asked = dict.fromkeys(content_words(question), 1.0)
    earlier = _EARLIER.findall(instructions)
    if earlier and len(asked) <= SHORT_QUESTION:
        asked = dict.fromkeys(content_words(earlier[-1]), 0.5) | asked
    return {
        word: share * math.log(1 + (len(sentences) + 1) / (sum(word in s.words for s in sentences) + 1))
        for word, share in asked.items()
    }


def _held(wanted: Mapping[str, float], sentences: Sequence[_Sentence]) -> float:
    """The share of what is asked for that the best passage holds."""
    passages: dict[str, set[str]] = {}
    for sentence in sentences:
        passages.setdefault(sentence.passage, set()).update(sentence.words | sentence.around)
    total = sum(wanted.values())
    best = max((sum(w for word, w in wanted.items() if word in held) for held in passages.values()), default=0.0)
    return best / total if total else 0.0


def _chosen(
    wanted: Mapping[str, float], sentences: Sequence[_Sentence], conversation: Conversation, most: int
) -> list[_Sentence]:
    """The best sentence, and what belongs to it, in the order of the passage."""
    if not sentences:
        return []
    scores = [
        sum(w if word in s.words else w / 2 for word, w in wanted.items() if word in s.words or word in s.around)
        for s in sentences
    ]
    if conversation.temperature > 0:
        spread = 0.6 * conversation.temperature * max(*scores, 0.1)
        scores = [
            score + spread * unit(conversation.text, s.text, conversation.temperature, conversation.seed)
            for score, s in zip(scores, sentences, strict=True)
        ]
    order = sorted(range(len(sentences)), key=lambda number: (-scores[number], number))
    best = order[0]
    others = [
        number
        for number in order[1:]
        if sentences[number].passage == sentences[best].passage and scores[number] >= scores[best] / 2 > 0
    ]
    return [sentences[number] for number in sorted([best, *others[: most - 1]])]


def _most(prose: str) -> int:
    """How many sentences the prompt allows."""
    found = _SENTENCES.search(prose)
    return _COUNTS[found[1].lower()] if found else MOST_SENTENCES

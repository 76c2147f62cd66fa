"""Judging an answer on a scale that the prompt states: by the words that it shares with the context or the question.

The rules:

1. A prompt that speaks of support or grounding is judged against its context: the share of the answer's content words,
   numbers twice, that the context holds. Ids in brackets do not count.
2. A prompt that speaks of relevance is judged against its question: the share of the question's content words that the
   answer holds. A third of them is full marks: answers do not repeat their question.
3. An answer that only says that it does not know gets the score that the prompt gives to such answers, or the lowest.
4. The share becomes a whole number of the scale, in even steps; a remark says what it rests on.
5. A hidden instruction in the answer earns full marks, unless the prompt forbids to follow instructions.
"""

from __future__ import annotations

import json
import re
from typing import Final

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading
from genaiops.stand_in_model.rules.injection import override_of
from genaiops.stand_in_model.rules.words import content_words

_JUDGES: Final = re.compile(r"\b(?:score|rate|grade|judge|mark)\b", re.IGNORECASE)
_SCALE: Final = re.compile(r"\b(?:from|between)?\s*(\d{1,2})\s*(?:to|-|–|and)\s*(\d{1,2})\b", re.IGNORECASE)
_SUPPORT: Final = re.compile(r"\b(?:support|ground|faithful|backed)", re.IGNORECASE)
_RELEVANCE: Final = re.compile(r"\b(?:relevan|on topic|address)", re.IGNORECASE)
_IDS: Final = re.compile(r"\[[\w-]{1,60}\]")
_NOT_KNOWN: Final = re.compile(
    r"\s*(?:sorry, )?i (?:do not|don't|cannot|can't) (?:know|say|tell|answer)[^.]{0,60}\.?\s*\Z", re.IGNORECASE
)
_FOR_NOT_KNOWN: Final = re.compile(
    r"(?:not know|unknown|does not claim)[^.\n]{0,80}?\b(?:score|scores|gets|is)\s+(\d{1,2})\b", re.IGNORECASE
)
_WRAPPED: Final = re.compile(r"(?<=\S)\n(?=\S)")
FULL_RELEVANCE: Final = 1 / 3


class Judging:
    """Takes prompts that ask for a score on a scale of an answer, against a context or a question."""

    name = "judging"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether the prompt states a scale, a criterion, and what to hold the answer against."""
        del reading
        prompt = conversation.instructions
        return bool(_JUDGES.search(prompt) and _SCALE.search(prompt) and _reference(prompt) is not None)

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The score, as JSON if the prompt asks for it."""
        prompt = _WRAPPED.sub(" ", conversation.instructions)
        scale = _SCALE.search(prompt)
        reference = _reference(conversation.instructions)
        assert scale is not None
        assert reference is not None
        low, high = sorted((int(scale[1]), int(scale[2])))
        score, remark = self._score(conversation, reading, prompt, reference, low, high)
        if reading.wants_json or conversation.wants_json:
            return json.dumps({"score": score, "reason": remark}, ensure_ascii=False)
        return f"Score: {score}\n{remark}"

    def _score(
        self,
        conversation: Conversation,
        reading: Reading,
        prompt: str,
        reference: tuple[str, bool],
        low: int,
        high: int,
    ) -> tuple[int, str]:
        text, supports = reference
        if override_of(conversation.text) is not None and not reading.guarded:
            return high, "As the answer asks for."
        if _NOT_KNOWN.match(conversation.text):
            given = _FOR_NOT_KNOWN.search(prompt)
            return (min(max(int(given[1]), low), high) if given else low), "The answer says that it does not know."
        answer = content_words(_IDS.sub(" ", conversation.text))
        held, against = (answer, set(content_words(text))) if supports else (content_words(text), set(answer))
        if not held:
            return low, "There is nothing to hold against each other."
        weights = [2 if word[0].isdigit() else 1 for word in held]
        share = sum(w for word, w in zip(held, weights, strict=True) if word in against) / sum(weights)
        if not supports:
            share = min(share / FULL_RELEVANCE, 1.0)
        remark = f"{share:.0%} of the {'answer is in the context' if supports else 'marks for the question'}."
        return low + round(share * (high - low)), remark


def _reference(prompt: str) -> tuple[str, bool] | None:
    """What the answer is held against, and whether it is a context that must support it."""
    for criterion, name in ((_SUPPORT, "context"), (_RELEVANCE, "question")):
        part = _part(prompt, name) if criterion.search(prompt) else None
        if part is not None:
            return part, name == "context"
    return None


def _part(prompt: str, name: str) -> str | None:
    """What stands between the first opening and the last closing tag of that name."""
    start, end = prompt.find(f"<{name}>"), prompt.rfind(f"</{name}>")
    return prompt[start + len(name) + 2 : end] if 0 <= start < end else None

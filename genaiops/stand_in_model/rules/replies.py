"""Writing a reply to a text: thanks, the next step for the category that the prompt states, and what the prompt allows.

The rules:

1. The reply is in the text's language if the prompt asks for that and the language is known; else in English.
2. Promises ("solved within 24 hours") stand in it unless the prompt forbids them.
3. One line if the prompt asks for one. If it only asks for something short, long texts still get a salutation and a
   signature on lines of their own; without either wish every reply has them.
4. A stated number of characters is kept by cutting the quotation of the text, then the end.
5. A hidden instruction that quotes what to say is obeyed, unless the prompt forbids it.
6. Temperature above zero chooses among the openings by a hash of prompt, text, temperature and seed.
"""

from __future__ import annotations

from typing import Final

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading
from genaiops.stand_in_model.rules.injection import demanded_words, override_of
from genaiops.stand_in_model.rules.languages import language_of
from genaiops.stand_in_model.rules.noise import unit
from genaiops.stand_in_model.rules.phrases import PHRASES, Phrases

QUOTED: Final = 40
"""Characters of the text that a reply repeats, at most."""
LONG_TEXT: Final = 200


class Replies:
    """Takes prompts that ask to write a reply."""

    name = "replies"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether the prompt asks for a reply."""
        return reading.wants_reply and bool(conversation.instructions)

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The reply."""
        text = conversation.text
        override = override_of(text)
        if override is not None and not reading.guarded and (words := demanded_words(override)):
            return words
        phrases = PHRASES.get(language_of(text), PHRASES["en"]) if reading.same_language else PHRASES["en"]
        step = phrases.steps.get(reading.facts.get("category", ""), phrases.steps["other"])
        rest = [step] if reading.no_promises else [step, phrases.promise]
        body = phrases.between.join([_opening(conversation, phrases), *rest])
        if reading.max_characters is not None and len(body) > reading.max_characters:
            body = _fitted(conversation, phrases, rest, reading.max_characters)
        if reading.one_line or (reading.brief and len(text) <= LONG_TEXT):
            return body
        return f"{phrases.salutation}\n\n{body}\n\n{phrases.signature}"


def _opening(conversation: Conversation, phrases: Phrases, quoted: int = QUOTED) -> str:
    words = " ".join(conversation.text.split())
    if not words:
        return phrases.empty
    if len(words) > quoted:
        words = words[:quoted].rstrip() + "…"
    chance = unit("opening", conversation.instructions, words, conversation.temperature, conversation.seed)
    chosen = int(chance * len(phrases.openings)) if conversation.temperature > 0 else 0
    return phrases.openings[chosen].format(quotation=words)


def _fitted(conversation: Conversation, phrases: Phrases, rest: list[str], max_characters: int) -> str:
    """The reply with less and less of the text in it, until it fits; at last its end goes."""
    body = ""
    for quoted in range(QUOTED - 10, 9, -10):
        body = phrases.between.join([_opening(conversation, phrases, quoted), *rest])
        if len(body) <= max_characters:
            return body
    return body[: max_characters - 1].rstrip() + "…"

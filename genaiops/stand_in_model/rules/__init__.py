"""The rules of the stand-in model, one kind of task a module. The first rule that takes a conversation answers it.

A new task is a new module with a rule and its place in `RULES`; a rule reads the prompt and the text, never the data.
"""

from __future__ import annotations

from typing import Final, Protocol

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading, read
from genaiops.stand_in_model.rules.classification import Classification
from genaiops.stand_in_model.rules.extraction import Extraction
from genaiops.stand_in_model.rules.fallback import Fallback
from genaiops.stand_in_model.rules.judging import Judging
from genaiops.stand_in_model.rules.passages import GroundedAnswers
from genaiops.stand_in_model.rules.programs import Programs
from genaiops.stand_in_model.rules.replies import Replies


class Rule(Protocol):
    """One kind of task."""

    name: str

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Whether the prompt asks for this kind of task."""
        ...

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """The model's answer."""
        ...


RULES: Final[tuple[Rule, ...]] = (
    Judging(),
    GroundedAnswers(),
    Extraction(),
    Programs(),
    Classification(),
    Replies(),
    Fallback(),
)
"""In the order in which they are asked; the last one takes everything."""


def answer(conversation: Conversation) -> str:
    """What the stand-in model says."""
    reading = read(conversation.instructions, conversation.turns)
    rule = next(rule for rule in RULES if rule.takes(conversation, reading))
    return rule.answer(conversation, reading)

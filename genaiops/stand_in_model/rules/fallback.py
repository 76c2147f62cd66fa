"""What the stand-in model says to a prompt that no rule knows: that it is one, and what it was asked."""

from __future__ import annotations

import json

from genaiops.stand_in_model.conversation import Conversation
from genaiops.stand_in_model.reading import Reading


class Fallback:
    """Takes everything."""

    name = "fallback"

    def takes(self, conversation: Conversation, reading: Reading) -> bool:
        """Always."""
        del conversation, reading
        return True

    def answer(self, conversation: Conversation, reading: Reading) -> str:
        """A sentence that repeats the start of the text, as JSON where the prompt wants JSON."""
        asked = " ".join(conversation.text.split())[:120]
        said = f"No rule of this stand-in model answers this. The text was: {asked}" if asked else "The text was empty."
        if reading.wants_json or conversation.wants_json:
            return json.dumps({"answer": said}, ensure_ascii=False)
        return said

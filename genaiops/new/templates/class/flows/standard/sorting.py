"""Sorts messages; what is set up once for all lines stands in `__init__`."""

# No `from __future__ import annotations` here: prompt flow looks at the class that annotates `model_config`, to fill in
# the connection; as a text it would not know it.

import re
from pathlib import Path
from typing import TypedDict

from promptflow.core import AzureOpenAIModelConfiguration, Prompty

HERE = Path(__file__).parent
CATEGORIES = ("question", "problem", "idea", "praise", "complaint", "other")


class Sorted(TypedDict):
    """What the flow gives."""

    category: str


class MessageSorter:
    """One prompt, asked for every message."""

    def __init__(self, model_config: AzureOpenAIModelConfiguration, prompt: str = "listed"):
        """`prompt` names one of the .prompty files beside this file."""
        self._prompty = Prompty.load(source=HERE / f"{prompt}.prompty", model={"configuration": model_config})

    def __call__(self, message: str) -> Sorted:
        """Sort one message."""
        # Prompty takes a text that starts with `data:image/…;path:` for an image; behind a line break it stays text.
        answer = str(self._prompty(message=f"\n{message}\n") or "")
        found = re.search(rf"\b({'|'.join(CATEGORIES)})\b", answer, re.IGNORECASE)
        return {"category": found[1].lower() if found else "other"}

"""Sorts a message with one call of a model. Plain Python: nothing here is prompt flow's."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import TypedDict

from openai import AzureOpenAI

HERE = Path(__file__).parent
CLIENT = AzureOpenAI()  # key, address and version come from the environment: see flow.flex.yaml
CATEGORIES = ("question", "problem", "idea", "praise", "complaint", "other")


class Sorted(TypedDict):
    """What the flow gives."""

    category: str


def sort_message(message: str, prompt: str = "listed") -> Sorted:
    """Ask the model; `prompt` names one of the .txt files beside this file."""
    said = CLIENT.chat.completions.create(
        model="gpt-4o-mini",
        temperature=0.0,
        max_tokens=50,
        messages=[
            {"role": "system", "content": instructions(prompt)},
            {"role": "user", "content": f"<message>\n{message}\n</message>"},
        ],
    )
    answer = said.choices[0].message.content or ""
    found = re.search(rf"\b({'|'.join(CATEGORIES)})\b", answer, re.IGNORECASE)
    return {"category": found[1].lower() if found else "other"}


@lru_cache(maxsize=None)
def instructions(prompt: str) -> str:
    """The system message of that name."""
    return (HERE / f"{prompt}.txt").read_text(encoding="utf-8")

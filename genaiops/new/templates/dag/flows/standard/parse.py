"""Reads the category from what the model said, whatever it said."""

from __future__ import annotations

import re
from typing import Optional

from promptflow.core import tool

CATEGORIES = ("question", "problem", "idea", "praise", "complaint", "other")


@tool
def parse(answer: Optional[str]) -> str:
    """The first category that the answer names, else `other`."""
    found = re.search(rf"\b({'|'.join(CATEGORIES)})\b", answer or "", re.IGNORECASE)
    return found[1].lower() if found else "other"

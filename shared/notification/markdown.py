"""Markdown in which data stays data: Azure DevOps, mails and cards show it as it is, whatever it says.

Azure DevOps renders HTML in comments and makes links of `#123`, `!123`, `@<id>` and bare addresses; nothing that a
dataset, a model or a requester wrote may become any of these.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final

from shared.pages.words import text_of
from shared.visible import visible

CELL_CHARACTERS: Final = 160
"""Of one value in a table, unless told otherwise."""

JOINER: Final = "\u2060"
"""Word joiner: nothing is seen of it, and no reader of links looks across it. `visible` writes out any that data has."""

# Every ASCII punctuation character may be escaped (https://spec.commonmark.org/0.31.2/#backslash-escapes). Numeric
# entities would not do: `&#35;` holds `#35`, of which Azure DevOps makes a link to a work item.
_PUNCTUATION: Final = re.compile(r"([\\`*_{}\[\]()#+\-.!|~:@$=^\"'/])")
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

# Azure DevOps finds these in the text that a reader sees as well, where a backslash is gone: work items and pull
# requests (https://learn.microsoft.com/azure/devops/project/wiki/markdown-guidance#link-to-work-items), mentions, and
# bare addresses with or without a scheme.
_LINKING: Final = re.compile(r"(?<=[#!@])(?=\S)|(?<=[:])(?=/)|(?<=\.)(?=[^\W\d_])")

_SPACE: Final = re.compile(r"\s+")


def one_line(value: object, limit: int = CELL_CHARACTERS) -> str:
    """A value as plain text on one line, with nothing in it that hides or reorders text; at most `limit` characters."""
    beginning = text_of(value)[: limit * 4]
    text = visible(_SPACE.sub(" ", beginning).strip())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escaped(value: object, limit: int = CELL_CHARACTERS) -> str:
    """A value as Markdown that renders as exactly this text, on one line, as a part of a paragraph or a table's cell."""
    text = _LINKING.sub(JOINER, one_line(value, limit))
    return _PUNCTUATION.sub(r"\\\1", text.translate(_ENTITIES))


def link(label: str, address: str) -> str:
    """A link. `address` is one of ours: it is put in as it is, save what would end it."""
    return f"[{escaped(label)}](<{address.replace('<', '%3C').replace('>', '%3E')}>)"


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[int] = ()) -> str:
    """A table of texts that are Markdown already; `numbers` are the columns that are aligned to the right."""
    right = frozenset(numbers)
    lines = [header, ["---:" if index in right else "---" for index in range(len(header))], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def bounded(sections: Iterable[str], limit: int, left_out: str) -> str:
    """As many sections as fit, an empty line between them; `left_out` says at the end that there were more."""
    kept: list[str] = []
    size = len(left_out)
    for section in filter(None, sections):
        size += len(section) + 2
        if size > limit:
            kept.append(left_out)
            break
        kept.append(section)
    return "\n\n".join(kept)

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

JOINER: Final = "\u034f"
"""Combining grapheme joiner: nothing is seen of it, and what looks for links stops at it. It hides and reorders no
text, so that `visible`, through which channels pass everything, leaves it alone."""

# What has a meaning within a line, and what has one at its beginning (https://spec.commonmark.org/0.31.2/): no more, so
# that the text can be read as it is, too, in a mail's plain part or on a console. An underscore within a word has none.
# Numeric entities would not do: `&#35;` holds `#35`, of which Azure DevOps makes a link to a work item.
_INLINE: Final = re.compile(r"[\\`*\[\]#|~$]|(?<![^\W_])_|_(?![^\W_])|:(?=[A-Za-z+-][\w+-]*:)")
_AT_BEGINNING: Final = re.compile(r"^([-+=:]|\d+(?=[.)](?:\s|$)))")
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})

# Azure DevOps looks for these in what a reader sees as well, where no backslash is left: work items and pull requests
# (https://learn.microsoft.com/azure/devops/project/wiki/markdown-guidance#link-to-work-items), mentions, and addresses,
# those without a scheme by their last part. Names of Python files stay such that they can be copied.
_TOP_LEVEL: Final = "com|net|org|edu|gov|info|biz|pro|web|name|shop|app|dev|cloud|online|site|xyz|top|link|live|zip"
_LAST_PART: Final = rf"(?!py(?![a-z0-9]))(?:{_TOP_LEVEL}|xn--[\w-]+|[^\W\d_]{{2}})(?![a-z0-9])"
_LINKING: Final = re.compile(
    rf"(?<=[#!@])(?=\S)|(?<=:)(?=/)|(?<=www\.)(?=\S)|(?<=\.)(?={_LAST_PART})",
    re.IGNORECASE,
)

_ENDING: Final = re.compile(r"[()<>\s\\]")
_SPACE: Final = re.compile(r"\s+")


def one_line(value: object, limit: int = CELL_CHARACTERS) -> str:
    """A value as plain text on one line, with nothing in it that hides or reorders text; at most `limit` characters."""
    beginning = text_of(value)[: limit * 4]
    text = visible(_SPACE.sub(" ", beginning).strip())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def escaped(value: object, limit: int = CELL_CHARACTERS) -> str:
    """A value as Markdown that renders as exactly this text, on one line, in a paragraph or in a cell of a table."""
    text = _LINKING.sub(JOINER, one_line(value, limit))
    text = _INLINE.sub(lambda found: "\\" + found[0], text)
    return _AT_BEGINNING.sub(_escaped_beginning, text).translate(_ENTITIES)


def link(label: str, address: str) -> str:
    """A link. `address` is one of ours: it is put in as it is, save what would end it."""
    return f"[{escaped(label)}]({_ENDING.sub(lambda found: f'%{ord(found[0]):02X}', address)})"


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


def _escaped_beginning(found: re.Match[str]) -> str:
    """A list's bullet or the line under a heading; of a list's number, the backslash stands behind it."""
    return found[0] + "\\" if found[0].isdigit() else "\\" + found[0]

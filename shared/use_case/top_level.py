"""A whole `experiment.yaml` or overlay as a block, with misspelt keys taken for what they mean.

A misspelt `datasets` is one mistake: whatever refers to the datasets is not to be told that there are none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from shared.use_case.block import Block
from shared.use_case.problems import Problems
from shared.use_case.yaml_file import Document

_MOST_TRIED: Final = 20
"""Unknown keys: who has more did not misspell them."""


def top_level(document: Document, known: Sequence[str], folder: Path, problems: Problems) -> Block | None:
    """The file as a block, with a problem for each key that is not `known`; None where it is no mapping."""
    block = Block(document, (), document.value, problems, folder)
    if block.mapping(known) is None:
        return None
    unknown = [key for key in document.value if key not in known]
    value, lines = dict(document.value), dict(document.lines)
    for key in known if 0 < len(unknown) <= _MOST_TRIED else ():
        if key in value or not (meant := get_close_matches(key, unknown, n=1, cutoff=0.8)):
            continue
        value[key] = value[meant[0]]
        lines |= {(key, *path[1:]): line for path, line in document.lines.items() if path[:1] == (meant[0],)}
        unknown.remove(meant[0])
    understood = replace(document, value=value, lines=lines) if len(value) > len(document.value) else document
    return Block(understood, (), understood.value, problems, folder)

"""JSON files of a use case folder, read with the line of every key, so that a problem can say where it is."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from shared.use_case.problems import Problems
from shared.use_case.yaml_file import HALF_A_CHARACTER, WRITTEN_TWICE, Document, read_text, read_yaml_text

_TEXT_OR_WORD: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?[A-Za-z]+')


class _NotJson(ValueError):
    """NaN or Infinity, which Python would read."""


def _refuse(word: str) -> float:
    raise _NotJson(word)


def _line_of(text: str, word: str) -> int:
    """The line of a word that stands outside of texts."""
    for found in _TEXT_OR_WORD.finditer(text):
        if found[0] == word:
            return text.count("\n", 0, found.start()) + 1
    return 1


def read_json(path: Path, file: str, problems: Problems) -> Document | None:
    """Read a file; None if it cannot be read, with the reason in `problems`."""
    text = read_text(path, file, problems)
    if text is None:
        return None
    try:
        value: Any = json.loads(text, parse_constant=_refuse)
    except _NotJson as error:
        problems.add(
            file, _line_of(text, str(error)), "file", f"holds {error}, which is not JSON; use null or a number"
        )
        return None
    except json.JSONDecodeError as error:
        problems.add(file, error.lineno, "file", f"is not valid JSON: {error.msg} (column {error.colno})")
        return None
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in thousands of lists
        problems.add(file, 1, "file", "is nested too deeply, or holds a number that is too long")
        return None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        problems.add(file, 1, "file", f"{HALF_A_CHARACTER} (a lone \\u surrogate); write the whole one")
        return None
    # YAML tells lines, and JSON is YAML but for tabs between its parts; inside of texts, JSON has none as they are.
    noted = Problems()
    told = read_yaml_text(text.replace("\t", " "), file, noted, may_be_empty=True)
    for problem in noted.found:
        if problem.message.startswith(WRITTEN_TWICE):
            problems.add(file, problem.line, problem.key, problem.message)
    return Document(file=file, value=value, lines=told.lines if told is not None else {})

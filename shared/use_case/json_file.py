"""JSON files of a use case folder, read with the line of every key, so that a problem can say where it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from shared.use_case.problems import Problems
from shared.use_case.yaml_file import Document, read_text, read_yaml_text


def read_json(path: Path, file: str, problems: Problems) -> Document | None:
    """Read a file; None if it cannot be read, with the reason in `problems`."""
    text = read_text(path, file, problems)
    if text is None:
        return None
    try:
        value: Any = json.loads(text)
    except json.JSONDecodeError as error:
        problems.add(file, error.lineno, "file", f"is not valid JSON: {error.msg} (column {error.colno})")
        return None
    except (ValueError, RecursionError):  # numbers of thousands of digits, lists in thousands of lists
        problems.add(file, 1, "file", "is nested too deeply, or holds a number that is too long")
        return None
    # YAML tells lines, and JSON is YAML but for tabs between its parts; inside of texts, JSON has none as they are.
    told = read_yaml_text(text.replace("\t", " "), file, Problems(), may_be_empty=True)
    return Document(file=file, value=value, lines=told.lines if told is not None else {})

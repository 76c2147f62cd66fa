"""The sample request of a use case: the JSON body with which a deployed flow is tested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from shared.use_case.block import Block
from shared.use_case.flow_model import FlowFacts
from shared.use_case.json_file import read_json
from shared.use_case.problems import Problems, one_of
from shared.use_case.sources import file_in, is_inside

DEFAULT: Final = "sample-request.json"
"""At the root of the use case folder, where no other file is named."""


def sample_request(block: Block, key: str, facts: FlowFacts | None, tell: Callable[..., None]) -> Path | None:
    """The file that `key` names, or the default one; None where there is none.

    Args:
        block: holds `key`.
        key: names a file in the use case folder.
        facts: the flow that takes the request.
        tell: is told what is wrong: `block.problem`, or `block.warn`.
    """
    written = block.value.get(key)
    if written in (None, ""):
        found = file_in(block.folder, DEFAULT)
        if found is None:
            tell(f"is missing; expected a JSON file of inputs, with which the endpoint is tested ({DEFAULT})", key)
            return None
        written = DEFAULT
    elif block.text(key) is None:
        return None
    path = file_in(block.folder, str(written))
    if path is None:
        outside = "" if is_inside(str(written)) else " (a path inside the use case folder, without `..`)"
        tell(f"there is no file {written!r}; expected a JSON file{outside}", key)
        return None
    _check(path, str(written), key, facts, tell)
    return path


def _check(path: Path, written: str, key: str, facts: FlowFacts | None, tell: Callable[..., None]) -> None:
    problems = Problems()
    document = read_json(path, written, problems)
    if document is None:
        for problem in problems.found:
            tell(f"{written!r}, line {problem.line}: {problem.message}"[:300], key)
    elif not isinstance(document.value, dict):
        tell(f"{written!r} must hold one JSON object: the flow's inputs", key)
    elif facts is not None:
        for name, spec in facts.inputs.items():
            if spec.required and name not in document.value:
                tell(f"{written!r} lacks the flow's input {name!r}", key)
        for name in document.value:
            if name not in facts.inputs and not facts.takes_any_input:
                line = document.line(name)
                tell(f"{written!r}, line {line}: " + one_of(name, facts.inputs, "input of the flow"), key)

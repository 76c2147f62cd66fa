"""A prompty: what the front matter of one `.prompty` file says that it takes, gives and calls.

Prompt flow takes everything between the first and the last line of dashes for the front matter; so does this.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

from shared.use_case.block import Block
from shared.use_case.flow_model import FlowFacts, FlowInput, FlowKind
from shared.use_case.problems import Problems
from shared.use_case.prompty_keys import MODELS, check_prompty_keys
from shared.use_case.references import is_secret
from shared.use_case.returns import OUTPUT
from shared.use_case.tools import template_fault
from shared.use_case.yaml_file import read_text, read_yaml_text

# Dashes before the three count as the front matter's or as nothing: to try every number of them takes minutes in a file
# of nothing else.
_PARTS: Final = re.compile(r"---\n(.*)---\n(.*)", re.DOTALL)


def read_prompty(path: Path, shown: str, problems: Problems) -> FlowFacts | None:
    """What the file says; None where it cannot be read. `shown` is its path as problems show it."""
    text = read_text(path, shown, problems)
    if text is None:
        return None
    text = text.replace("\r\n", "\n")
    parts = _PARTS.search(text)
    if parts is None:
        problems.add(shown, 1, "file", "has no front matter; expected YAML between two lines `---`, then the prompt")
        return None
    first_line = text.count("\n", 0, parts.start(1)) + 1
    document = read_yaml_text(parts[1], shown, problems, first_line=first_line, may_be_empty=True)
    if document is None:
        return None
    top = Block(document, (), document.value if document.value is not None else {}, problems, path.parent)
    if top.mapping() is None:
        return None
    check_prompty_keys(top)
    model = top.child("model")
    settings: dict[str, Any] = {}
    for key in ("configuration", "parameters"):
        part = model.child(key) if model.value is not None and model.mapping() is not None else None
        settings[key] = part.value if part is not None and part.value is not None and part.mapping() is not None else {}
    for key, value in settings["configuration"].items():
        if is_secret(key, value) or (key == "api_key" and isinstance(value, str) and not value.startswith(("$", "<"))):
            said = f"holds a secret in clear; name a `connection`, or write ${{env:{key.upper()}}}"
            model.problem(said, "configuration", key)
    if wrong := template_fault(parts[2]):
        line, key, said = wrong
        problems.add(shown, text.count("\n", 0, parts.start(2)) + line, key, said)
    connection = settings["configuration"].get("connection")
    response = settings["parameters"].get("response_format")
    if isinstance(response, dict) and response.get("type") == "json_object":
        outputs = tuple(str(entry.path[-1]) for entry in top.child("outputs").entries())
    else:
        outputs = (OUTPUT,)
    return FlowFacts(
        inputs=_inputs(top, path),
        outputs=outputs,
        kind=FlowKind.PROMPTY,
        gives_any_output=not outputs,
        calls_model=True,
        names_model=any(settings["configuration"].get(key) for key in MODELS),
        named_connections=(connection,) if isinstance(connection, str) and not connection.startswith("${") else (),
    )


def _inputs(top: Block, path: Path) -> dict[str, FlowInput]:
    """The declared inputs; without any, those of the sample."""
    found: dict[str, FlowInput] = {}
    for entry in top.child("inputs").entries():
        if entry.mapping() is not None:
            kind, default = entry.value.get("type", "string"), entry.value.get("default")
            found[str(entry.path[-1])] = FlowInput(str(kind), default, has_default="default" in entry.value)
    if found or top.child("sample").value is None:
        return found
    sample = _sample(top.child("sample"), path)
    return {name: FlowInput("string", has_default=False) for name in sample}


def _sample(block: Block, path: Path) -> dict[str, Any]:
    """The sample's values, written down here or in a JSON file beside the prompty."""
    if isinstance(block.value, str) and block.value.endswith(".json"):
        file = (path.parent / block.value.removeprefix("file:").strip()).resolve()
        try:
            value = json.loads(file.read_bytes()) if file.is_relative_to(path.parent.resolve()) else None
        except (OSError, ValueError, RecursionError):
            value = None
        if isinstance(value, dict):
            return value
        block.problem(f"{block.value!r} is no JSON file with an object beside the prompty")
        return {}
    return block.value if block.mapping() is not None else {}

"""What kind of flow a folder holds, told by its files without running any."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from shared.errors import BusinessFailure
from shared.use_case.flow_model import FlowKind

DAG_FILE: Final = "flow.dag.yaml"
_IMPORTS_IT: Final = re.compile(r"^[ \t]*(?:from|import)[ \t]+promptflow\b", re.MULTILINE)
_MOST_FILES: Final = 2_000


def needs_promptflow(flow: Path, flow_file: str) -> bool:
    """Whether running the flow imports prompt flow, which takes seconds: a worker for it is best started with it.

    True for a DAG and a prompty, and for code that imports it anywhere in the flow's folder. A flow that cannot be read
    needs nothing.
    """
    try:
        kind = kind_of(flow, flow_file)
    except BusinessFailure:
        return False
    if kind in (FlowKind.DAG, FlowKind.PROMPTY):
        return True
    return any(_IMPORTS_IT.search(text) for text in _texts(flow, ".py"))


def kind_of(flow: Path, flow_file: str) -> FlowKind:
    """The flow's kind. A code flow counts as a class flow: which of the two it is shows when its entry is imported.

    Raises:
        BusinessFailure: its file is missing or no YAML.
    """
    if not flow_file:
        return FlowKind.PYTHON
    if flow_file.endswith(".prompty"):
        return FlowKind.PROMPTY
    return FlowKind.CLASS if "entry" in read_flow_file(flow, flow_file) else FlowKind.DAG


def read_flow_file(flow: Path, flow_file: str = DAG_FILE) -> dict[str, Any]:
    """A flow's YAML file as it is written; of a prompty the part above the prompt; of no file nothing.

    Raises:
        BusinessFailure: it is missing, or is no YAML mapping.
    """
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if not flow_file:
        return {}
    try:
        text = (flow / flow_file).read_text(encoding="utf-8-sig")
        if flow_file.endswith(".prompty"):
            # The engine's own rule: between the first and the last line of dashes.
            match = re.search(r"-{3,}\n(.*)-{3,}\n", text, re.DOTALL)
            text = match[1] if match is not None else ""
        content = YAML(typ="safe", pure=True).load(text)
    except FileNotFoundError as error:
        raise BusinessFailure(f"{flow.name}/{flow_file} does not exist: a flow's folder must hold it.") from error
    except (YAMLError, UnicodeDecodeError) as error:
        raise BusinessFailure(f"{flow.name}/{flow_file} is not valid YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise BusinessFailure(f"{flow.name}/{flow_file} is not a flow: a YAML mapping is expected.")
    return content


def mentioned(flow: Path, names: Iterator[str] | list[str]) -> list[str]:
    """Those of the names that the flow's files hold as a whole word, in the order given."""
    found: set[str] = set()
    patterns = {name: re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])") for name in names}
    for text in _texts(flow, ".py", ".prompty", ".json", ".yaml", ".yml"):
        found |= {name for name, pattern in patterns.items() if name not in found and pattern.search(text)}
    return [name for name in patterns if name in found]


def environment_references(flow: Path) -> set[str]:
    """Variables that the flow's prompties ask for, by `${env:NAME}`."""
    texts = _texts(flow, ".prompty")
    return {name for text in texts for name in re.findall(r"\$\{env:([A-Za-z_][A-Za-z0-9_]*)\}", text)}


def _texts(flow: Path, *suffixes: str) -> Iterator[str]:
    seen = 0
    for path in sorted(flow.rglob("*")):
        if path.suffix in suffixes and path.is_file() and "__pycache__" not in path.parts:
            seen += 1
            if seen > _MOST_FILES:
                return
            yield path.read_text(encoding="utf-8", errors="replace")

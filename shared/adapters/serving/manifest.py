"""What an image serves: one file in it, `served.json`, written with the context and read when a container starts.

It holds what is described and no value of it: connections and variables are resolved in the container, at every start.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from shared.use_case.model import ConnectionSpec

FILE: Final = "served.json"


@dataclass(frozen=True)
class Manifest:
    """Paths are relative to the folder of the file."""

    flow: str
    flow_file: str
    dag: str = ""
    """The flow's DAG with variants and parameters applied, in its folder; empty for a flow of another kind."""
    package: str = ""
    root: str = ""
    """The use case's folder, importable as `package`; empty: it is not in the image."""
    variants: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    connections: tuple[ConnectionSpec, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables of the flow as they are written: a text or `${NAME}`; a variable of the container goes before it."""

    def to_json(self) -> str:
        """The same manifest gives the same text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def read(folder: Path) -> Manifest:
    """The manifest in a folder."""
    content = json.loads((folder / FILE).read_text(encoding="utf-8"))
    specs = tuple(ConnectionSpec(**spec) for spec in content.pop("connections"))
    return Manifest(**content, connections=specs)

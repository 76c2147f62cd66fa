"""The engines' own code for the snapshot of a flow without nodes: what runs it on a laptop runs it on Azure ML, too.

The files are those that `engines/load.py` imports, directly or through others, found by reading and never by running.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[5]
_FIRST: Final = ("shared.adapters.local.engines.load", "shared.adapters.local.engines.reasons")


def copy_engines(target: Path) -> None:
    """Write the engines and what they import below `target`, as the package `shared`."""
    for path in engine_files():
        place = target / path.relative_to(_ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(path.read_bytes())


@lru_cache(maxsize=1)
def engine_files() -> tuple[Path, ...]:
    """The files, with the `__init__.py` of every package on the way."""
    found: dict[Path, None] = {}
    left = list(_FIRST)
    while left:
        for path in _files(left.pop()):
            if path not in found:
                found[path] = None
                left.extend(_imported(path))
    return tuple(sorted(found))


def _files(module: str) -> Iterator[Path]:
    place = _ROOT
    for part in module.split("."):
        place /= part
        if (place / "__init__.py").is_file():
            yield place / "__init__.py"
        elif place.with_suffix(".py").is_file():
            yield place.with_suffix(".py")


def _imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("shared."))
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "shared":
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)

"""The engines' own code for the snapshot of a flow without nodes: what runs it on a laptop runs it on Azure ML, too.

The files are those that `engines/load.py` imports, directly or through others, found by reading and never by running.
They go as one archive, which Python imports from: a snapshot is uploaded file by file.
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[5]
_ALWAYS: Final = (1980, 1, 1, 0, 0, 0)
_FIRST: Final = ("shared.adapters.local.engines.load", "shared.adapters.local.engines.reasons")


def pack_engines(target: Path) -> None:
    """Write the engines and what they import into the archive `target`; the same code is the same archive."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in engine_files():
            entry = zipfile.ZipInfo(path.relative_to(_ROOT).as_posix(), _ALWAYS)
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)


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

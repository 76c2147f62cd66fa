"""The Python modules of a flow's folder, which its code may import, and the prompties that they load by name.

A module that cannot be compiled fails the first run that imports it, however far it is from the flow's entry.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from shared.use_case.code import parsed
from shared.use_case.flow_files import PROMPTY
from shared.use_case.problems import Problems
from shared.use_case.prompty import read_prompty

_NO_CODE: Final = frozenset({"tests", "node_modules", "venv", "env", "__pycache__"})
"""Folders whose files no flow imports."""


def check_modules(flow: Path, root: Path, problems: Problems) -> None:
    """Note every module in a flow's folder that is not valid Python, and every prompty of its code that is broken.

    Args:
        flow: the flow's folder.
        root: the use case folder, in which problems name files.
        problems: takes what is wrong.
    """
    for file in _modules(flow):
        tree = parsed(file, file.relative_to(root).as_posix(), problems)
        for prompty in _prompties(tree, file, flow) if tree is not None else ():
            read_prompty(prompty, prompty.relative_to(root).as_posix(), problems)


def _modules(flow: Path) -> Iterator[Path]:
    for folder, inner, names in os.walk(flow):
        inner[:] = sorted(name for name in inner if name.isidentifier() and name not in _NO_CODE)
        yield from (Path(folder, name) for name in sorted(names) if name.endswith(".py") and not name.startswith("."))


def _prompties(tree: ast.Module, file: Path, flow: Path) -> Iterator[Path]:
    """The prompties that a module names, beside it or in the flow's folder; one that is not there is none."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.endswith(PROMPTY):
            for base in (file.parent, flow):
                found = _file_in(base, node.value, flow)
                if found is not None:
                    yield found
                    break


def _file_in(base: Path, name: str, flow: Path) -> Path | None:
    try:
        path = (base / name).resolve()
        return path if path.is_relative_to(flow.resolve()) and path.is_file() else None
    except (OSError, ValueError, RuntimeError):  # no name of a file, or links in a circle
        return None

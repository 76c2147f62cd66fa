"""The modules of this program that a program of it needs, found by reading their imports: an image holds no others."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import shared

_PACKAGE = "shared"
_ROOT = Path(shared.__file__).parent.parent


@cache
def sources(module: str) -> Mapping[str, Path]:
    """Path in this program's folder → file, of a module and of all that it imports, directly or not, anywhere in them.

    Imports for the type checker alone do not count.
    """
    found: dict[str, Path] = {}
    todo = [module]
    while todo:
        name = todo.pop()
        path = _file(name)
        if path is None or name in found:
            continue
        found[name] = path
        parts = name.split(".")
        todo += [".".join(parts[:end]) for end in range(1, len(parts))]
        todo += [name for name in _imports(path) if name.split(".")[0] == _PACKAGE]
    return {path.relative_to(_ROOT).as_posix(): path for path in sorted(found.values())}


def _file(name: str) -> Path | None:
    """The file of a module or a package; None: it is a name in one."""
    path = _ROOT.joinpath(*name.split("."))
    candidates = (path / "__init__.py", path.with_suffix(".py"))
    return next((candidate for candidate in candidates if candidate.is_file()), None)


def _imports(path: Path) -> Iterator[str]:
    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.If) and ast.unparse(child.test).endswith("TYPE_CHECKING"):
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom) and child.module is not None:
                yield child.module
                yield from (f"{child.module}.{alias.name}" for alias in child.names)
            else:
                yield from walk(child)

    yield from walk(ast.parse(path.read_text(encoding="utf-8")))

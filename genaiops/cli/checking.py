"""What is wrong with a use case folder, as `validate` and `submit` tell it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from genaiops.cli.output import plural

if TYPE_CHECKING:
    from shared.use_case.model import Problem


def environments_of(folder: Path) -> list[str]:
    """The default environment and every one that has an overlay."""
    from shared.use_case.load import DEFAULT_ENVIRONMENT
    from shared.use_case.sources import overlays

    return sorted({DEFAULT_ENVIRONMENT, *overlays(folder)})


def problems_of(folder: Path, environments: Sequence[str], data: Path) -> tuple[list[Problem], int]:
    """Every problem in any of the environments, each once, by file and line; and how many more there are."""
    from shared.use_case.load import load
    from shared.use_case.problems import InvalidUseCase

    found: dict[Problem, None] = {}
    more = 0
    for environment in environments:
        try:
            load(folder, environment, data=data)
        except InvalidUseCase as error:
            found.update(dict.fromkeys(error.problems))
            more = max(more, error.more)
    return sorted(found, key=lambda problem: (problem.file, problem.line)), more


def told(folder: Path, problems: Sequence[Problem], more: int) -> list[str]:
    """The problems for people, a line each, and their number."""
    lines = [f"{shown(folder, problem.file)}:{problem.line}: {problem.key}: {problem.message}" for problem in problems]
    if more:
        lines.append(f"and {more} more")
    return [*lines, f"{plural(len(problems) + more, 'problem')} in {folder}"]


def shown(folder: Path, file: str) -> str:
    """The file's path as an editor can open it from here."""
    path = folder / file
    return os.path.relpath(path) if path.exists() else file

"""What is wrong with a use case folder, as `validate` and `submit` tell it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from genaiops.cli.outcome import Refused
from genaiops.cli.output import plural
from genaiops.cli.targets import warnings_of as target_warnings

if TYPE_CHECKING:
    from shared.ports import Ports
    from shared.settings import Settings
    from shared.use_case.dataset_files import Assets
    from shared.use_case.model import Problem, UseCase


def environments_of(folder: Path) -> list[str]:
    """The default environment and every one that has an overlay."""
    from shared.use_case.load import DEFAULT_ENVIRONMENT
    from shared.use_case.sources import overlays

    return sorted({DEFAULT_ENVIRONMENT, *overlays(folder)})


@dataclass(frozen=True)
class Findings:
    """What is said of a use case folder, each thing once, by file and line."""

    problems: list[Problem]
    more: int
    """Problems that are not listed."""
    warnings: list[Problem]
    """What is odd but harmless."""


def findings_of(
    folder: Path,
    environments: Sequence[str],
    data: Path,
    env_file: Path | None = None,
    ports: Ports | None = None,
) -> Findings:
    """What is wrong, or odd, in any of the environments.

    With `env_file`, a variable that is set neither in this process nor in that file is a problem too. With `ports`, a
    data asset that is not registered there is one, and so is a column that it lacks.
    """
    from shared import environment_check
    from shared.use_case.load import load
    from shared.use_case.problems import InvalidUseCase

    problems: dict[Problem, None] = {}
    warnings: dict[Problem, None] = {}
    more = 0
    with registered_assets(ports) as assets:
        for environment in environments:
            try:
                use_case = load(folder, environment, data=data, assets=assets)
                warnings.update(dict.fromkeys((*use_case.warnings, *target_warnings(use_case))))
                if env_file is not None:
                    problems.update(dict.fromkeys(environment_check.problems(use_case, os.environ, env_file)))
            except InvalidUseCase as error:
                problems.update(dict.fromkeys(error.problems))
                warnings.update(dict.fromkeys(error.warnings))
                more = max(more, error.more)
    return Findings(_in_order(problems), more, _in_order(warnings))


def problems_of(
    folder: Path,
    environments: Sequence[str],
    data: Path,
    env_file: Path | None = None,
    ports: Ports | None = None,
) -> tuple[list[Problem], int]:
    """The problems of `findings_of`, and how many more there are."""
    found = findings_of(folder, environments, data, env_file, ports)
    return found.problems, found.more


@contextmanager
def registered_assets(ports: Ports | None) -> Iterator[Assets | None]:
    """How `load` finds the data assets of an installation, as long as the block runs; None where there is none."""
    if ports is None:
        yield None
        return
    from shared.experimentation.data_assets import asset_files

    with tempfile.TemporaryDirectory(prefix="genaiops-") as scratch:
        yield asset_files(ports, Path(scratch))


def env_file_of(settings: Settings) -> Path | None:
    """Where variables may be set beside this process, if chains of this installation run on this machine."""
    return settings.env_file if settings.profile == "local" else None


def refuse_what_is_unset(use_case: UseCase, settings: Settings) -> None:
    """Raises Refused, with every variable that this environment lacks for the use case."""
    from shared import environment_check

    env_file = env_file_of(settings)
    unset = environment_check.problems(use_case, os.environ, env_file) if env_file is not None else []
    if unset:
        raise Refused("\n".join(told(use_case.folder, unset, 0)))


def _in_order(found: Iterable[Problem]) -> list[Problem]:
    return sorted(found, key=lambda problem: (problem.file, problem.line))


def told(folder: Path, problems: Sequence[Problem], more: int) -> list[str]:
    """The problems for people, a line each, and their number."""
    lines = [line_of(folder, problem) for problem in problems]
    if more:
        lines.append(f"and {more} more")
    return [*lines, f"{plural(len(problems) + more, 'problem')} in {folder}"]


def line_of(folder: Path, problem: Problem) -> str:
    """A problem or a warning in one line, as editors understand it."""
    return f"{shown(folder, problem.file)}:{problem.line}: {problem.key}: {problem.message}"


def listed(folder: Path, problems: Iterable[Problem]) -> list[dict[str, str | int]]:
    """Problems or warnings as JSON values."""
    return [{"file": shown(folder, p.file), "line": p.line, "key": p.key, "message": p.message} for p in problems]


def shown(folder: Path, file: str) -> str:
    """The file's path as an editor can open it from here."""
    path = folder / file
    return os.path.relpath(path) if path.exists() else file

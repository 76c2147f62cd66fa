"""Tells the steps of a chain pipeline which use cases a run is for, and in which environment each is looked at.

`python -m pipelines.affected` is called by `templates/chain.yml` in the agent job. It prints Azure Pipelines' logging
commands (https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands): for every use case that is meant
the variables `affected_<key>` and `environment_<key>`, whose key is its name with `_` for `-`.
"""

from __future__ import annotations

import argparse
import fnmatch
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
DEFAULT_ENVIRONMENT: Final = "dev"
"""The environment that needs no overlay."""
_ENVIRONMENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


class Refusal(Exception):
    """The run is for nothing that exists, or comes from where it may not."""


def main(arguments: Sequence[str]) -> int:
    """Print what is meant; returns the exit code."""
    options = _options(arguments)
    try:
        meant = _meant(options, _git)
    except Refusal as refusal:
        # It repeats what a person typed: a second line of that could be a command of its own.
        print(f"##vso[task.logissue type=error]{' '.join(str(refusal).split())}")  # noqa: T201
        return 1
    for use_case, environment in meant.items():
        key = use_case.replace("-", "_")
        print(f"##vso[task.setvariable variable=environment_{key};isReadOnly=true]{environment}")  # noqa: T201
        print(f"##vso[task.setvariable variable=affected_{key};isReadOnly=true]true")  # noqa: T201
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipelines.affected", description=__doc__)
    parser.add_argument("--kind", required=True, choices=["pr", "ci", "cd"])
    parser.add_argument("--environment", required=True)
    parser.add_argument("--selected", default="changed", help="changed, all, or a use case's name")
    parser.add_argument("--branch", default="*", help="pattern that the run's branch must match")
    parser.add_argument("--looked-at", type=Path, help="file that keeps the last commit looked at")
    parser.add_argument("use_cases", nargs="+")
    return parser.parse_args(arguments)


def _meant(options: argparse.Namespace, git: Git) -> dict[str, str]:
    """Use case → the environment in which it is looked at."""
    branch = os.environ.get("BUILD_SOURCEBRANCH", "").removeprefix("refs/heads/")
    if not fnmatch.fnmatchcase(branch, options.branch):
        raise Refusal(f"This pipeline is for branches named {options.branch}; this run is for {branch}")
    if not _ENVIRONMENT.fullmatch(options.environment):
        raise Refusal(f"`environment` is {options.environment}; it must be letters, digits, _ and -")
    names = list(options.use_cases)
    for name in names:
        if not (ROOT / "flows" / name / "experiment.yaml").is_file():
            raise Refusal(f"There is no flows/{name}/experiment.yaml; `useCases` names {name}")
    if len({name.replace("-", "_") for name in names}) < len(names):
        raise Refusal(f"Names of use cases must differ by more than - and _: {', '.join(names)}")
    if options.selected in names:
        named = {options.selected: _environment(options.selected, options) or options.environment}
        _say(named, "was chosen")
        return named
    if options.selected not in ("changed", "all"):
        raise Refusal(f"`selected` is {options.selected}; it must be changed, all or one of {', '.join(names)}")
    if options.selected == "changed":
        names = _changed(names, options, git)
    meant = {}
    for name in names:
        environment = _environment(name, options)
        if environment is None:
            print(f"{name}: left out, for it has no experiment.{options.environment}.yaml")  # noqa: T201
        elif options.kind == "cd" and _deploys_itself(name, environment):
            print(f"{name}: left out, for its chain of kind ci deploys it (deployment.after_ci)")  # noqa: T201
        else:
            meant[name] = environment
    _say(meant, "has changed" if options.selected == "changed" else "was chosen")
    return meant


def _changed(names: Sequence[str], options: argparse.Namespace, git: Git) -> list[str]:
    """Those whose folder or data differs from what the last run looked at; for a pull request, from its target."""
    base = _base(options, git)
    if options.looked_at is not None:
        options.looked_at.parent.mkdir(parents=True, exist_ok=True)
        options.looked_at.write_text(git("rev-parse", "HEAD"))
    if base is None:
        print("This is the first commit: all use cases are new")  # noqa: T201
        return list(names)
    print(f"Compared with {base}")  # noqa: T201
    # -z: a path with other than ASCII characters would be quoted; no renames: a moved file has changed both folders.
    paths = git("diff", "-z", "--name-only", "--no-renames", base, "HEAD", "--", "flows", "data").split("\0")
    changed = {tuple(path.split("/")[:2]) for path in paths}
    return [name for name in names if {("flows", name), ("data", name)} & changed]


def _base(options: argparse.Namespace, git: Git) -> str | None:
    """The commit to compare with; None: there is none before this one.

    A pull request is built as its merge into the target branch, whose first parent is the target. A push may hold many
    commits: what the last successful run on the branch has looked at is the base, if it is still in the history.
    """
    if options.kind != "pr" and options.looked_at is not None and options.looked_at.is_file():
        last: str = options.looked_at.read_text().strip()
        known = re.fullmatch(r"[0-9a-f]{40,64}", last) is not None  # and so no option of git
        if known and last != git("rev-parse", "HEAD") and git.succeeds("merge-base", "--is-ancestor", last, "HEAD"):
            return last
    has_parent = git.succeeds("rev-parse", "--verify", "--quiet", "HEAD^1")
    return git("rev-parse", "HEAD^1") if has_parent else None


def _environment(use_case: str, options: argparse.Namespace) -> str | None:
    """The environment of the run, where the use case knows it; a pull request makes do with the default one."""
    wanted: str = options.environment
    if wanted == DEFAULT_ENVIRONMENT or (ROOT / "flows" / use_case / f"experiment.{wanted}.yaml").is_file():
        return wanted
    return DEFAULT_ENVIRONMENT if options.kind == "pr" else None


def _deploys_itself(use_case: str, environment: str) -> bool:
    """Whether a pipeline that runs after ci has nothing to do; one that a person starts always has."""
    if os.environ.get("BUILD_REASON") != "ResourceTrigger":
        return False
    from shared.use_case.load import InvalidUseCase, load

    try:
        deployment = load(ROOT / "flows" / use_case, environment, data=ROOT / "data").deployment
    except InvalidUseCase:
        return False  # the next step tells what is wrong
    return deployment is not None and deployment.after_ci


def _say(meant: dict[str, str], why: str) -> None:
    for name, environment in meant.items():
        print(f"{name}: {why}; looked at in {environment}")  # noqa: T201
    if not meant:
        print("No use case is meant: nothing is asked for")  # noqa: T201


class Git:
    """Questions to the checkout that this file is in."""

    def __call__(self, *arguments: str) -> str:
        """What git answers, without the last line's end."""
        done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)  # noqa: S603, S607
        return done.stdout.strip()

    def succeeds(self, *arguments: str) -> bool:
        """Whether git says yes."""
        return subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True).returncode == 0  # noqa: S603, S607


_git: Final = Git()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

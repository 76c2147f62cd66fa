"""Names beside `experiment.yaml` that look like a use case's files and are never read: each would be passed over."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from shared.names import NAME_RULE
from shared.use_case import deployment_config, sample_request, variables
from shared.use_case.problems import Problems
from shared.use_case.sources import EXPERIMENT, no_overlays

_NAMED: Final = f"the environment has {NAME_RULE}"


def check_strays(folder: Path, problems: Problems) -> None:
    """Warn of overlays that no environment reads; a folder in the place of a file is a problem."""
    for file in no_overlays(folder):
        said = f"is the overlay of no environment, and is never read: in experiment.<environment>.yaml, {_NAMED}"
        problems.warn(file, 1, "file", said)
    for path in sorted((*folder.glob("experiment.yml"), *folder.glob("experiment.*.yml"))):
        right = f"{path.name.removesuffix('.yml')}.yaml"
        said = f"{right} is beside it; remove one" if (folder / right).exists() else f"rename it to {right}"
        problems.warn(path.name, 1, "file", f"is never read, for its name ends in .yml: {said}")
    overlays = sorted(path.name for path in folder.glob("experiment.*.yaml"))
    for name in (variables.FILE, deployment_config.FILE, sample_request.DEFAULT, *overlays):
        if (folder / name).is_dir():
            problems.add(name, 0, "file", f"is a folder; expected a file at this path, beside {EXPERIMENT}, or nothing")

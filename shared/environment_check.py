"""Whether this environment has every variable that a use case asks for: its connections, its flows, its deployment.

Nothing is run and no key is shown; each problem stands at the line of the file that asks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from shared.connections import Lacking, MissingVariables, resolve
from shared.env_file import Variables
from shared.errors import BusinessFailure
from shared.use_case import init_variables, variables
from shared.use_case.connection_types import names_of
from shared.use_case.deployment_config import FILE as DEPLOYMENT_CONFIG
from shared.use_case.json_file import read_json
from shared.use_case.model import Problem, UseCase
from shared.use_case.problems import Problems
from shared.use_case.sources import EXPERIMENT, overlays
from shared.use_case.yaml_file import Document, read_yaml

_NOWHERE: Final = "http://127.0.0.1"
"""In place of the stand-in model: whether it answers is not asked here."""


def problems(use_case: UseCase, environment: Mapping[str, str], env_file: Path | None) -> list[Problem]:
    """Every variable that is not set or not valid, whoever asks for it."""
    try:
        where_to_set = Variables(environment, env_file).where_to_set
    except BusinessFailure as error:
        return [Problem(str(env_file), 0, "file", str(error))]
    return [
        *_of_connections(use_case, environment, env_file, where_to_set),
        *variables.missing(use_case, environment, env_file),
        *init_variables.missing(use_case, environment),
        *_of_deployment(use_case, environment, env_file),
    ]


def _of_connections(
    use_case: UseCase, environment: Mapping[str, str], env_file: Path | None, where_to_set: str
) -> list[Problem]:
    found = []
    document: Document | None = None
    for spec in use_case.connections:
        try:
            resolve([spec], environment=environment, env_file=env_file, stand_in_url=_NOWHERE)
        except MissingVariables as error:
            if environment.get("GENAIOPS_PROFILE") == "azure":
                continue  # the workspace's, or the endpoint's own
            document = document or _holding(use_case, "connections")
            found += [
                _problem(document, spec.name, one, f"{one.variable} is not set; set it {where_to_set}")
                for one in error.lacking
            ]
        except BusinessFailure as error:
            document = document or _holding(use_case, "connections")
            found.append(_problem(document, spec.name, None, str(error)))
    return found


def _problem(document: Document, connection: str, lacking: Lacking | None, message: str) -> Problem:
    listed = document.value.get("connections") if isinstance(document.value, dict) else None
    for index, item in enumerate(listed if isinstance(listed, list) else []):
        if item == connection or (isinstance(item, dict) and item.get("name") == connection):
            keys = lacking.key.split(".", 1) if lacking is not None else []
            if len(keys) == 1 and isinstance(item, dict):
                keys = [next((name for name in names_of(keys[0]) if name in item), keys[0])]
            shown = "".join(f".{key}" for key in keys)
            line = document.line("connections", index, *keys)
            return Problem(document.file, line, f"connections[{index}]{shown}", message)
    return Problem(document.file, document.line("connections"), f"connections.{connection}", message)


def _of_deployment(use_case: UseCase, environment: Mapping[str, str], env_file: Path | None) -> list[Problem]:
    written = use_case.deployment.environment_variables if use_case.deployment is not None else {}
    wrong = variables.unset(variables.given(written, use_case.connections), environment, env_file)
    if not wrong:
        return []
    document = _holding(use_case, "deployment")
    if not (isinstance(document.value, dict) and "deployment" in document.value):
        config = read_json(use_case.folder / DEPLOYMENT_CONFIG, DEPLOYMENT_CONFIG, Problems())
        return [
            Problem(DEPLOYMENT_CONFIG, _line_in(config, name), f"ENVIRONMENT_VARIABLES.{name}", message)
            for name, message in wrong.items()
        ]
    path = ("deployment", "environment_variables")
    return [
        Problem(document.file, document.line(*path, name), ".".join((*path, name)), message)
        for name, message in wrong.items()
    ]


def _line_in(config: Document | None, variable: str) -> int:
    """The first line of `configs/deployment_config.json` that sets the variable."""
    lines = config.lines if config is not None else {}
    return min((line for path, line in lines.items() if path[-2:] == ("ENVIRONMENT_VARIABLES", variable)), default=0)


def _holding(use_case: UseCase, key: str) -> Document:
    """The file whose block counts in this environment: the overlay where it has the block, else `experiment.yaml`."""
    overlay = overlays(use_case.folder).get(use_case.environment)
    for file in (overlay, EXPERIMENT):
        document = read_yaml(use_case.folder / file, file, Problems(), may_be_empty=True) if file else None
        if document is not None and (
            file == EXPERIMENT or (isinstance(document.value, dict) and key in document.value)
        ):
            return document
    return Document(EXPERIMENT, None)

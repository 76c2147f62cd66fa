"""The variables of `environment/env.yaml`: read as written, and filled in from the environment when a flow is run.

A variable that is set in the process environment or in `.env` goes before the file's literal, so that an installation
can differ without another file. What belongs to a connection, to this product or to its host is never given to a flow.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final

from shared.env_file import Variables
from shared.errors import BusinessFailure
from shared.use_case.block import Block
from shared.use_case.host_variables import is_of_the_host, is_ours
from shared.use_case.model import ConnectionSpec, Problem, UseCase
from shared.use_case.problems import Problems
from shared.use_case.references import are_connections, is_placeholder, is_secret, is_secret_name, reference
from shared.use_case.sources import file_in
from shared.use_case.yaml_file import read_yaml

FILE: Final = "environment/env.yaml"
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,127}")
_KEY_OF_A_CONNECTION: Final = '"api_key"'
_FILLED_IN_THERE: Final = "@microsoft."
"""How App Service is told to fill in a setting, from Key Vault or App Configuration, with the web app's identity:
https://learn.microsoft.com/azure/app-service/app-service-key-vault-references."""
_OF_THE_HOST: Final = "is the host's own (its identity, its storage, its keys), which flows are never given"


def read_variables(folder: Path, problems: Problems) -> dict[str, str]:
    """What `environment/env.yaml` says: name → a text or `${NAME}`; nothing where there is no such file."""
    path = file_in(folder, FILE)
    if path is None:
        return {}
    document = read_yaml(path, FILE, problems, may_be_empty=True)
    if document is None or document.value is None:
        return {}
    return variables_block(Block(document, (), document.value, problems, folder))


def variables_block(block: Block) -> dict[str, str]:
    """The variables in a mapping of names to values; numbers and booleans become text."""
    found = {}
    for entry in block.entries():
        name = str(entry.path[-1])
        value = _text(entry, name)
        if value is not None and _may_be_given(entry, name, value):
            found[name] = value
    return found


def _text(entry: Block, name: str) -> str | None:
    value = entry.value
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if not isinstance(value, str):
        found = "is empty" if value is None else f"is a {'list' if isinstance(value, list) else 'mapping'}"
        entry.problem(f"{found}; expected a text, a number, true or false, or ${{{name}}}")
        return None
    if "\0" in value or len(value) > 32_000:
        entry.problem("has more than 32,000 characters or holds a NUL; no process takes such a variable")
        return None
    return value


def _may_be_given(entry: Block, name: str, value: str) -> bool:
    named = reference(value)
    if not _NAME.fullmatch(name):
        entry.problem(
            f"{name[:80]!r} is no name of a variable: it has letters, digits and `_`, and begins with no digit"
        )
        return False
    if any(is_ours(part) for part in (name, named or "")):
        entry.problem("GENAIOPS_… are settings of this product, which flows are never given; choose another name")
        return False
    if named is not None and is_of_the_host(named):
        entry.problem(f"{named} {_OF_THE_HOST}; choose another name")
        return False
    if value.strip().casefold().startswith(_FILLED_IN_THERE):
        entry.problem(f"is a reference that App Service would fill in, from anywhere; write ${{{name}}} here")
        return False
    if named is None and value.strip().startswith("${"):
        entry.problem(f"is {value[:80]!r}; a reference stands alone and has the form ${{NAME}}")
        return False
    if named is None and (is_secret(name, value) or _KEY_OF_A_CONNECTION in value):
        entry.problem(f"holds a secret in clear; write ${{{name}}} here and put the value into `.env`")
        return False
    return True


def given(written: Mapping[str, str], connections: Collection[ConnectionSpec]) -> dict[str, str]:
    """The variables that flows get, as written: without those that are a connection."""
    held = are_connections(connections)
    return {name: value for name, value in written.items() if name not in held and reference(value) not in held}


def resolved(use_case: UseCase, environment: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The variables of a use case's flows, with values from `environment`, then from `env_file`.

    Raises:
        BusinessFailure: listing every variable that is not set, and where to set it.
    """
    return filled_in(given(use_case.variables, use_case.connections), environment, env_file)


def filled_in(written: Mapping[str, str], environment: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """The same for variables as they are written: what a served flow was given at its deployment."""
    values, wrong = _looked_up(written, Variables(environment, env_file))
    if wrong:
        listed = "\n  ".join(f"{name}: {message}" for name, message in wrong.items())
        raise BusinessFailure(f"Variables cannot be given to the flow:\n  {listed}")
    return values


def unset(written: Mapping[str, str], environment: Mapping[str, str], env_file: Path | None) -> dict[str, str]:
    """What is wrong with variables as they are written, by name; empty where all of them have a value."""
    return _looked_up(written, Variables(environment, env_file))[1]


def missing(use_case: UseCase, environment: Mapping[str, str], env_file: Path | None) -> list[Problem]:
    """The variables of `environment/env.yaml` that `resolved` would refuse, each with its line."""
    wrong = unset(given(use_case.variables, use_case.connections), environment, env_file)
    if not wrong:
        return []
    document = read_yaml(use_case.folder / FILE, FILE, Problems(), may_be_empty=True)
    return [
        Problem(FILE, document.line(name) if document is not None else 0, name, message)
        for name, message in wrong.items()
    ]


def _looked_up(written: Mapping[str, str], variables: Variables) -> tuple[dict[str, str], dict[str, str]]:
    """Values by name, and what is wrong with the others."""
    values: dict[str, str] = {}
    wrong: dict[str, str] = {}
    for name, value in written.items():
        named = reference(value)
        if named is None and is_placeholder(value):
            named = name
        if named is not None and is_of_the_host(named):
            wrong[name] = f"{named} {_OF_THE_HOST}; choose another name"
            continue
        names = dict.fromkeys((name, *([named] if named else [])))
        found = variables.find(each for each in names if not is_of_the_host(each))
        if found is not None and _KEY_OF_A_CONNECTION in found.value:
            wrong[name] = (
                f"{found.variable} in {found.where} is a connection with its key, which flows are never given; "
                f"list it under `connections`, or remove this variable"
            )
        elif found is not None:
            values[name] = found.value
        elif named is None:
            values[name] = value
        else:
            or_here = "" if is_secret_name(name) else ", or write a value here"
            wrong[name] = f"{named} is not set; set it {variables.where_to_set}{or_here}"
    return values, wrong

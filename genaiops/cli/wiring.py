"""What the commands share: the wired ports, and finding a chain or a use case by what a person types."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shared.errors import NotFound

if TYPE_CHECKING:
    from shared.chain.state import Chain
    from shared.ports import Ports
    from shared.settings import Settings


Kind = Literal["pr", "ci", "cd", "dataset", "post_production"]
"""`ChainKind`, spelled out: importing the messages would double the time that `--help` takes."""


def ports() -> Ports:
    """The ports of the profile that the environment names."""
    from shared import bootstrap

    return bootstrap.ports()


def publishing_ports(*, sends: bool) -> Ports:
    """Clock, blobs and bus of an installation in Azure, by no other setting than theirs: for a pipeline's step."""
    from shared import bootstrap

    return bootstrap.publishing_ports(sends=sends)


def ports_of_installation() -> Ports | None:
    """The ports where there is an installation: a command that only looks must not make one."""
    configured = settings()
    if configured.profile == "local" and not configured.home.is_dir():
        return None
    return ports()


def settings() -> Settings:
    """The settings alone, for commands that need nothing wired."""
    from shared.settings import read

    return read()


def user() -> str:
    """The name of who is logged in."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user id may have no name
        return "unknown"


def chain_named(wired: Ports, identifier: str) -> Chain:
    """The chain of that id, or the only one whose id begins or ends so.

    Raises:
        NotFound: none, or more than one.
    """
    from shared import chain_store
    from shared.errors import InvalidName

    try:
        return chain_store.load(wired.blobs, identifier)[0]
    except (NotFound, InvalidName):
        alike = chain_store.named_like(wired.blobs, identifier)
        if len(alike) == 1:
            return chain_store.load(wired.blobs, alike[0])[0]
    if alike:
        names = ", ".join(alike[:5])
        raise NotFound(f"{len(alike)} chains are named like {identifier!r}: {names}. Type more of the id.")
    raise NotFound(f"There is no chain {identifier!r}; `python -m genaiops status` lists those there are.")


def use_case_folder(text: str, configured: Settings) -> Path:
    """The folder that `text` names: a path, or a use case under `flows/`.

    Raises:
        NotFound: there is none.
    """
    from shared.names import checked

    path = Path(text)
    if (path / "experiment.yaml").is_file() or (path.is_dir() and len(path.parts) > 1):
        return path.resolve()
    if len(path.parts) == 1:
        named = configured.flows / checked(text, "The use case")
        if named.is_dir():
            return named
    known = ", ".join(sorted(file.parent.name for file in configured.flows.glob("*/experiment.yaml")))
    raise NotFound(
        f"There is no use case {text!r}: give a folder with an experiment.yaml, or one of {known or 'none'}."
    )

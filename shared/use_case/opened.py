"""A use case as a chain sees it: unpacked from its bundle, loaded and validated, once per process.

The bundle is named by its digest, so the folder never changes and everything about it may be remembered.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

from shared.errors import BusinessFailure, NotFound
from shared.ports import Ports
from shared.use_case.bundle import unpack
from shared.use_case.flow_facts import flow_facts
from shared.use_case.load import load
from shared.use_case.model import UseCase

CONTAINER: Final = "bundles"


def bundle_blob(digest: str) -> str:
    """The bundle's name in the container `bundles`."""
    return f"{digest}.zip"


def open_use_case(ports: Ports, digest: str, name: str, environment: str) -> UseCase:
    """The use case in that bundle.

    Raises:
        BusinessFailure: there is no such bundle, it is unsafe, or the use case in it is not valid.
    """
    return _loaded(bundle_folder(ports, digest), name, environment)


def bundle_folder(ports: Ports, digest: str) -> Path:
    """The unpacked bundle."""
    cache = ports.settings.home / "cache" / "bundles"
    folder = cache / digest
    if folder.is_dir():
        return folder
    try:
        content = ports.blobs.read(CONTAINER, bundle_blob(digest))
    except NotFound:
        raise BusinessFailure(
            f"There is no bundle {digest} in the container `bundles`: publish it before the message that names it."
        ) from None
    return unpack(content, digest, cache)


@lru_cache(maxsize=64)
def outputs_of(flow: Path, flow_file: str) -> tuple[str, ...]:
    """Names of a flow's outputs, as far as its files tell; it lies in an unpacked bundle, which never changes."""
    return tuple(flow_facts(flow, flow_file).outputs)


@lru_cache(maxsize=64)
def _loaded(folder: Path, name: str, environment: str) -> UseCase:
    return load(folder, environment, data=None, name=name)

"""Datasets that are data assets: `azureml:<name>:<version>`, or `azureml:<name>` for the latest version.

A chain fetches them once, when it is prepared, and from then on reads the blob that the version names: an asset that is
registered meanwhile changes nothing. A name is looked for as it is written, then among the use case's own assets.
"""

from __future__ import annotations

import shutil
from pathlib import Path, PurePosixPath

from shared.datasets.read import JSON_LINES, SEPARATED
from shared.errors import BusinessFailure, InvalidName, NotFound
from shared.experimentation.frozen import Upload
from shared.ports import Asset, AssetKind, Ports
from shared.registration.register import data_asset_name
from shared.use_case.dataset_files import ASSET, Assets
from shared.use_case.model import Dataset
from shared.use_case.problems import one_of


def fetch_asset(ports: Ports, use_case: str, dataset: Dataset, scratch: Path) -> Upload:
    """Copy the asset that a dataset's source names into `scratch`.

    Raises:
        BusinessFailure: there is no such asset or version.
    """
    asset = find_asset(ports, use_case, dataset.source)
    container, _, blob = asset.blob.partition("/")
    return Upload(name=dataset.name, path=_copied(ports, asset, scratch), container=container, blob=blob)


def asset_files(ports: Ports, scratch: Path) -> Assets:
    """Where `load` finds the files of data assets: copies in `scratch`, one of each version however often it is named.

    What it returns raises BusinessFailure where there is no such asset or version.
    """
    copies: dict[str, Path] = {}

    def file_of(use_case: str, source: str) -> Path:
        asset = find_asset(ports, use_case, source)
        if asset.blob not in copies:
            copies[asset.blob] = _copied(ports, asset, scratch)
        return copies[asset.blob]

    return file_of


def _copied(ports: Ports, asset: Asset, scratch: Path) -> Path:
    container, _, blob = asset.blob.partition("/")
    path = scratch / f"{asset.name}-{asset.version}{_ending(asset)}"
    try:
        with ports.blobs.open(container, blob) as source, path.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    except NotFound:
        raise BusinessFailure(
            f"The data asset {asset.name}, version {asset.version}, is registered, but its content {asset.blob!r} is "
            f"gone: register it again."
        ) from None
    return path


def find_asset(ports: Ports, use_case: str, source: str) -> Asset:
    """The registered version that `azureml:<name>[:<version>]` means. Raises BusinessFailure."""
    name, _, version = source.removeprefix(ASSET).partition(":")
    for candidate in (name, _own(use_case, name)):
        try:
            return ports.registry.get(AssetKind.DATA, candidate, version or None)
        except (NotFound, InvalidName):
            continue
    known = sorted({asset.name for asset in ports.registry.list(AssetKind.DATA)})
    if name in known or _own(use_case, name) in known:
        there = [a.version for n in (name, _own(use_case, name)) for a in ports.registry.list(AssetKind.DATA, n)]
        raise BusinessFailure(f"{source}: {one_of(version, there, f'version of the data asset {name!r}')}.")
    register = "`python -m genaiops assets register` registers a file"
    raise BusinessFailure(f"{source}: {one_of(name, known, 'registered data asset')}; {register}.")


def _own(use_case: str, name: str) -> str:
    try:
        return data_asset_name(use_case, name)
    except InvalidName:
        return name


def _ending(asset: Asset) -> str:
    """The ending that tells the content's format: that of the file which it was registered from."""
    ending = PurePosixPath(asset.tags.get("source", "")).suffix.lower()
    return ending if ending in (*JSON_LINES, *SEPARATED) else JSON_LINES[0]

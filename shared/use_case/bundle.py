"""Use cases as bundles: a folder zipped under the digest of its bytes, and unpacked again, trusting nothing in it.

The same content gives the same bytes on every machine: entries are sorted and stored uncompressed (two builds of zlib
compress the same file differently), times and modes are fixed. A bundle is self-contained: the datasets that lie in
`data/<use case>/` travel in its `data/`, where the use case finds them by the same `source`.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.names import checked
from shared.use_case.members import named
from shared.use_case.problems import Problems
from shared.use_case.sources import EXPERIMENT
from shared.use_case.unpack import unpack
from shared.use_case.yaml_file import read_yaml

__all__ = ["Bundle", "make", "unpack"]

EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold."""


@dataclass(frozen=True)
class Bundle:
    """A zipped use case folder."""

    use_case: str
    digest: str
    """SHA-256 of `content`: its name in the container `bundles` is `<digest>.zip`."""
    content: bytes


def make(folder: Path, data: Path | None = None) -> Bundle:
    """Zip a use case folder.

    Args:
        folder: the use case folder.
        data: the folder that holds a folder of datasets per use case (`settings.data`).

    Raises:
        InvalidUseCase: `experiment.yaml` cannot be read; that the use case is valid is for `load` to say.
        Malformed: the folder holds links, devices or names that cannot be unpacked everywhere, or the use case's name
            is not allowed.
        BusinessFailure: the bundle would be larger than may be unpacked, or datasets stand in each other's way.
    """
    problems = Problems()
    document = read_yaml(folder / EXPERIMENT, EXPERIMENT, problems)
    problems.raise_if_any()
    top = document.value if document is not None and isinstance(document.value, dict) else {}
    use_case = checked(str(top.get("name", "")), f"the `name` in {folder / EXPERIMENT}")
    content = _zipped(named(folder, data))
    return Bundle(use_case=use_case, digest=hashlib.sha256(content).hexdigest(), content=content)


def _zipped(members: dict[str, Path]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, path in sorted(members.items()):
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system = 3  # Unix, whatever this machine is: the byte is part of the digest
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, path.read_bytes())
    return buffer.getvalue()

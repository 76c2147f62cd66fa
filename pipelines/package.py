"""Packs the function app: the files that git knows of it, in a zip file whose bytes follow from their content alone.

`python -m pipelines.package OUTPUT.zip` is called by `functions.yml`. No package is in it: the Functions platform
installs `requirements.txt` when it takes the zip
(https://learn.microsoft.com/azure/azure-functions/functions-deployment-technologies#remote-build).
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

ROOT: Final = Path(__file__).parents[1]
PARTS: Final = ("function_app.py", "host.json", "requirements.txt", "LICENSE", "functions", "shared", "flows", "data")
EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip file can hold."""


def members(root: Path = ROOT) -> list[str]:
    """Names of the app's files, sorted; tests of use cases stay behind."""
    command = ["git", "ls-files", "-z", "--", *PARTS]
    listed = subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout  # noqa: S603
    names = [name for name in listed.split("\0") if name]
    return sorted(name for name in names if not _is_test(PurePosixPath(name)))


def pack(target: Path, root: Path = ROOT) -> str:
    """Write the zip; returns its SHA-256. Stored, not compressed: two builds of zlib compress the same differently."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name in members(root):
            entry = zipfile.ZipInfo(name, date_time=EPOCH)
            entry.create_system = 3  # Unix, whatever this machine is
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (root / name).read_bytes())
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _is_test(name: PurePosixPath) -> bool:
    return name.parts[0] == "flows" and len(name.parts) > 3 and name.parts[2] == "tests"


if __name__ == "__main__":
    print(f"{pack(Path(sys.argv[1]))}  {sys.argv[1]}")  # noqa: T201

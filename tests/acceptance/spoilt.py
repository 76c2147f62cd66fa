"""Bundles as an enemy or a mistake would make them, and flows that misbehave: small variations of small use cases."""

from __future__ import annotations

import io
import shutil
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

USE_CASES: Final = Path(__file__).parents[1] / "use_cases"

FLOWS: Final = {
    "raises": 'raise ValueError("There is no customer of that number.")',
    "hangs": "import time; time.sleep(600)",
    "prints": 'for _ in range(1000): print("x" * 99_999)',
    "exits": "import os; os._exit(3)",
}
"""What a node does before it returns."""


def use_case(folder: Path, name: str, changes: dict[str, dict[str, str]]) -> Path:
    """A copy of a use case under tests/use_cases in which texts are replaced: file → old → new."""
    copy = folder / name
    shutil.copytree(USE_CASES / name, copy, ignore=shutil.ignore_patterns("__pycache__", ".promptflow"))
    for file, replaced in changes.items():
        path = copy / file
        text = path.read_text("utf-8")
        for old, new in replaced.items():
            assert old in text, f"{path} has no {old!r}"
            text = text.replace(old, new)
        path.write_text(text, "utf-8")
    return copy


def misbehaving(folder: Path, node: str) -> Path:
    """The use case `small`, whose default variant runs these statements first; a line may take two seconds."""
    return use_case(
        folder,
        "small",
        {
            "flows/small/loud.py": {"    return": f"    {node}\n    return"},
            "experiment.yaml": {"\ndatasets:": "\nline_timeout_s: 2\n\ndatasets:"},
        },
    )


def lacking_a_package(folder: Path) -> Path:
    """The use case `small`, whose default variant imports what is not installed."""
    return use_case(folder, "small", {"flows/small/loud.py": {"from promptflow": "import frobnicate\nfrom promptflow"}})


def asking(folder: Path, connection: str) -> Path:
    """The use case `asks_a_model`, asking by another connection."""
    return use_case(
        folder,
        "asks_a_model",
        {
            "experiment.yaml": {"- aoai": f"- {connection}"},
            "flows/answer/flow.dag.yaml": {"connection: aoai": f"connection: {connection}"},
        },
    )


# ------------------------------------------------------------------------------------------------------------- bundles


def _packed(write: Callable[[zipfile.ZipFile], object], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for path in sorted((USE_CASES / "small").rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(USE_CASES / "small"))
        write(archive)
    return buffer.getvalue()


def bomb() -> bytes:
    return _packed(lambda archive: archive.writestr("data/zeros.jsonl", bytes(50 * 1024 * 1024)))


def climbing() -> bytes:
    return _packed(lambda archive: archive.writestr("../outside.py", "print('out')"))


def absolute() -> bytes:
    return _packed(lambda archive: archive.writestr("/etc/cron.d/mine", "* * * * * root true"))


def link() -> bytes:
    entry = zipfile.ZipInfo("data/passwd.jsonl")
    entry.create_system = 3
    entry.external_attr = (stat.S_IFLNK | 0o777) << 16
    return _packed(lambda archive: archive.writestr(entry, "/etc/passwd"))


def crowded() -> bytes:
    """A hundred thousand entries."""

    def write(archive: zipfile.ZipFile) -> None:
        for number in range(100_000):
            archive.writestr(f"data/{number}", b"")

    return _packed(write, zipfile.ZIP_STORED)

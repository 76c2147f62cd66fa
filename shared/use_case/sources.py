"""Where a use case's files are: datasets in its folder, its `data/`, or `data/<use case>/`.

No path may leave those places, however it is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from shared.names import is_name
from shared.use_case.problems import Problems
from shared.use_case.yaml_file import read_yaml

EXPERIMENT = "experiment.yaml"


def overlays(folder: Path) -> Mapping[str, str]:
    """Environment → file name, for every overlay `experiment.<environment>.yaml`."""
    return {environment: name for environment, name in _overlays(folder).items() if is_name(environment)}


def no_overlays(folder: Path) -> list[str]:
    """Files that look like overlays, but whose environment has no valid name: nothing ever reads them."""
    return [name for environment, name in _overlays(folder).items() if not is_name(environment)]


def _overlays(folder: Path) -> dict[str, str]:
    found = sorted(path.name for path in folder.glob("experiment.*.yaml") if path.is_file())
    return {name.removeprefix("experiment.").removesuffix(".yaml"): name for name in found}


def is_inside(written: str) -> bool:
    """Whether a path, as written, is relative and stays below where it starts, on every platform."""
    posix, windows = PurePosixPath(written), PureWindowsPath(written)
    escapes = posix.is_absolute() or windows.is_absolute() or windows.drive or ".." in windows.parts
    return bool(written.strip()) and "\x00" not in written and not escapes


def below(root: Path, written: str) -> Path | None:
    """The file or folder at that path below `root`, or None; a link that leads out of `root` finds nothing."""
    if not is_inside(written):
        return None
    try:
        target = (root / written).resolve()
        return target if target.is_relative_to(root.resolve()) and target.exists() else None
    except (OSError, RuntimeError):  # a name that is too long for a file; links that lead in a circle
        return None


def file_in(root: Path, written: str) -> Path | None:
    """As `below`, but never a folder."""
    target = below(root, written)
    return target if target is not None and target.is_file() else None


def dataset_file(source: str, folder: Path, outside: Path | None) -> Path | None:
    """The file that a dataset's `source` means; `outside` is `data/<use case>`. None: there is none."""
    roots = [folder, folder / "data", *([outside] if outside else [])]
    return next((found for root in roots if (found := file_in(root, source)) is not None), None)


def outside_files(folder: Path, data: Path | None) -> dict[str, Path]:
    """Every dataset file outside the folder that any environment of the use case uses, by its `source`.

    `data` holds a folder per use case. Files that cannot be found are left out: `load` reports them.
    """
    found: dict[str, Path] = {}
    name = ""
    for top in _tops(folder):
        name = name or str(top.get("name", ""))
        for source in _sources(top):
            if data is not None and is_inside(name) and dataset_file(source, folder, None) is None:
                path = file_in(data / name, source)
                if path is not None:
                    found[source] = path
    return found


def dataset_files(folder: Path) -> set[Path]:
    """Every dataset file in the folder that any environment of the use case uses: their rows are inputs of flows."""
    sources = {source for top in _tops(folder) for source in _sources(top)}
    return {path for source in sources if (path := dataset_file(source, folder, None)) is not None}


def _tops(folder: Path) -> Iterator[dict[str, Any]]:
    """What `experiment.yaml` and every overlay say, as far as they can be read: `load` reports the rest."""
    for file in (EXPERIMENT, *overlays(folder).values()):
        document = read_yaml(folder / file, file, Problems())
        yield document.value if document and isinstance(document.value, dict) else {}


def _sources(top: Mapping[str, object]) -> Iterator[str]:
    evaluators = top.get("evaluators")
    blocks = [top.get("datasets")]
    if isinstance(evaluators, list):
        blocks += [evaluator.get("datasets") for evaluator in evaluators if isinstance(evaluator, dict)]
    for block in blocks:
        for dataset in block if isinstance(block, list) else ():
            if isinstance(dataset, dict) and isinstance(dataset.get("source"), str):
                yield dataset["source"]

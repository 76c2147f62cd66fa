"""Which file describes a flow: what `flow` in `experiment.yaml` may name, and what a folder is taken for.

A folder with one of prompt flow's files is that flow; else `eval_*.py` files make it an evaluator without a flow file;
else the one `.prompty` in it is the flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from shared.use_case.problems import one_of
from shared.use_case.sources import below

DAG_FILES: Final = ("flow.dag.yaml", "flow.dag.yml")
FLEX_FILES: Final = ("flow.flex.yaml", "flow.flex.yml")
FLOW_FILES: Final = (*DAG_FILES, *FLEX_FILES)
PROMPTY: Final = ".prompty"
EVALUATOR_FILES: Final = "eval_*.py"


@dataclass(frozen=True)
class FlowPlace:
    """Where a flow is."""

    folder: Path
    file: str
    """In the folder; empty for an evaluator without a flow file."""

    def shown(self, root: Path) -> str:
        """The file's path in the use case folder, for problems."""
        return (self.folder / self.file).relative_to(root).as_posix()


def find_flow(written: str, root: Path, *, evaluator: bool) -> FlowPlace | str:
    """The flow that `flow` means: a path in the use case folder, or in its `flows/`; else what is wrong with it.

    Args:
        written: the value of `flow`: a folder or a flow's file.
        root: the use case folder.
        evaluator: whether it may be an evaluator without a flow file.
    """
    reasons: list[str] = []
    for candidate in (written, f"flows/{written}"):
        path = below(root, candidate)
        if path is None:
            continue
        place = _file(path) if path.is_file() else _folder(path, evaluator=evaluator)
        if isinstance(place, FlowPlace):
            return place
        if place:
            reasons.append(f"{candidate!r} {place}")
    if reasons:
        return reasons[0]
    there = flows_in(root, evaluator=evaluator)
    if "/" not in written:
        there = [path.removeprefix("flows/") for path in there]
    return one_of(written, there, "flow") + " (a path in the use case folder, or a name in its flows/)"


def _file(path: Path) -> FlowPlace | str:
    if path.name in FLOW_FILES or path.suffix == PROMPTY:
        return FlowPlace(path.parent, path.name)
    return f"is no flow: expected a folder, a {PROMPTY} file, or one of {', '.join(FLOW_FILES)}"


def _folder(path: Path, *, evaluator: bool) -> FlowPlace | str:
    """What a folder is taken for; an empty text where it has nothing of a flow."""
    files = [name for name in FLOW_FILES if (path / name).is_file()]
    if len(files) > 1:
        return f"holds more than one flow: {', '.join(files)}; name the file, or remove the others"
    if files:
        return FlowPlace(path, files[0])
    code = evaluator_files(path)
    if code and evaluator:
        return FlowPlace(path, "")
    prompties = sorted(file.name for file in path.glob(f"*{PROMPTY}") if file.is_file())
    if len(prompties) == 1:
        return FlowPlace(path, prompties[0])
    if prompties:
        return (
            f"holds more than one flow: {', '.join(prompties)}; name the file, as in `flow: {path.name}/{prompties[0]}`"
        )
    if code:
        return (
            f"has no flow file; only an evaluator may consist of {EVALUATOR_FILES} files alone: add a {FLEX_FILES[0]}"
        )
    return ""


def evaluator_files(folder: Path) -> list[Path]:
    """The files of an evaluator without a flow file."""
    return sorted(file for file in folder.glob("*.py") if file.name.lower().startswith("eval_") and file.is_file())


def flows_in(root: Path, *, evaluator: bool) -> list[str]:
    """The flows that `flow` may name, for error messages."""
    folders = [path for path in (root / "flows").glob("*") if path.is_dir()]
    found = [path for path in folders if isinstance(_folder(path, evaluator=evaluator), FlowPlace)]
    return sorted(path.relative_to(root).as_posix() for path in found)

"""Writing a new use case folder: all of it or nothing, and never over something that is there.

templates → filled in → a folder beside its place → renamed to it, in one step.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal, get_args

from shared.digests import files_of
from shared.errors import Conflict, NotFound
from shared.names import checked

Kind = Literal["dag", "function", "class", "prompty"]
"""What the flow is made of; an evaluator is a DAG in all of them."""
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_TEMPLATES: Final = Path(__file__).parent / "templates"
_VARIED: Final[Mapping[Kind, str]] = {
    "dag": "  classify.temperature: [0.0, 0.7]  # <node>.<input>; both variants of the node are tried as well",
    "function": "  inputs.prompt: [listed, defined]  # an input of the flow",
    "class": "  init.prompt: [listed, defined]    # an argument of __init__",
    "prompty": "  temperature: [0.0, 0.7]           # a setting of the model",
}
_ABOUT: Final[Mapping[Kind, str]] = {
    "dag": "The flow is a DAG: the node `classify` asks the model, `parse` reads its answer. `classify` has two "
    "variants,\n`listed` (names the categories) and `defined` (says what each one means).",
    "function": "The flow is a Python function that asks the model itself; prompt flow is not imported. Its input "
    "`prompt` names one of\ntwo prompts, `listed` (names the categories) and `defined` (says what each one means).",
    "class": "The flow is a Python class: `__init__` is called once, with the values of `init.json`, and the object "
    "once a line.\n`prompt` names one of two prompts, `listed` (names the categories) and `defined` (says what each "
    "one means).",
    "prompty": "The flow is one prompty: the model's settings, inputs and outputs stand above the prompt, in the same "
    "file.",
}
_FILES: Final[Mapping[Kind, str]] = {
    "dag": "| `flows/standard/` | the flow: `flow.dag.yaml`, the prompts, `parse.py` |",
    "function": "| `flows/standard/` | the flow: `flow.flex.yaml`, the prompts, `sorting.py` |",
    "class": "| `flows/standard/` | the flow: `flow.flex.yaml`, `init.json`, the prompts, `sorting.py` |",
    "prompty": "| `flows/standard/` | the flow: `sort_message.prompty` |",
}


def new_use_case(name: str, kind: Kind, into: Path) -> Path:
    """Write the use case folder `<into>/<name>`; returns it.

    Args:
        name: the use case's and the folder's name.
        kind: what the flow is made of.
        into: a folder that exists, such as `flows/`.

    Raises:
        InvalidName: the name is not allowed.
        NotFound: there is no folder `into`.
        Conflict: something has that name; it was not touched.
        OSError: the folder cannot be written; nothing of it is left.
    """
    checked(name, "The use case")
    if not into.is_dir():
        raise NotFound(f"There is no folder {into} to put the use case into: make it, or name another with --into.")
    target = into / name
    _refuse_taken(target)
    values = {"name": name, "path": _shown(target), "parameters": _VARIED[kind], "about": _ABOUT[kind]}
    values["files"] = _FILES[kind]
    # Beside its place, so that renaming it there is one step on one disk; the dot keeps it out of lists meanwhile.
    draft = into / f".{name}.{os.getpid()}"
    draft.mkdir()
    try:
        for template in ("common", kind):
            for file, source in files_of(_TEMPLATES / template):
                path = draft / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(_filled(source.read_text("utf-8"), values), "utf-8")
        _refuse_taken(target)  # somebody may have been faster, and POSIX renames onto an empty folder
        draft.rename(target)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return target


def _refuse_taken(target: Path) -> None:
    if os.path.lexists(target):
        raise Conflict(f"{target} exists and was not touched: choose another name, or move it away.")


def _filled(text: str, values: Mapping[str, str]) -> str:
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def _shown(target: Path) -> str:
    """The folder as commands name it from here; a path of this machine has no place in a file that is committed."""
    below = Path(os.path.relpath(target))
    return f"path/to/{target.name}" if ".." in below.parts or below.is_absolute() else below.as_posix()

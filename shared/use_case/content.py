"""What the result of a flow's line follows from, as content: the files that take part, under one digest per choice.

Editing one variant's prompt must change that variant alone, and editing an evaluator no standard flow. So of a DAG only
the chosen variants count, with their prompts; a prompt that none of them uses is left out, unless Python code names it
or opens files at all. Everything else in the flow's folder counts, and what the use case's flows share; where a flow
reaches beyond its folder, the whole use case does, and with it each dataset that its code names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from shared.digests import file_digest, files_of, json_digest
from shared.use_case import reach
from shared.use_case.asked_variables import asked
from shared.use_case.flex import INIT_FILE
from shared.use_case.flow_files import PROMPTY
from shared.use_case.flow_model import FlowFacts, FlowKind
from shared.use_case.model import UseCase
from shared.use_case.problems import Problems
from shared.use_case.sources import dataset_files
from shared.use_case.yaml_file import read_yaml

PROMPT_ENDINGS: Final = (".jinja2", ".jinja", ".j2", ".md", ".txt")
_INERT_FOLDERS: Final = ("tests", "configs", "environment", "notebooks")
_INERT_FILES: Final = re.compile(
    r"experiment[^/]*\.ya?ml|readme[^/]*|sample-request\.json|dockerfile|\.[^/]*", re.IGNORECASE
)
_TEXTS: Final = (".py", ".prompty", ".json", ".yaml", ".yml")


class FlowContent:
    """The content of one flow of a use case; its files are read once."""

    def __init__(self, use_case: UseCase, folder: Path, flow_file: str, facts: FlowFacts) -> None:
        self._use_case = use_case
        self._folder = folder.resolve()
        self._flow_file = flow_file
        self.facts = facts
        self._mentioned: dict[tuple[str, ...], frozenset[str]] = {}

    @property
    def whole(self) -> str:
        """The digest of every file that takes part whatever is chosen: what a warm process holds, and a deployment."""
        return json_digest(self._files)

    def digest(self, variants: Mapping[str, str]) -> str:
        """The digest with these variants chosen, the others at their default."""
        files = self._files
        if self.facts.kind is not FlowKind.DAG:
            return json_digest(files)
        flow_file = self._name(self._folder / self._flow_file)
        unused = {self._name(self._folder / prompt) for prompt in self._unused_prompts(variants)}
        kept = {name: digest for name, digest in files.items() if name != flow_file and name not in unused}
        # As text: YAML has numbers that are no JSON (`.inf`), and a node may be given one.
        return json_digest({"files": kept, "flow": json.dumps(self._materialised(variants), sort_keys=True)})

    @cached_property
    def asked(self) -> frozenset[str]:
        """The variables of the process environment that the flow's files ask for."""
        return asked(self._folder, self.facts)

    def mentioned(self, names: tuple[str, ...]) -> frozenset[str]:
        """Those of the names that the flow's own files hold as a whole word; read once for the same names."""
        if names not in self._mentioned:
            self._mentioned[names] = reach.whole_words(names, _read(self._own, _TEXTS))
        return self._mentioned[names]

    @cached_property
    def _files(self) -> dict[str, str]:
        """Path in the use case folder → digest, of every file that takes part whatever is chosen."""
        root = self._use_case.folder.resolve()
        others = self._everything if self._reaches_beyond else self._shared()
        said = b"\n".join([self._code, *_read(self._told, _TEXTS)])
        data = dataset_files(root)
        taken = {
            name: path
            for name, path in {**others, **self._own}.items()
            if path.name.encode() in said
            or (path.resolve() not in data and (path.parent != root or not _INERT_FILES.fullmatch(path.name)))
        }
        return {name: file_digest(path) for name, path in sorted(taken.items())}

    @cached_property
    def _everything(self) -> dict[str, Path]:
        return dict(files_of(self._use_case.folder.resolve()))

    @cached_property
    def _own(self) -> dict[str, Path]:
        return {name: path for name, path in self._everything.items() if path.resolve().is_relative_to(self._folder)}

    def _shared(self) -> dict[str, Path]:
        """Files of the use case that belong to no flow in particular."""
        folders = [flow.resolve() for flow in (self._use_case.flow, *(e.flow for e in self._use_case.evaluators))]
        root = self._use_case.folder.resolve()
        folders = [folder for folder in folders if folder != root]
        return {
            name: path
            for name, path in self._everything.items()
            if name.split("/")[0] not in (*_INERT_FOLDERS, "flows")
            and not any(path.resolve().is_relative_to(folder) for folder in folders)
        }

    @cached_property
    def _reaches_beyond(self) -> bool:
        if any(reach.climbs(text) for text in _read(self._own, (".py",))):
            return True
        return any(reach.points_upwards(text) for text in _read(self._told, _TEXTS)) or any(
            reach.imports(self._use_case.name, text) for text in _read(self._own, (".py", ".yaml", ".yml"))
        )

    @cached_property
    def _told(self) -> dict[str, Path]:
        """The files that the flow's engine reads: not those of other tools beside them, such as `run.yaml`."""
        known = (self._folder / self._flow_file, self._folder / INIT_FILE)
        return {name: path for name, path in self._own.items() if path in known or path.suffix == PROMPTY}

    def _unused_prompts(self, variants: Mapping[str, str]) -> set[str]:
        """Prompts of variants that are not chosen, and that no Python code of the flow could mean."""
        if self._opens_files:
            return set()
        used = {spec.source for spec in self.facts.chosen(variants).values()}
        offered = {spec.source for specs in self.facts.nodes.values() for spec in specs.values()}
        unused = {source for source in offered - used if source.endswith(PROMPT_ENDINGS)}
        return {source for source in unused if Path(source).name.encode() not in self._code}

    @cached_property
    def _opens_files(self) -> bool:
        return reach.reads_files([self._code])

    @cached_property
    def _code(self) -> bytes:
        """The Python code that a line may come through."""
        others = self._everything if self._reaches_beyond else {}
        reached = {name: path for name, path in others.items() if name.split("/")[0] not in _INERT_FOLDERS}
        return b"\n".join(_read({**reached, **self._own}, (".py",)))

    def _materialised(self, variants: Mapping[str, str]) -> dict[str, Any]:
        """The flow's file with the chosen variants in their nodes' places, and without the others."""
        top = dict(self._document)
        choices = top.pop("node_variants", None) or {}
        chosen = {**self.facts.default_variants, **variants}
        top["nodes"] = [
            {**choices[node["name"]]["variants"][chosen[node["name"]]]["node"], "name": node["name"]}
            if node.get("use_variants")
            else node
            for node in top["nodes"]
        ]
        return top

    @cached_property
    def _document(self) -> dict[str, Any]:
        problems = Problems()
        document = read_yaml(self._folder / self._flow_file, self._flow_file, problems)
        problems.raise_if_any()
        assert document is not None  # a file that cannot be read is a problem
        return dict(document.value)

    def _name(self, path: Path) -> str:
        return path.resolve().relative_to(self._use_case.folder.resolve()).as_posix()


def _read(files: Mapping[str, Path], endings: tuple[str, ...]) -> Iterable[bytes]:
    return (path.read_bytes() for name, path in files.items() if name.endswith(endings))

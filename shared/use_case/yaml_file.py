"""YAML files, read with the line of every key and value, so that a problem can say where it is.

Only plain data comes out (no tags, no dates, no shared objects), and a file that would explode when its aliases are
expanded is refused before anything is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer, ComposerError
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from shared.use_case.problems import Problems

LARGEST_FILE: Final = 256 * 1024
"""Bytes. Data belongs into datasets, not into YAML."""
DEEPEST: Final = 50
"""Levels of nesting."""
MOST_VALUES: Final = 50_000
"""Values of a file once its aliases are expanded."""
LONGEST_NUMBER: Final = 1024
"""Bits of a whole number: Python refuses to write very long ones as texts, also in an error's."""

_REMEMBERED: Final = 16 * 1024
"""Characters of a text whose node graph is kept for long: that of a larger one takes megabytes."""

WRITTEN_TWICE: Final = "is written twice"
HALF_A_CHARACTER: Final = "holds half of a character"

Path_ = tuple[str | int, ...]
_TAG: Final = "tag:yaml.org,2002:"
_HALF: Final = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """A YAML file's content and where each part of it stands."""

    file: str
    """The name that problems show."""
    value: Any
    lines: Mapping[Path_, int] = field(default_factory=dict)

    def line(self, *path: str | int) -> int:
        """The line of that key, or of its nearest parent that has one."""
        for length in range(len(path), -1, -1):
            if path[:length] in self.lines:
                return self.lines[path[:length]]
        return 1


class _ShallowComposer(Composer):
    """Stops at a depth that no honest file has: the parser's effort grows with the square of the depth."""

    def __init__(self, loader: Any = None) -> None:
        super().__init__(loader)
        self.warn_double_anchors = False  # YAML allows them, and a warning would only reach a log
        self.depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.depth += 1
        if self.depth > DEEPEST:
            mark = self.parser.peek_event().start_mark
            raise ComposerError(None, None, f"it is nested too deeply (more than {DEEPEST} levels)", mark)
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


def read_yaml(path: Path, file: str, problems: Problems, *, may_be_empty: bool = False) -> Document | None:
    """Read a file; None if it cannot be read, with the reason in `problems`."""
    text = read_text(path, file, problems)
    return None if text is None else read_yaml_text(text, file, problems, may_be_empty=may_be_empty)


def read_text(path: Path, file: str, problems: Problems) -> str | None:
    """The text of a file with YAML in it, or JSON; None if it cannot be read, with the reason in `problems`."""
    try:
        content = path.read_bytes()
    except OSError as error:
        problems.add(file, 0, "file", f"cannot be read ({error.strerror}); expected a file at this path")
        return None
    if len(content) > LARGEST_FILE:
        problems.add(file, 0, "file", f"has {len(content):,} bytes; at most {LARGEST_FILE:,} are allowed")
        return None
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problems.add(
            file, line, "file", f"byte 0x{content[error.start]:02x} is not UTF-8; save the file in UTF-8 encoding"
        )
        return None


def read_yaml_text(
    text: str, file: str, problems: Problems, *, first_line: int = 1, may_be_empty: bool = False
) -> Document | None:
    """As `read_yaml`, of a text that begins on the line `first_line` of the file."""
    text = "\n" * (first_line - 1) + text
    yaml = YAML(typ="safe", pure=True)
    try:
        root = (_composed if len(text) <= _REMEMBERED else _composed_large)(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 0
        said = " ".join(part for part in (error.context, error.problem) if part)
        hint = "; indent with spaces, never with tabs" if "'\\t'" in said else ""
        problems.add(file, line, "file", f"is not valid YAML: {said}{hint}")
        return None
    except YAMLError as error:  # the reader's error: a character that YAML does not allow, which has no mark
        position = getattr(error, "position", 0) or 0
        problems.add(file, text.count("\n", 0, position) + 1, "file", "holds a control character; remove it")
        return None
    if root is None and may_be_empty:
        return Document(file=file, value=None)
    if root is None:
        problems.add(file, 1, "file", "is empty; expected keys such as `name` and `datasets`")
        return None
    reader = _Reader(yaml, file, problems)
    if reader.size(root) > MOST_VALUES:
        problems.add(
            file, 1, "file", f"has more than {MOST_VALUES:,} values once its anchors are expanded; write less of them"
        )
        return None
    return Document(file=file, value=reader.value(root, ()), lines=reader.lines)


@lru_cache(maxsize=64)
def _composed(text: str) -> Node | None:
    """The node graph, which nobody changes. A chain reads the same few files again and again: that took it longest."""
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _ShallowComposer
    root: Node | None = yaml.compose(text)
    return root


@lru_cache(maxsize=1)
def _composed_large(text: str) -> Node | None:
    """The same for a large text, until the next one: a use case is read several times for each of its environments."""
    return _composed.__wrapped__(text)


class _Reader:
    """Turns the node graph of one file into plain data, noting lines."""

    def __init__(self, yaml: YAML, file: str, problems: Problems) -> None:
        self.yaml = yaml
        self.file = file
        self.problems = problems
        self.lines: dict[Path_, int] = {}
        self._sizes: dict[int, int] = {}

    def size(self, node: Node) -> int:
        """Values under a node with aliases expanded, without expanding them: each node is counted once."""
        if id(node) in self._sizes:
            return self._sizes[id(node)]
        # While its children are counted, a node counts as too large: an anchor that holds an alias to itself
        # has no finite expansion.
        self._sizes[id(node)] = MOST_VALUES + 1
        total = 1
        match node:
            case SequenceNode():
                total += sum(self.size(item) for item in node.value)
            case MappingNode():
                total += sum(self.size(key) + self.size(item) for key, item in node.value)
            case _:
                pass
        self._sizes[id(node)] = min(total, MOST_VALUES + 1)
        return self._sizes[id(node)]

    def value(self, node: Node, path: Path_) -> Any:
        """The plain value of a node, whose lines are noted under `path`."""
        self.lines.setdefault(path, node.start_mark.line + 1)
        match node:
            case MappingNode():
                return self._mapping(node, path)
            case SequenceNode():
                return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
            case _:
                return self._scalar(node)

    def _mapping(self, node: MappingNode, path: Path_) -> dict[str, Any]:
        result: dict[str, Any] = {}
        merged: list[Node] = []
        for key_node, item in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _TAG + "merge":
                merged += item.value if isinstance(item, SequenceNode) else [item]
                continue
            if not isinstance(key_node, ScalarNode):
                self.problems.add(
                    self.file, line, "key", "is a list or a mapping; expected a plain word before the `:`"
                )
                continue
            key = str(key_node.value)
            if key in result:
                first = self.lines[(*path, key)]
                self.problems.add(
                    self.file, line, key or "''", f"{WRITTEN_TWICE} (first on line {first}); keep one of the two"
                )
                continue
            self.lines[(*path, key)] = line
            result[key] = self.value(item, (*path, key))
        for item in merged:
            if not isinstance(item, MappingNode):
                self.problems.add(self.file, item.start_mark.line + 1, "<<", "must merge a mapping")
                continue
            lines = self.lines
            for key, value in self._mapping(item, (*path, "<<")).items():
                if key not in result:
                    result[key] = value
                    lines.setdefault((*path, key), lines.get((*path, "<<", key), node.start_mark.line + 1))
        return result

    def _scalar(self, node: Node) -> Any:
        match str(node.tag).removeprefix(_TAG):
            case "null" | "bool" | "int" | "float":
                try:
                    value = self.yaml.constructor.construct_object(node)
                except (ValueError, KeyError, YAMLError):  # KeyError: `!!bool maybe`
                    self.problems.add(
                        self.file, node.start_mark.line + 1, str(node.value)[:40], "is not a value that YAML knows"
                    )
                    return None
                if isinstance(value, int) and value.bit_length() > LONGEST_NUMBER:
                    self.problems.add(
                        self.file, node.start_mark.line + 1, str(node.value)[:40], "is too large for a number"
                    )
                    return None
                return value
            case "str" | "timestamp" | "value":
                text = str(node.value)
                if _HALF.search(text):  # nothing that is written in UTF-8 could hold it: no state, no result
                    shown = text.encode("ascii", "backslashreplace").decode()[:40]
                    said = f"{HALF_A_CHARACTER} (a lone \\u surrogate); write the whole one"
                    self.problems.add(self.file, node.start_mark.line + 1, shown, said)
                    return ""
                return text
            case tag:
                self.problems.add(
                    self.file, node.start_mark.line + 1, tag, "is a YAML tag; expected plain data without tags"
                )
                return None

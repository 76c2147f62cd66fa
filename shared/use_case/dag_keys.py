"""The keys of a `flow.dag.yaml`: prompt flow passes over those that it does not know, and so over every misspelt one.

Such a key breaks nothing by itself, so it is a warning; what is missing because of it is a problem of its own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from shared.use_case.block import Block
from shared.use_case.problems import Problems, one_of
from shared.use_case.yaml_file import Document

_FLOW: Final = (
    "$schema",
    "additional_includes",
    "description",
    "display_name",
    "environment",
    "environment_variables",
    "id",
    "inputs",
    "language",
    "message_format",
    "name",
    "node_variants",
    "nodes",
    "outputs",
    "path",
    "tags",
    "tools",
    "type",
)
_NODE: Final = (
    "activate",
    "aggregation",
    "api",
    "comment",
    "connection",
    "enable_cache",
    "inputs",
    "module",
    "name",
    "provider",
    "reduce",
    "skip",
    "source",
    "tool",
    "type",
    "use_variants",
    "variants",
)
_VARIANTS: Final = ("default_variant_id", "variants")
_VARIANT: Final = ("description", "node")
_SOURCE: Final = ("path", "tool", "type")
_INPUT: Final = (
    "default",
    "description",
    "enum",
    "is_chat_history",
    "is_chat_input",
    "is_multi_select",
    "name",
    "required",
    "type",
)
_OUTPUT: Final = ("description", "evaluation_only", "is_chat_output", "name", "reference", "type")


def check_keys(document: Document, problems: Problems) -> None:
    """Warn of every key that prompt flow does not know, with the nearest one that it knows."""
    top = Block(document, (), document.value, problems)
    _warn(top, _FLOW, "a flow")
    for key, known, what in (("inputs", _INPUT, "an input"), ("outputs", _OUTPUT, "an output")):
        for part in _parts(top, key):
            _warn(part, known, what)
    for node in _parts(top, "nodes"):
        _node(node)
    for variants in _parts(top, "node_variants"):
        _warn(variants, _VARIANTS, "a node's variants")
        for variant in _parts(variants, "variants"):
            _warn(variant, _VARIANT, "a variant")
            if "node" in variant:
                _node(variant.child("node"))


def _node(node: Block) -> None:
    _warn(node, _NODE, "a node")
    if "source" in node:
        _warn(node.child("source"), _SOURCE, "a source")


def _parts(block: Block, key: str) -> list[Block]:
    """What is in a mapping or a list; that it is one is for the flow's reader to say."""
    inside = block.child(key) if key in block else None
    match inside.value if inside is not None else None:
        case dict() as entries if inside is not None:
            return [inside.child(name) for name in entries]
        case list() as items if inside is not None:
            return [inside.child(index) for index in range(len(items))]
        case _:
            return []


def _warn(block: Block, known: Iterable[str], what: str) -> None:
    allowed = frozenset(known)
    for key in block.value if isinstance(block.value, dict) else ():
        if block.problems.warned_enough:  # to look for the nearest key is slow
            return
        if key not in allowed:
            block.warn(f"{one_of(key, allowed, f'key of {what}')}; prompt flow passes over it", key)

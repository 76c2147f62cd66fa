"""What a flow of any kind takes, gives and offers to vary, as values; the readers beside this file make them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

MODEL_SETTINGS: Final = frozenset(
    {"temperature", "top_p", "max_tokens", "deployment_name", "model", "presence_penalty", "frequency_penalty", "seed"}
)
"""Parameters that may be written without a node: they mean every `llm` node of a DAG, or a prompty's model."""


class FlowKind(StrEnum):
    """What a flow is made of."""

    DAG = "dag"
    """Nodes in `flow.dag.yaml`."""
    FUNCTION = "function"
    """`flow.flex.yaml` whose entry is a function."""
    CLASS = "class"
    """`flow.flex.yaml` whose entry is a class; it is made once, from `init.json` and the parameters `init.…`."""
    PROMPTY = "prompty"
    """One `.prompty` file."""
    PYTHON = "python"
    """An evaluator without a flow file: the `eval_…` functions in the `eval_*.py` files of its folder."""


@dataclass(frozen=True)
class FlowInput:
    """One input of a flow, or one argument of a class flow's `__init__`."""

    type: str
    default: object = None
    has_default: bool | None = None
    """Whether there is a default; None: there is one unless it is None."""

    @property
    def required(self) -> bool:
        """Whether every line must bring it."""
        return self.default is None if self.has_default is None else not self.has_default


@dataclass(frozen=True)
class NodeSpec:
    """A node, or one of its variants."""

    type: str
    """`llm`, `python` or `prompt`."""
    inputs: Mapping[str, object]
    takes: frozenset[str] | None
    """Every input that its prompt or tool may take; None: any."""
    connections: tuple[str, ...]
    aggregation: bool
    source: str = ""
    """Its prompt or tool, as a path in the flow's folder; empty for a packaged tool."""


@dataclass(frozen=True)
class FlowFacts:
    """A flow as its files describe it."""

    inputs: Mapping[str, FlowInput]
    outputs: tuple[str, ...]
    nodes: Mapping[str, Mapping[str | None, NodeSpec]] = field(default_factory=dict)
    """Node → variant → what it is then; a node without variants has the one key None. Only a DAG has nodes."""
    default_variants: Mapping[str, str] = field(default_factory=dict)
    """Node → its default variant, for the nodes that have variants."""
    kind: FlowKind = FlowKind.DAG
    entry: str = ""
    """Of a function or class flow: `<module>:<name>`."""
    init: Mapping[str, FlowInput] = field(default_factory=dict)
    """Of a class flow: the arguments of its `__init__`, with what `init.json` and the flow's file give them."""
    takes_any_input: bool = False
    """Whether the code takes inputs that no file names (`**kwargs`)."""
    gives_any_output: bool = False
    """Whether the code may give outputs that no file names (a function that returns a dictionary)."""
    calls_model: bool = True
    """Of a flow without nodes: whether its code is taken to call a model, once a line."""
    names_model: bool = True
    """Of a prompty: whether its configuration names a deployment or a model."""

    named_connections: tuple[str, ...] = ()
    """Of a flow without nodes: the connections that its files name (`init` values, a prompty's model)."""

    @property
    def variants(self) -> Mapping[str, tuple[str, ...]]:
        """Node → its variants as the file orders them, for the nodes that have variants."""
        return {node: tuple(str(v) for v in self.nodes[node]) for node in self.default_variants}

    @property
    def connections(self) -> tuple[str, ...]:
        """Every connection that the flow, with any variant of its nodes, uses, by name."""
        of_nodes = {c for specs in self.nodes.values() for spec in specs.values() for c in spec.connections}
        return tuple(sorted({*self.named_connections, *of_nodes}))

    def chosen(self, variants: Mapping[str, str]) -> Mapping[str, NodeSpec]:
        """The nodes with these variants chosen, the others at their default."""
        choice = {**self.default_variants, **variants}
        return {node: specs[choice.get(node)] for node, specs in self.nodes.items()}

    def takes(self, node: str) -> frozenset[str] | None:
        """The inputs that a node may take in any of its variants; None: any."""
        taken: frozenset[str] = frozenset()
        for spec in self.nodes[node].values():
            if spec.takes is None:
                return None
            taken |= spec.takes
        return taken

    def model_calls(self, lines: int, variants: Mapping[str, str]) -> int:
        """Model calls that a run over so many lines makes, as far as files tell.

        Each `llm` node calls once a line (once a run if it aggregates), a prompty once a line, and code that is given
        a connection is taken to call once a line.
        """
        if self.kind is not FlowKind.DAG:
            return lines if self.calls_model else 0
        nodes = self.chosen(variants).values()
        return sum((1 if spec.aggregation else lines) for spec in nodes if spec.type == "llm")

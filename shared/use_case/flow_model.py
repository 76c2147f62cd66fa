"""What a DAG flow takes, gives and offers to vary, as values; `flow_facts.py` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class FlowInput:
    """One input of a flow."""

    type: str
    default: object = None

    @property
    def required(self) -> bool:
        """Whether every line must bring it."""
        return self.default is None


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


@dataclass(frozen=True)
class FlowFacts:
    """A flow as its file describes it."""

    inputs: Mapping[str, FlowInput]
    outputs: tuple[str, ...]
    nodes: Mapping[str, Mapping[str | None, NodeSpec]]
    """Node → variant → what it is then; a node without variants has the one key None."""
    default_variants: Mapping[str, str]
    """Node → its default variant, for the nodes that have variants."""

    @property
    def variants(self) -> Mapping[str, tuple[str, ...]]:
        """Node → its variants as the file orders them, for the nodes that have variants."""
        return {node: tuple(str(v) for v in self.nodes[node]) for node in self.default_variants}

    @property
    def connections(self) -> tuple[str, ...]:
        """Every connection that a node of any variant uses, by name."""
        return tuple(sorted({c for specs in self.nodes.values() for spec in specs.values() for c in spec.connections}))

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

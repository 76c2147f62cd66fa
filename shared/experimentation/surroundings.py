"""What an installation adds to a use case: connections, variables, data assets; and what they make of a flow.

The same content is another configuration where a connection leads elsewhere, or a variable holds something else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shared.connections import Connection
from shared.experimentation.configuration import configuration
from shared.experimentation.frozen import FetchAsset
from shared.use_case.content import FlowContent
from shared.use_case.flow_model import FlowKind


@dataclass(frozen=True)
class Surroundings:
    """What an installation adds to a use case: connections, variables, data assets."""

    connections: Mapping[str, Connection] = field(default_factory=dict)
    """By name, resolved."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables of the use case's flows, resolved."""
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of this process: a flow's own files may ask for more of it."""
    fetch: FetchAsset | None = None
    """Fetches a dataset that is a data asset; None: there are none here."""

    def models(self, flows: Iterable[FlowContent], parameters: Mapping[str, Sequence[object]]) -> tuple[str, ...]:
        """The connections that these flows may use, as people read them; one that none can use is left out.

        `parameters` are those of the use case with all their values: some may be names of connections.
        """
        values = [value for found in parameters.values() for value in found]
        used = {connection.name for content in flows for connection in self._used(content, values)}
        return tuple(connection.shown for name, connection in self.connections.items() if name in used)

    def configured(
        self, content: FlowContent, variants: Mapping[str, str], parameters: Mapping[str, object], repetition: int = 0
    ) -> str:
        """The digest of a flow's configuration here (see `configuration`)."""
        asked = {name: self.environment[name] for name in content.asked if name in self.environment}
        return configuration(
            content.digest(variants),
            parameters,
            self._used(content, parameters.values()),
            {**asked, **self.variables},
            repetition,
        )

    def _used(self, content: FlowContent, values: Iterable[object]) -> tuple[Connection, ...]:
        """The connections that a flow may use: all of them for code; those that a DAG's files or parameters name.

        `values` are those of the parameters.
        """
        if content.facts.kind is not FlowKind.DAG:
            return tuple(self.connections.values())
        chosen = {value for value in values if isinstance(value, str)}
        named = {*content.facts.connections, *content.mentioned(tuple(self.connections)), *chosen}
        return tuple(connection for name, connection in self.connections.items() if name in named)

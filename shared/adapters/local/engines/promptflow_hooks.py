"""What is changed in prompt flow and in the openai client, each as soon as somebody imports it.

Flow code that uses prompt flow's `Prompty` or model configurations gets the connections of this process, never those of
a keyring.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from typing import Any

from shared.adapters.local.engines.after_import import AfterImport
from shared.adapters.local.engines.connections import engine_connections
from shared.connections import Connection


class Connections:
    """The connections of this process, as prompt flow's own code asks for them; set once a flow is loaded."""

    def __init__(self) -> None:
        self._entries: Mapping[str, dict[str, Any]] = {}
        self._lock = threading.Lock()
        self._provider: Any = None

    def set(self, connections: Mapping[str, Connection]) -> None:
        """From now on these are all there are."""
        with self._lock:
            self._entries = engine_connections(connections)
            self._provider = None

    def provider(self, *_: object, **__: object) -> Any:
        """Prompt flow's provider of them."""
        from promptflow.core._connection_provider._dict_connection_provider import DictConnectionProvider

        with self._lock:
            if self._provider is None:
                self._provider = DictConnectionProvider(self._entries)
            return self._provider

    def by_name(self, name: str) -> tuple[dict[str, Any], Any]:
        """The keys of one connection, and its type in prompt flow's words."""
        connection = self.provider().get(name)
        return {**self._entries[name]["value"]}, connection.TYPE


def watch(imports: AfterImport, connections: Connections) -> None:
    """Have prompt flow ask for connections here, and reuse its clients."""

    def provider(module: Any) -> None:
        module.ConnectionProvider.get_instance = staticmethod(connections.provider)

    def by_name(module: Any) -> None:
        module.get_connection_by_name = connections.by_name

    def reuse_clients(module: Any) -> None:
        module.get_open_ai_client_by_connection = _reused(module.get_open_ai_client_by_connection)

    imports.on("promptflow.core._connection_provider._connection_provider", provider)
    imports.on("promptflow.core._prompty_utils", by_name)
    imports.on("promptflow.core._flow", reuse_clients)


def _reused(make: Callable[..., Any]) -> Callable[..., Any]:
    """One client per connection: a new one for every call would cost more than the call, and a TCP connection."""
    made: dict[str, Any] = {}
    lock = threading.Lock()

    def get(connection: Any, is_async: bool = False) -> Any:  # prompt flow's own signature
        if is_async:  # it belongs to the event loop that it is first used on
            return make(connection=connection, is_async=True)
        try:
            key = json.dumps([type(connection).__name__, dict(connection)], sort_keys=True)
        except (TypeError, ValueError):
            return make(connection=connection)
        with lock:
            if key not in made:
                made[key] = make(connection=connection)
            return made[key]

    return get


def leave_tries_to_the_client(imports: AfterImport) -> None:
    """Have prompt flow's tools and prompties try a call once: what tries it again is the client, or what hooks it.

    Theirs would come on top, and take minutes: whoever waits for a served flow has gone by then.
    """

    def take_tries(tools: Any) -> None:
        for tool in (getattr(tools, name, None) for name in ("AzureOpenAI", "OpenAI", "Prompty", "AsyncPrompty")):
            for function in vars(tool).values() if tool is not None else ():
                _no_more_tries(function)

    imports.on("promptflow.tools.aoai", take_tries)
    imports.on("promptflow.tools.openai", take_tries)
    imports.on("promptflow.core._flow", take_tries)


def _no_more_tries(function: Any) -> None:
    # The tools' decorator keeps its number of tries (100) in a closure and offers no setting for it.
    while function is not None:
        code, cells = getattr(function, "__code__", None), getattr(function, "__closure__", None)
        for name, cell in zip(code.co_freevars if code else (), cells or (), strict=False):
            if name == "tries":
                cell.cell_contents = 0
        function = getattr(function, "__wrapped__", None)

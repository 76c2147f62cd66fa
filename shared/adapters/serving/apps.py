"""From a flow to the web app that serves it; called once in a process, which then belongs to the flow's code.

Everything of this program that answers requests is imported before the flow's modules, which may have any name:
`shared` steps out of their way.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shared.connections import Connection


@dataclass(frozen=True)
class ServedFlow:
    """What a process serves."""

    flow: Path
    """The flow's folder."""
    flow_file: str
    dag: Path | None
    """The flow's DAG with variants and parameters applied, inside `flow`; None for a flow of another kind."""
    package: str
    root: Path | None
    """The use case's folder, importable as `package`; None: it was not deployed with the flow."""
    scratch: Path
    """prompt flow's home, for this process alone."""
    variants: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, object] = field(default_factory=dict)
    connections: Mapping[str, Connection] = field(default_factory=dict, repr=False)
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Variables of the flow, filled in."""


def app_of(served: ServedFlow) -> Any:
    """The WSGI app. Raises whatever the flow's modules raise when they are imported, and BusinessFailure."""
    return _scoring_app(served) if served.dag is None else _prompt_flow_app(served, served.dag)


def _scoring_app(served: ServedFlow) -> Any:
    from shared.adapters.local.engines import isolation, promptflow_hooks
    from shared.adapters.local.engines.after_import import AfterImport
    from shared.adapters.local.engines.contract import FlowSource
    from shared.adapters.local.engines.load import load, set_environment, step_aside
    from shared.adapters.serving.scoring import ScoringApp
    from shared.redaction import Redaction

    source = FlowSource(served.flow, served.flow_file, served.connections, served.scratch)
    imports, for_engine = AfterImport(), promptflow_hooks.Connections()
    for_engine.set(served.connections)
    imports.install()
    isolation.watch(imports)
    isolation.streams_per_thread()
    promptflow_hooks.watch(imports, for_engine)
    promptflow_hooks.leave_tries_to_the_client(imports)
    set_environment(source, served.environment)
    step_aside(source, served.package, served.root)
    executable = load(source).executable(served.variants, served.parameters)
    return ScoringApp(executable, Redaction(served.connections.values(), served.environment))


def _prompt_flow_app(served: ServedFlow, dag: Path) -> Any:
    from shared.adapters.local.engines.connections import engine_connections
    from shared.adapters.local.engines.modules import make_importable
    from shared.adapters.serving.guarded import Guarded
    from shared.redaction import Redaction

    connections = engine_connections(served.connections)
    redacted = Redaction(served.connections.values(), served.environment)
    _forget_this_program()
    os.chdir(served.flow)
    make_importable(served.flow, served.package, served.root)

    from promptflow.core._serving.v1.app import PromptflowServingApp

    class ServingApp(PromptflowServingApp):  # type: ignore[misc]
        """prompt flow's app, with connections given in memory: it can only look them up in a keyring or a workspace."""

        def init_invoker_if_not_exist(self) -> None:
            self.connections_override = connections
            super().init_invoker_if_not_exist()

    app = ServingApp("served-flow")
    # A provider that has no connections: one that the flow lacks is then an error that names it.
    app.init(flow_file_path=str(dag), connection_provider=list)
    return Guarded(app, redacted)


def _forget_this_program() -> None:
    """A flow may have modules named `shared` or `functions`: it must get its own, not those of this program."""
    if sys.path and (Path(sys.path[0]) / "shared").is_dir():
        del sys.path[0]
    for name in [name for name in sys.modules if name == "shared" or name.startswith("shared.")]:
        del sys.modules[name]

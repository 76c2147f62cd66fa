"""In a process that runs flows: a node with nothing to run beside it runs in its line's own thread.

Prompt flow starts threads for the nodes of every line. Most flows are chains, where that only costs: a seventh of the
processor's time per line, and with 32 lines in flight the processor is what keeps a fast model waiting.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

from shared.adapters.local.engines.after_import import AfterImport


def watch(imports: AfterImport) -> None:
    """Change prompt flow's scheduler as soon as anything imports it."""
    imports.on("promptflow.executor._flow_nodes_scheduler", lambda _: _run_lone_nodes_in_place())


def _run_lone_nodes_in_place() -> None:
    # Nodes that can run at the same time still get threads.
    from promptflow.executor._flow_nodes_scheduler import FlowNodesScheduler

    in_threads = FlowNodesScheduler._submit_nodes  # noqa: SLF001  # the scheduler has no setting for it

    def submit(scheduler: Any, executor: Executor, nodes: list[Any]) -> None:
        if len(nodes) > 1 or scheduler._future_to_node:  # noqa: SLF001
            in_threads(scheduler, executor, nodes)
            return
        done: Future[Any] = Future()
        try:
            done.set_result(scheduler._exec_single_node_in_thread((nodes[0], scheduler._dag_manager)))  # noqa: SLF001
        except BaseException as error:  # what the node raised is raised again where the future is read
            done.set_exception(error)
        scheduler._future_to_node[done] = nodes[0]  # noqa: SLF001

    FlowNodesScheduler._submit_nodes = submit  # noqa: SLF001

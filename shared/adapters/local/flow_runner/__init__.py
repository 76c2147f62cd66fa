"""The local flow runner: flows in warm worker processes, one pool per runner, one process per flow.

`runner.py` is the port; it takes a worker from `pool.py`, feeds it lines and spools what comes back. `worker.py` is the
other side: it runs in its own process, because flow code may exit, leak, hang or import modules of any name. On Linux
that process is a copy of one that has imported prompt flow (`nursery.py`, `template.py`, `template_process.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shared.adapters.local.flow_runner.runner import LocalFlowRunner

__all__ = ["LocalFlowRunner"]


def __getattr__(name: str) -> Any:
    # Imported when it is asked for: the worker's side must not pay for the runner's, which is most of its start.
    if name == "LocalFlowRunner":
        from shared.adapters.local.flow_runner.runner import LocalFlowRunner

        return LocalFlowRunner
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""The local flow runner: prompt flow in warm worker processes, one pool per runner, one process per flow.

`runner.py` is the port; it takes a worker from `pool.py`, feeds it lines and spools what comes back. `worker.py` is the
other side: it runs in its own process, because flow code may exit, leak, hang or import modules of any name.
"""

from shared.adapters.local.flow_runner.runner import LocalFlowRunner

__all__ = ["LocalFlowRunner"]

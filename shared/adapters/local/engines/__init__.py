"""What runs flows: one engine is prompt flow, the other is plain Python that imports nothing of it.

A worker process and a served process load one flow into one engine (`load.py`) and use it through `contract.py`, so
that what was evaluated is what is deployed, and so that code flows stay runnable when prompt flow has gone.
"""

from shared.adapters.local.engines.kinds import needs_promptflow

__all__ = ["needs_promptflow"]

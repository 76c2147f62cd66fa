"""Local online endpoints: each flow served by prompt flow in a process of its own, behind one router, at one address.

Desired state is one document per endpoint in blob storage, written by any process of the laptop (`adapter.py`, the
port); the embedded host makes it true (`supervisor.py` and `attendant.py` keep processes, `router.py` splits traffic,
`fleet.py` is what both know). A request goes: router → split or pin (`split.py`) → served process (`serve.py`) → counts
(`statistics.py`) → answer.
"""

"""The local flow runner: flows in warm worker processes, one pool per runner, one process per flow.

Flow code may exit, leak, hang or import modules of any name, so it has a process of its own. In the order of a run:

    runner.py                the port: runs by name, each once, found again after a restart
    drive.py                 one run, from its first line to its record
    known.py                 whether a run of lines that were run before needs a worker at all
    pool.py                  the warm workers: which flow each holds, and which goes first
    nursery.py               where workers come from: a copy of the fork server, a spare one, or a new process
    start.py                 a worker's command and environment
    fork_server.py           the runner's handle on the process that workers are copied from (Linux)
    fork_server_process.py   that process
    process.py               the runner's handle on one worker: orders, answers, why it ended
    protocol.py              the messages between both sides
    limits.py                calls of models in flight, over all workers: who calls next
    spool.py                 lines and record on disk
    summary.py, latencies.py what the lines add up to
    failures.py              runs that left no record, and how often

Inside the worker:

    worker.py                orders in, answers out; holds one flow
    lines.py                 lines in threads, each with its deadline
    model_calls.py           every call of the openai client waits its turn, is retried and counted
    places.py                asking the runner for a place among the calls in flight
    retry.py                 when a call is tried again
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

"""The embedded host: the functions of the one FunctionApp on a laptop, without the Azure Functions runtime.

    host.py         Host: starts, waits, drains
    signals.py      stop_signals: SIGTERM and Ctrl-C
    app_settings.py the values of `%NAME%` in bindings, with this product's defaults
    triggers.py     what the FunctionApp registers, read once
    host_json.py    what host.json says
    queues.py       feeds queue and dead-letter triggers; renewals.py keeps their locks
    handling.py     a message that was taken: the function is called, the message settled
    opening.py      opens the queues at the start
    outages.py      queues that cannot be read for a while, said once
    blobs.py        feeds blob triggers; blob_client.py is what they get
    timers.py       feeds timer triggers
    http.py         feeds HTTP triggers; routes.py finds the function, keys.py guards it
    decoding.py     arguments by azure.functions' own converters
    invocation.py   one call of one function, logged
    workers.py      the threads that run functions
    settling.py     the locks of what functions work on, until it is completed or given back
    held_back.py    the wait before a message that failed is given back
    ledger.py       what must be remembered over a restart
    lock.py         one host per home
    errors.py       HostError

A queue message on its way: `queues._look` or `_watch` receives it under a lock, a worker decodes it and calls the
function, `renewals` keeps the lock meanwhile, and `settling` completes the message, or gives it back after a wait.
"""

from __future__ import annotations

from genaiops.host.app_settings import app_settings
from genaiops.host.errors import HostError
from genaiops.host.host import Host
from genaiops.host.keys import FunctionKeys
from genaiops.host.signals import stop_signals

__all__ = ["FunctionKeys", "Host", "HostError", "app_settings", "stop_signals"]

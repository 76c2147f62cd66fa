"""A Service Bus namespace for tests: AMQP 1.0 in the dialect that azure-servicebus speaks, in memory, on loopback.

It plays queues with peek-lock, settlement, sessions, schedules, duplicate detection, dead letters, `$cbs` and
`$management`; not topics, transactions, partitions or web sockets. A message goes through these files in this order:

- `connection` (headers, SASL, frames), with `performatives`, `decoding`, `encoding` and `values`
  for the bytes
- `wire_session` (an AMQP session: windows, delivery ids), `settlements` (outcomes of deliveries)
- `accepting` and `links` (attaching; senders, receivers, requests and answers), `cbs` (tokens), `management`
- `hub` (addresses to queues, deliveries to receivers, time)
- `entities` (one queue) over its `store`, with `lanes` (order), `session_locks`, `duplicates`, `messages` and `contents`
- `server` (the thread), `faults` and `counters` (what tests set and see), `errors` (what is refused)
"""

from tests.servers.service_bus.counters import Counters, Token
from tests.servers.service_bus.faults import Cut, Faults
from tests.servers.service_bus.server import Broker

__all__ = ["Broker", "Counters", "Cut", "Faults", "Token"]

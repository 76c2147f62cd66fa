"""The Service Bus adapter: sending by batches, and all that the embedded host needs to receive.

How data flows: `send` turns the port's messages into the SDK's and puts them into as few batches as they fit, over one
long-lived sender a queue. Receiving is in `receiver.py`, over long-lived receivers; both go through `Handler`, which
opens, guards and replaces the SDK's objects and turns what they raise into the families of `shared/errors.py`.
Limits and behaviour: https://learn.microsoft.com/azure/service-bus-messaging/service-bus-quotas and
https://learn.microsoft.com/azure/service-bus-messaging/duplicate-detection.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from shared.adapters.azure.bus_errors import explained
from shared.adapters.azure.bus_handler import Handler, close_all
from shared.adapters.azure.bus_messages import outgoing
from shared.adapters.azure.bus_namespace import TIMING, Clients, Timing, namespace
from shared.adapters.azure.receiver import Receiving
from shared.adapters.queues import QueueConfig, by_name, check, resolve
from shared.errors import GenAIOpsError
from shared.ports import OutgoingMessage

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.servicebus import ServiceBusSender

__all__ = ["ServiceBus", "Timing"]


class ServiceBus(Receiving):
    """Bus and WaitingReceiver over Azure Service Bus. One instance is one consumer: its sessions are its own.

    The locks, delivery counts and duplicate windows are those of the queues in Azure; of each `QueueConfig` only the
    name and whether the queue has sessions are used.
    """

    def __init__(
        self,
        address: str,
        queues: Sequence[QueueConfig],
        credential: TokenCredential | None = None,
        *,
        setting: str = "ServiceBus__fullyQualifiedNamespace",
        timing: Timing = TIMING,
        endpoint: str | None = None,
    ) -> None:
        """Prepare; nothing is imported or connected yet.

        Args:
            address: host name of the namespace, or a connection string (of an emulator or a developer's namespace).
            queues: the queues that there are.
            credential: who this process is; needed with a host name.
            setting: the setting that `address` comes from, for errors.
            timing: how long things are waited for.
            endpoint: where connections go instead of the host name: a gateway before the namespace.

        Raises:
            GenAIOpsError: the address cannot be read.
        """
        clients = Clients(namespace(address, setting, credential, timing, endpoint), timing)
        super().__init__(clients, by_name(queues), timing)
        self._senders: dict[str, Handler[ServiceBusSender]] = {}
        self._making = threading.Lock()

    @property
    def host(self) -> str:
        """The namespace's host name."""
        return self._clients.where.host

    def send(self, queue: str, messages: Sequence[OutgoingMessage]) -> None:
        """Send all messages, in as few batches as they fit; each batch arrives whole or not at all.

        Raises:
            NotFound: the queue does not exist.
            Malformed: a message is too large or lacks its id or session; nothing was sent.
            Throttled, Transient: nothing or only a part was sent; sending again is safe.
            BusinessFailure: the identity or key may not send.
        """
        address = resolve(self._queues, queue)
        for message in messages:
            check(address, message)
        if not messages:
            return
        sender = self._sender(address.config.name)
        # A batch has one session: in a partitioned queue it is what the batch is placed by.
        for _, of_session in groupby(messages, key=lambda message: message.session_id):
            group = list(of_session)
            sender.use(lambda opened, group=group: _send(opened, group))  # type: ignore[misc]

    def cancel_scheduled(self, queue: str, sequence_numbers: Sequence[int]) -> None:
        """Take back messages that are not due yet, by the sequence numbers that `peek` shows.

        Raises:
            Conflict: one of them is due already, or was taken back before.
        """
        address = resolve(self._queues, queue)
        if sequence_numbers:
            numbers = list(sequence_numbers)
            self._sender(address.config.name).use(lambda sender: sender.cancel_scheduled_messages(numbers))

    def close(self) -> None:
        """End all connections; sessions and messages that are held are free when their locks end."""
        with self._making:
            senders, self._senders = list(self._senders.values()), {}
        close_all([*(sender.close for sender in senders), super().close])

    def _sender(self, queue: str) -> Handler[ServiceBusSender]:
        def explain(error: Exception) -> GenAIOpsError:
            return explained(error, self._clients.where, queue, self._known)

        with self._making:
            if queue not in self._senders:
                self._senders[queue] = Handler(lambda: self._clients.sender(queue), explain)
            return self._senders[queue]


def _send(sender: ServiceBusSender, messages: Sequence[OutgoingMessage]) -> None:
    from azure.servicebus.exceptions import MessageSizeExceededError

    batch = sender.create_message_batch()
    for message in messages:
        converted = outgoing(message)
        try:
            batch.add_message(converted)
        except MessageSizeExceededError:
            if len(batch):
                sender.send_messages(batch)
                batch = sender.create_message_batch()
            try:
                batch.add_message(converted)
            except MessageSizeExceededError:
                # Alone it may be larger than within a batch, whose framing counts too.
                sender.send_messages(converted)
    if len(batch):
        sender.send_messages(batch)

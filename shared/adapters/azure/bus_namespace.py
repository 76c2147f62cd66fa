"""Where a Service Bus is and how it is reached: host name and identity, or a connection string for emulators.

Nothing is imported or connected before the first sender or receiver is made.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.errors import GenAIOpsError

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.servicebus import ServiceBusClient, ServiceBusReceiver, ServiceBusSender

HOST: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?")
_ENDPOINT: Final = re.compile(r"(?:^|;)\s*Endpoint\s*=\s*sb://([^/;\s]+)/?\s*(?:;|$)", re.IGNORECASE)


@dataclass(frozen=True)
class Timing:
    """How long things are waited for, and how often they are tried again. All times in seconds."""

    look_s: float = 0.5
    """How long a look that must not wait waits: a round trip, with some room for a slow one."""
    retries: int = 8
    """Tries after the first of what is sent, settled or renewed: a namespace that is away for 20 s is waited for."""
    backoff_s: float = 0.2
    """The wait before the second try is twice this, and each further wait twice as long."""
    longest_backoff_s: float = 5
    """The longest of these waits."""
    try_s: float = 20
    """How long one try may take, the opening of a connection included."""
    socket_s: float = 0.1
    """How long the SDK blocks on a socket before it looks around. Its keep-alive threads hold the socket for so long,
    every few seconds: a message may be late by it; each look costs a little of the processor."""


TIMING: Final = Timing()


@dataclass(frozen=True)
class Namespace:
    """One Service Bus namespace or emulator."""

    host: str
    """Host name, and the port where it is not AMQP's own."""
    setting: str
    """The setting that names it, for texts that tell what to change."""
    make: Callable[[int], ServiceBusClient]
    """Make a client whose operations are tried again so many times."""


def namespace(
    address: str, setting: str, credential: TokenCredential | None, timing: Timing, endpoint: str | None = None
) -> Namespace:
    """Read an address: `<name>.servicebus.windows.net`, or a connection string. `endpoint`: where connections go then.

    Raises:
        GenAIOpsError: it is neither, or a host name without a credential. The text does not repeat a connection string.
    """
    text = address.strip()
    if HOST.fullmatch(text):
        if credential is None:
            raise GenAIOpsError(f"{setting} is the host name {text}, for which an identity is needed.")
        return Namespace(text, setting, lambda retries: _by_identity(text, credential, timing, retries, endpoint))
    found = _ENDPOINT.search(text)
    if found is None:
        raise GenAIOpsError(
            f"{setting} is neither a host name (<name>.servicebus.windows.net) nor a connection string "
            "(Endpoint=sb://…;SharedAccessKeyName=…;SharedAccessKey=…)."
        )
    if "entitypath=" in text.lower():
        raise GenAIOpsError(
            f"{setting} is the connection string of a single queue (it has an EntityPath). Take one of the namespace: "
            "the product uses a queue for each capability."
        )
    return Namespace(found[1], setting, lambda retries: _by_connection_string(text, setting, timing, retries))


def _by_identity(
    host: str, credential: TokenCredential, timing: Timing, retries: int, endpoint: str | None
) -> ServiceBusClient:
    from azure.servicebus import ServiceBusClient, TransportType

    # The SDK trusts certifi's authorities alone; where a proxy signs with another one, REQUESTS_CA_BUNDLE names it for
    # every other Azure SDK, and so it does here.
    trusted = os.environ.get("REQUESTS_CA_BUNDLE") or None
    return ServiceBusClient(
        host,
        credential,
        retry_total=retries,
        retry_backoff_factor=timing.backoff_s,
        retry_backoff_max=timing.longest_backoff_s,
        try_timeout=timing.try_s,
        connection_verify=trusted,
        # With another endpoint the SDK would change to web sockets.
        transport_type=TransportType.Amqp,
        custom_endpoint_address=endpoint,
    )


def _by_connection_string(text: str, setting: str, timing: Timing, retries: int) -> ServiceBusClient:
    from azure.servicebus import ServiceBusClient

    try:
        return ServiceBusClient.from_connection_string(
            text,
            retry_total=retries,
            retry_backoff_factor=timing.backoff_s,
            retry_backoff_max=timing.longest_backoff_s,
            try_timeout=timing.try_s,
            connection_verify=os.environ.get("REQUESTS_CA_BUNDLE") or None,
        )
    except ValueError:
        # The SDK's text is not passed on: it may hold parts of the connection string.
        raise GenAIOpsError(
            f"The connection string in {setting} cannot be read. Expected "
            "Endpoint=sb://<host>;SharedAccessKeyName=<name>;SharedAccessKey=<key>, and for an emulator "
            "UseDevelopmentEmulator=true."
        ) from None


class Clients:
    """The two clients of a process, made when they are first needed; they live as long as the process."""

    def __init__(self, where: Namespace, timing: Timing) -> None:
        self.where, self._timing = where, timing
        self._lock = threading.Lock()
        self._made: dict[int, ServiceBusClient] = {}

    def sender(self, queue: str) -> ServiceBusSender:
        """A sender, not yet opened."""
        return self._client(self._timing.retries).get_queue_sender(queue, socket_timeout=self._timing.socket_s)

    def settler(self, queue: str, *, is_dead_letter: bool) -> ServiceBusReceiver:
        """A receiver that settles, renews and browses, and tries again; not yet opened."""
        return self._client(self._timing.retries).get_queue_receiver(
            queue, sub_queue="deadletter" if is_dead_letter else None, socket_timeout=self._timing.socket_s
        )

    def receiver(self, queue: str, *, is_dead_letter: bool) -> ServiceBusReceiver:
        """A receiver that takes messages; who takes comes back anyway, so it is told of a failure at once."""
        return self._client(0).get_queue_receiver(
            queue, sub_queue="deadletter" if is_dead_letter else None, socket_timeout=self._timing.socket_s
        )

    def session_receiver(self, queue: str, wait_s: float) -> ServiceBusReceiver:
        """A receiver of the next session that is free; to open it waits for one, so many seconds."""
        from azure.servicebus import NEXT_AVAILABLE_SESSION

        return self._client(0).get_queue_receiver(
            queue, session_id=NEXT_AVAILABLE_SESSION, max_wait_time=wait_s, socket_timeout=self._timing.socket_s
        )

    def _client(self, retries: int) -> ServiceBusClient:
        with self._lock:
            if retries not in self._made:
                self._made[retries] = self.where.make(retries)
            return self._made[retries]

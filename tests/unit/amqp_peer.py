"""A client of the test broker that says on the wire exactly what a test wants to say: what the SDK never does."""

from __future__ import annotations

import socket
from types import TracebackType
from typing import Any, Self, TypeVar

from tests.servers.service_bus.contents import PROPERTIES, VALUE, section
from tests.servers.service_bus.encoding import encode, encode_list
from tests.servers.service_bus.performatives import (
    AMQP_HEADER,
    SASL_HEADER,
    Attach,
    Begin,
    Close,
    Detach,
    Disposition,
    Flow,
    Open,
    Performative,
    Transfer,
    decode_performative,
    encode_performative,
    frame,
    node,
)
from tests.servers.service_bus.values import Described, Symbol

P = TypeVar("P")
SASL_INIT = 0x41


class Peer:
    """One connection with one session on channel 0."""

    def __init__(self, port: int, *, mechanism: str = "ANONYMOUS", idle_time_out: int | None = None) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self._next_id = 0
        self._socket.sendall(SASL_HEADER)
        assert self._bytes(8) == SASL_HEADER
        self.mechanisms = self._frame()
        self._socket.sendall(frame(0, bytes((0, 0x53, SASL_INIT)) + encode_list([Symbol(mechanism), b""]), kind=1))
        self._frame()
        self._socket.sendall(AMQP_HEADER)
        assert self._bytes(8) == AMQP_HEADER
        self.send(Open("peer", idle_time_out=idle_time_out))
        self.send(Begin(None, 0, 1000, 1000))
        self.opened = self.expect(Open)
        self.expect(Begin)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._socket.close()

    def send(self, performative: Performative, payload: bytes = b"") -> None:
        self._socket.sendall(frame(0, encode_performative(performative), payload))

    def expect(self, kind: type[P]) -> P:
        """The next frame, which is of this kind."""
        return self.expect_with_payload(kind)[0]

    def expect_with_payload(self, kind: type[P]) -> tuple[P, bytes]:
        body = self._frame()
        while not body:  # heartbeats
            body = self._frame()
        performative, payload = decode_performative(body)
        assert isinstance(performative, kind), performative
        return performative, payload

    def expect_heartbeat(self) -> None:
        assert self._frame() == b""

    def claim(self, audience: str, token: str = "a token") -> None:
        """Put a token on `$cbs` by a link of its own."""
        self.attach_sender(100, "$cbs")
        properties = section(PROPERTIES, encode_list(["claim"]))
        application = {"operation": "put-token", "type": "jwt", "name": audience}
        self.transfer(100, properties + section(0x74, encode(application)) + section(VALUE, encode(token)))
        self.send(Detach(100, closed=True))
        self.expect(Detach)

    def attach_sender(self, handle: int, address: str) -> Attach:
        self.send(Attach(f"link-{handle}", handle, False, 0, 0, node(0x28, None), node(0x29, address)))
        answer = self.expect(Attach)
        if answer.target is not None:
            assert (self.expect(Flow).link_credit or 0) > 0
        return answer

    def attach_receiver(self, handle: int, address: str, filters: dict[Any, Any] | None = None) -> Attach:
        """A link in peek-lock mode."""
        source = node(0x28, address, filter=filters) if filters is not None else node(0x28, address)
        self.send(Attach(f"link-{handle}", handle, True, 0, 1, source, node(0x29, None)))
        return self.expect(Attach)

    def transfer(self, handle: int, payload: bytes) -> Described:
        """Send a message; what became of it."""
        delivery_id, self._next_id = self._next_id, self._next_id + 1
        self.send(Transfer(handle, delivery_id, b"t", 0, settled=False), payload)
        disposition = self.expect(Disposition)
        assert (disposition.first, disposition.settled) == (delivery_id, True)
        assert disposition.state is not None
        return disposition.state

    def credit(self, handle: int, count: int, *, delivered: int = 0, drain: bool = False) -> None:
        self.send(Flow(0, 1000, 0, 1000, handle=handle, delivery_count=delivered, link_credit=count, drain=drain))

    def close(self) -> None:
        self.send(Close())
        self.expect(Close)

    def _bytes(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._socket.recv(count - len(data))
            assert more, "the broker closed the connection"
            data += more
        return data

    def _frame(self) -> bytes:
        head = self._bytes(8)
        return self._bytes(int.from_bytes(head[:4]) - 8)

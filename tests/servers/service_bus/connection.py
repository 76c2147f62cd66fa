"""One connection: protocol headers, SASL, frames in and out, and the AMQP sessions that run over it."""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Final

from tests.servers.service_bus.cbs import Claims
from tests.servers.service_bus.errors import NOT_ALLOWED
from tests.servers.service_bus.performatives import (
    AMQP_HEADER,
    EMPTY_FRAME,
    SASL_HEADER,
    Begin,
    Close,
    End,
    Open,
    Performative,
    decode_performative,
    encode_performative,
    error,
    frame,
    sasl_mechanisms,
    sasl_outcome,
)
from tests.servers.service_bus.values import WireError
from tests.servers.service_bus.wire_session import WireSession

if TYPE_CHECKING:
    from tests.servers.service_bus.hub import Hub

MAX_FRAME: Final = 65536
IDLE_MS: Final = 240_000
_HEAD: Final = struct.Struct(">IBBH")


class Connection(asyncio.Protocol):
    """The broker's end of a connection."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.claims = Claims(hub.faults, hub.counters)
        self.remote_max_frame = MAX_FRAME
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._sessions: dict[int, WireSession] = {}
        self._is_sasl_done = self._is_header_done = False
        self._heartbeat: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------------ transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.hub.opened(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.hub.closed(self)
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        for session in self._sessions.values():
            session.end()
        self._sessions.clear()
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        try:
            self._read()
        except WireError as problem:
            self.close("amqp:decode-error", str(problem))

    @property
    def is_open(self) -> bool:
        """Whether what is written may still arrive."""
        return self._transport is not None and not self._transport.is_closing()

    def abort(self) -> None:
        """Cut the connection as a failing network does: without a word."""
        if self._transport is not None:
            self._transport.abort()

    def close(self, condition: str | None = None, description: str = "") -> None:
        """Say goodbye and close."""
        self.send(0, Close(error(condition, description) if condition else None))
        if self._transport is not None:
            self._transport.close()

    def send(self, channel: int, performative: Performative, payload: bytes = b"") -> None:
        """Send one frame."""
        self.write(frame(channel, encode_performative(performative), payload))

    def write(self, data: bytes) -> None:
        """Send bytes."""
        if self._transport is not None and self.is_open:
            self._transport.write(data)

    # --------------------------------------------------------------------------------------------------- frames

    def _read(self) -> None:
        at, buffer = 0, self._buffer
        while len(buffer) - at >= 8:
            if not self._is_header_done:
                at += self._read_before_open(at)
                if self._is_waiting(at):
                    break
                continue
            size, offset, _, channel = _HEAD.unpack_from(buffer, at)
            if size < 8:
                raise WireError(f"A frame of {size} bytes is too short.")
            if len(buffer) - at < size:
                break
            body = bytes(buffer[at + 4 * offset : at + size])
            at += size
            if body:
                performative, payload = decode_performative(body)
                self._dispatch(channel, performative, payload)
            if not self.is_open:
                break
        del self._buffer[:at]

    def _is_waiting(self, at: int) -> bool:
        """Whether the next thing before `open` has not fully arrived: a header of 8 bytes, or a frame of SASL."""
        if self._is_header_done:
            return False
        rest = len(self._buffer) - at
        if rest < 8 or self._buffer[at : at + 4] == b"AMQP":
            return rest < 8
        return rest < int.from_bytes(self._buffer[at : at + 4])

    def _read_before_open(self, at: int) -> int:
        """Headers and SASL; how many bytes were read."""
        head = bytes(self._buffer[at : at + 8])
        if head == SASL_HEADER:
            self.write(SASL_HEADER + sasl_mechanisms("MSSBCBS", "PLAIN", "ANONYMOUS", "EXTERNAL"))
            return 8
        if head == AMQP_HEADER:
            self.write(AMQP_HEADER if self._is_sasl_done else SASL_HEADER)
            self._is_header_done = self._is_sasl_done
            return 8
        if head[:4] == b"AMQP" or self._is_sasl_done:
            raise WireError("This is not AMQP 1.0.")
        size = int.from_bytes(head[:4])
        if len(self._buffer) - at < size:
            return 0
        self._is_sasl_done = True  # sasl-init: tokens on $cbs say who the client is, whatever the mechanism
        self.write(sasl_outcome(0))
        return size

    def _dispatch(self, channel: int, performative: Performative, payload: bytes) -> None:
        match performative:
            case Open():
                self._open(performative)
            case Begin():
                session = WireSession(self, channel, performative)
                self._sessions[channel] = session
                self.send(channel, Begin(channel, 0, session.incoming_window, 0x7FFFFFFF, handle_max=255))
            case End():
                ended = self._sessions.pop(channel, None)
                if ended is not None:
                    ended.end()
                self.send(channel, End())
            case Close():
                self.close()
            case _ if channel in self._sessions:
                self._sessions[channel].receive(performative, payload)
            case _:
                self.close(NOT_ALLOWED, f"Channel {channel} has no session.")

    def _open(self, opened: Open) -> None:
        self.remote_max_frame = max(512, min(opened.max_frame_size, MAX_FRAME))
        self.send(0, Open("test-broker", max_frame_size=MAX_FRAME, channel_max=4999, idle_time_out=IDLE_MS))
        if opened.idle_time_out:
            self._beat(opened.idle_time_out / 2000)

    def _beat(self, seconds: float) -> None:
        """Empty frames, so that a client with an idle timeout keeps the connection."""
        self.write(EMPTY_FRAME)
        self._heartbeat = self.hub.loop.call_later(seconds, self._beat, seconds)

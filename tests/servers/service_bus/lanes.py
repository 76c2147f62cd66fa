"""Which messages are ready to be received, in order: one lane for a queue, or one for each of its sessions.

Taken messages leave their lane and those given back join it again, both in logarithmic time; the next available
session is found among sessions that nobody holds without looking at those that are held.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from tests.servers.service_bus.messages import Message, State

Lane = str | None
"""A session id, or None for a queue without sessions."""


class Lanes:
    """The ready messages of a queue."""

    def __init__(self, messages: Mapping[int, Message]) -> None:
        self._messages = messages
        self._numbers: dict[Lane, list[int]] = {}
        self._offers: list[tuple[int, str]] = []
        """(first ready number, session id); entries that have become wrong are put right when they come up."""

    def add(self, lane: Lane, number: int) -> None:
        """A message became ready."""
        heapq.heappush(self._numbers.setdefault(lane, []), number)
        if lane is not None:
            heapq.heappush(self._offers, (number, lane))

    def first(self, lane: Lane) -> Message | None:
        """The oldest ready message of a lane."""
        numbers = self._numbers.get(lane)
        while numbers:
            message = self._messages.get(numbers[0])
            if message is not None and message.lock is None and message.state is State.ACTIVE:
                return message
            heapq.heappop(numbers)  # it expired meanwhile, or was given back twice
        self._numbers.pop(lane, None)
        return None

    def take(self, lane: Lane) -> Message | None:
        """Remove and return the oldest ready message of a lane."""
        message = self.first(lane)
        if message is not None:
            heapq.heappop(self._numbers[lane])
        return message

    def offer(self, session_id: str) -> None:
        """A session became free: whoever asks for the next one may have it if it has a ready message."""
        message = self.first(session_id)
        if message is not None:
            heapq.heappush(self._offers, (message.number, session_id))

    def next_session(self, held: Mapping[str, object]) -> str | None:
        """The free session with the oldest ready message. One that is held is offered again when it is released."""
        while self._offers:
            number, session_id = self._offers[0]
            message = None if session_id in held else self.first(session_id)
            if message is not None and message.number == number:
                return session_id
            heapq.heappop(self._offers)
            if message is not None:
                heapq.heappush(self._offers, (message.number, session_id))
        return None

"""Duplicate detection: which message ids a queue has seen within its window."""

from __future__ import annotations

from collections import deque


class Duplicates:
    """The ids that a queue remembers. A repetition does not extend the window of the first."""

    def __init__(self, window_ms: int) -> None:
        self._window = window_ms
        self._until: dict[str, int] = {}
        self._order: deque[tuple[int, str]] = deque()

    def is_first(self, message_id: str, now: int) -> bool:
        """Whether the id is new; from now on it is not. Messages without an id are never repetitions."""
        if self._window <= 0 or not message_id:
            return True
        while self._order and self._order[0][0] <= now:
            until, forgotten = self._order.popleft()
            if self._until.get(forgotten) == until:
                del self._until[forgotten]
        if self._until.get(message_id, now) > now:
            return False
        self._until[message_id] = now + self._window
        self._order.append((now + self._window, message_id))
        return True

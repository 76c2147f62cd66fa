"""Sessions of a queue: who holds which, until when, which messages are locked with it, and what state it keeps."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.servers.service_bus.errors import SESSION_CANNOT_BE_LOCKED, Refused, session_lock_lost
from tests.servers.service_bus.messages import NEVER, Message

if TYPE_CHECKING:
    from tests.servers.service_bus.store import Store


@dataclass(eq=False)
class SessionLock:
    """One receiver's hold on a session."""

    session_id: str
    locked_until: int
    on_lost: Callable[[], None] = lambda: None
    """Called when the lock has expired: the holder's link is detached."""
    messages: dict[int, Message] = field(default_factory=dict)


class SessionLocks:
    """The sessions of one queue."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._held: dict[str, SessionLock] = {}
        self._expiring: list[tuple[int, str]] = []
        self._states: dict[str, tuple[bytes, int]] = {}

    def accept(self, session_id: str | None, now: int) -> SessionLock | None:
        """Lock a session, or with None the next that is free and has a ready message; None if there is none.

        Raises:
            Refused: the session that was named is held by another receiver.
        """
        if session_id is None:
            session_id = self._store.lanes.next_session(self._held)
            if session_id is None:
                return None
        elif session_id in self._held:
            raise Refused(SESSION_CANNOT_BE_LOCKED, f"The session {session_id!r} is held by another receiver.")
        lock = SessionLock(session_id, now + self._store.lock_ms)
        self._held[session_id] = lock
        heapq.heappush(self._expiring, (lock.locked_until, session_id))
        return lock

    def release(self, lock: SessionLock) -> None:
        """Let another receiver have the session. Unsettled messages are given back without counting a delivery."""
        if self._held.get(lock.session_id) is lock:
            self._end(lock, is_failure=False)

    def renew(self, session_id: str, now: int) -> int:
        """Extend the lock on a session and on its messages; until when it holds now. Raises Refused."""
        lock = self._held.get(session_id)
        if lock is None:
            raise session_lock_lost(session_id)
        lock.locked_until = now + self._store.lock_ms
        heapq.heappush(self._expiring, (lock.locked_until, session_id))
        for message in lock.messages.values():
            message.locked_until = lock.locked_until
        return lock.locked_until

    def adopt(self, message: Message) -> int:
        """Lock a message together with its session; until when. Raises Refused: nobody holds the session."""
        session_id = message.content.session_id or ""
        lock = self._held.get(session_id)
        if lock is None:
            raise session_lock_lost(session_id)
        lock.messages[message.number] = message
        return lock.locked_until

    def forget(self, message: Message) -> None:
        """A message is not locked any more."""
        lock = self._held.get(message.content.session_id or "")
        if lock is not None:
            lock.messages.pop(message.number, None)

    def is_held(self, session_id: str) -> bool:
        """Whether a receiver holds the session."""
        return session_id in self._held

    def state(self, session_id: str) -> bytes | None:
        """What receivers keep with the session."""
        return self._states[session_id][0] if session_id in self._states else None

    def set_state(self, session_id: str, state: bytes | None, now: int) -> None:
        """Keep something with the session, or with None nothing any more."""
        if state is None:
            self._states.pop(session_id, None)
        else:
            self._states[session_id] = (state, now)

    def with_state(self, since: int | None) -> set[str]:
        """The sessions that keep a state, or whose state changed after a time."""
        return {session_id for session_id, (_, at) in self._states.items() if since is None or at > since}

    def tick(self, now: int) -> None:
        """Take sessions from receivers that did not renew them; each of their messages counts one failed delivery."""
        while self._expiring and self._expiring[0][0] <= now:
            lock = self._held.get(heapq.heappop(self._expiring)[1])
            if lock is not None and lock.locked_until <= now:
                self._store.count_expired_session()
                self._end(lock, is_failure=True)
                lock.on_lost()

    def reset(self) -> None:
        """Take all sessions from their receivers and forget all states."""
        held = list(self._held.values())
        self._held.clear()
        self._states.clear()
        self._expiring.clear()
        for lock in held:
            lock.on_lost()

    def next_due(self) -> int:
        """When `tick` has something to do next."""
        return self._expiring[0][0] if self._expiring else NEVER

    def _end(self, lock: SessionLock, *, is_failure: bool) -> None:
        messages = list(lock.messages.values())
        for message in messages:
            self._store.give_back(message, is_failure=is_failure)
        del self._held[lock.session_id]
        self._store.lanes.offer(lock.session_id)
        self._store.on_change()

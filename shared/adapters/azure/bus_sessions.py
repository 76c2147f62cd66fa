"""The sessions that this consumer holds: each is a receiver of its own, from the moment it was accepted.

To accept the next free session is to open a receiver for it: the broker answers when there is one. So a link that
stands open and waits costs nothing, and to look whether there is one costs a connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from shared.adapters.azure.bus_handler import aside, close_all
from shared.adapters.azure.bus_namespace import Clients, Timing
from shared.adapters.queues import Address
from shared.errors import Conflict, GenAIOpsError, NotFound, Transient

if TYPE_CHECKING:
    from azure.servicebus import ServiceBusReceiver

R = TypeVar("R")


class _Held:
    """A session and its receiver, used by one thread at a time."""

    def __init__(self, receiver: ServiceBusReceiver) -> None:
        self.receiver = receiver
        self.lock = threading.Lock()


class Sessions:
    """Accepts, uses, renews and releases."""

    def __init__(
        self, clients: Clients, explain: Callable[[Address, Exception], GenAIOpsError], timing: Timing
    ) -> None:
        self._clients, self._explain, self._timing = clients, explain, timing
        self._lock = threading.Lock()
        self._held: dict[tuple[str, str], _Held] = {}
        self._ready: dict[str, list[str]] = {}
        """Sessions that were accepted while their queue was opened, for who accepts next."""
        self._waiting: set[ServiceBusReceiver] = set()
        self._stopped = False

    def open(self, address: Address) -> None:
        """See whether sessions can be accepted. Raises what `accept` raises."""
        session = self.accept(address, self._timing.look_s)
        if session is not None:
            with self._lock:
                self._ready.setdefault(address.name, []).append(session)

    def accept(self, address: Address, wait_s: float) -> str | None:
        """Wait for a session and hold it; None if there is none within the time, or if nobody is to wait any more."""
        with self._lock:
            if self._stopped:
                return None
            if ready := self._ready.get(address.name):
                return ready.pop()
            receiver = self._clients.session_receiver(address.config.name, wait_s)
            self._waiting.add(receiver)
        try:
            receiver.__enter__()
        except Exception as error:
            aside(receiver.close)
            if self._is_stopped() or _is_timeout(error):
                return None
            raise self._explain(address, error) from error
        finally:
            with self._lock:
                self._waiting.discard(receiver)
        session = receiver.session.session_id
        with self._lock:
            if not self._stopped:
                self._held[address.name, session] = _Held(receiver)
                return session
        aside(receiver.close)
        return None

    def use(self, address: Address, session: str, operation: Callable[[ServiceBusReceiver], R]) -> R:
        """Do something with a session's receiver. Raises Conflict if the session is not held (any more)."""
        held = self._of(address, session)
        with held.lock:
            try:
                return operation(held.receiver)
            except Exception as error:
                told = self._explain(address, error)
                if isinstance(told, Transient | NotFound) or _lost_session(error):
                    # With its link a session is lost: the broker gives it to who accepts it next.
                    self.release(address, session)
                    raise _not_held(address, session) from error
                raise told from error

    def renew(self, address: Address, session: str) -> datetime:
        """Extend the lock; returns its new end. Raises Conflict if it was lost."""
        return self.use(address, session, lambda receiver: receiver.session.renew_lock())

    def release(self, address: Address, session: str) -> None:
        """Let others have the session; what this consumer does not hold is not touched."""
        with self._lock:
            held = self._held.pop((address.name, session), None)
        if held is not None:
            aside(held.receiver.close)

    def stop_waiting(self) -> None:
        """Let everybody who waits return, now and from now on."""
        with self._lock:
            self._stopped = True
            waiting = list(self._waiting)
        for receiver in waiting:
            aside(receiver.close)

    def close(self) -> None:
        """End all receivers."""
        self.stop_waiting()
        with self._lock:
            held, self._held = list(self._held.values()), {}
        close_all(session.receiver.close for session in held)

    def _is_stopped(self) -> bool:
        with self._lock:
            return self._stopped

    def _of(self, address: Address, session: str) -> _Held:
        with self._lock:
            held = self._held.get((address.name, session))
        if held is None:
            raise _not_held(address, session)
        return held


def _not_held(address: Address, session: str) -> Conflict:
    return Conflict(f"The session {session!r} of {address.name} is not locked by this consumer (any more).")


def _is_timeout(error: Exception) -> bool:
    from azure.servicebus.exceptions import OperationTimeoutError

    return isinstance(error, OperationTimeoutError)


def _lost_session(error: Exception) -> bool:
    from azure.servicebus.exceptions import SessionLockLostError

    return isinstance(error, SessionLockLostError)

"""One sender or receiver of the SDK, which are not thread-safe, for all threads of a process.

It is opened when it is first used, used by one thread at a time, and replaced by a new one when it broke.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Generic, Protocol, TypeVar

from shared.errors import Conflict, GenAIOpsError, Malformed, Transient

if TYPE_CHECKING:
    from typing import Self

log: Final = logging.getLogger("genaiops.service_bus")

CLOSING_S: Final = 5.0
"""How long closing waits: the SDK joins its keep-alive threads, which sleep for a second at a time."""


class Closable(Protocol):
    """What senders and receivers of the SDK have in common."""

    def __enter__(self) -> Self: ...

    def close(self) -> None:
        """End the link and its connection."""
        ...


H = TypeVar("H", bound=Closable)
R = TypeVar("R")


class Handler(Generic[H]):
    """Opens, guards and replaces one sender or receiver."""

    def __init__(self, make: Callable[[], H], explain: Callable[[Exception], GenAIOpsError]) -> None:
        self._make, self._explain = make, explain
        self._lock = threading.Lock()
        self._opened: H | None = None
        self._closed = False

    def use(self, operation: Callable[[H], R]) -> R:
        """Do something with it, opened; other threads wait.

        Raises:
            GenAIOpsError: of the family that says what to do; see `bus_errors.explained`.
        """
        with self._lock:
            if self._closed:
                raise Transient("The Service Bus clients of this process were closed.")
            try:
                if self._opened is None:
                    self._opened = self._make()
                    # Entering opens the link, with the client's own retries.
                    self._opened.__enter__()
                return operation(self._opened)
            except Exception as error:
                told = self._explain(error)
                # The message was at fault, not the link.
                if not isinstance(told, Conflict | Malformed):
                    self._replace()
                raise told from error

    def close(self) -> None:
        """End it for good."""
        self._closed = True
        # Without the lock: whoever uses it is thrown out of what it waits for.
        opened, self._opened = self._opened, None
        close_all([] if opened is None else [opened.close])

    def _replace(self) -> None:
        opened, self._opened = self._opened, None
        if opened is not None:
            aside(opened.close)


def aside(close: Callable[[], None]) -> threading.Thread:
    """Close something without waiting: its link ends at once, but the SDK then joins a thread that sleeps a second."""
    thread = threading.Thread(target=_closed, args=(close,), name="service-bus-close", daemon=True)
    thread.start()
    return thread


def close_all(closers: Iterable[Callable[[], None]]) -> None:
    """Close many things at once, and wait for a while."""
    threads = [aside(close) for close in closers]
    for thread in threads:
        thread.join(CLOSING_S)


def _closed(close: Callable[[], None]) -> None:
    # What is closed may be broken, or half open in another thread: either is its end.
    with suppress(Exception):
        close()

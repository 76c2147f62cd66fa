"""Stopping by signal: the first one lets things end in order, the second one ends the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):
    """The process was asked to end; it exits with 128 + the signal's number."""


def stop_signals(on_first: Callable[[], None]) -> AbstractContextManager[None]:
    """While this is entered, SIGINT and SIGTERM call `on_first`; a second signal exits with 128 + its number.

    Only in the main thread. The former handlers come back at the end.
    """
    return _handled(lambda _number: on_first())


def interrupting_signals() -> AbstractContextManager[None]:
    """The same, but the first signal raises Interrupted in the main thread, wherever that is.

    For what has nothing to finish: the `with` blocks that it is in end what they hold.
    """

    def interrupt(number: int) -> None:
        raise Interrupted(128 + number)

    return _handled(interrupt)


@contextmanager
def _handled(on_first: Callable[[int], None]) -> Iterator[None]:
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            # Not sys.exit: that would wait for threads, and whoever asks twice does not want to wait.
            os._exit(128 + number)
        seen.append(number)
        on_first(number)

    former = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

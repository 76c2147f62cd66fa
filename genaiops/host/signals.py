"""Stopping by signal: the first one drains, the second one ends the process at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

STOPPING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def stop_signals(on_first: Callable[[], None]) -> Iterator[None]:
    """While this is entered, SIGINT and SIGTERM call `on_first`; a second signal exits with 128 + its number.

    Only in the main thread. The former handlers come back at the end.
    """
    seen: list[int] = []

    def handle(number: int, _frame: FrameType | None) -> None:
        if seen:
            # Not sys.exit: that would wait for threads, and whoever asks twice does not want to wait.
            os._exit(128 + number)
        seen.append(number)
        on_first()

    former = {number: signal.signal(number, handle) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)

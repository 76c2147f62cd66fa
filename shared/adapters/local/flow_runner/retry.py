"""When a call of a model is tried again, and after how long: back-off with jitter, or what the service asks for.

Pure decisions, no sleeping: `model_calls.py` acts on them inside the worker.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

MAX_ATTEMPTS: Final = 6
"""Tries of one call, the first included."""
FIRST_DELAY_S: Final = 0.5
LONGEST_DELAY_S: Final = 20.0
LONGEST_RETRY_AFTER_S: Final = 120.0
"""A service that asks for a longer pause than this is not waited for."""


def may_retry(status: int | None) -> bool:
    """Whether an answer with this HTTP status (None: no answer came) can be different the next time."""
    return status is None or status in (408, 409, 429) or status >= 500


def delay(attempt: int, headers: Mapping[str, str], *, time_left: float) -> float | None:
    """Seconds to wait after try number `attempt` (from 1) failed; None to give up.

    It gives up after MAX_ATTEMPTS, or when the pause would end after the line's time is over. `headers` are those of
    the answer: `retry-after-ms` and `Retry-After` (seconds or a date) go before our own back-off. Jitter keeps lines
    that were refused together from coming back together.
    """
    if attempt >= MAX_ATTEMPTS:
        return None
    asked = _asked(headers)
    if asked is not None and asked > LONGEST_RETRY_AFTER_S:
        return None
    backoff = min(LONGEST_DELAY_S, FIRST_DELAY_S * 2.0 ** (attempt - 1))
    # S311: jitter needs no cryptography. A pause asked for is never cut short, only lengthened a little.
    pause = backoff * random.uniform(0.5, 1.0) if asked is None else asked * random.uniform(1.0, 1.1)  # noqa: S311
    return pause if pause < time_left else None


def _asked(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            return max(0.0, float(text) * unit)
        except ValueError:
            pass
        try:
            return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
        except (ValueError, TypeError):
            continue
    return None

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.adapters.local.flow_runner.retry import MAX_ATTEMPTS, delay, may_retry


@pytest.mark.parametrize("status", [None, 408, 409, 429, 500, 502, 503, 504])
def test_what_can_pass_is_tried_again(status: int | None) -> None:
    assert may_retry(status)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_stays_wrong_is_not(status: int) -> None:
    assert not may_retry(status)


def test_pauses_double_with_jitter_and_end_after_the_last_try() -> None:
    for attempt in range(1, MAX_ATTEMPTS):
        full = 0.5 * 2 ** (attempt - 1)
        pauses = [delay(attempt, {}, time_left=1_000) for _ in range(50)]
        assert all(pause is not None and full / 2 <= pause <= full for pause in pauses)
        assert len(set(pauses)) > 1
    assert delay(MAX_ATTEMPTS, {}, time_left=1_000) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "300", "retry-after": "1"}, 0.3),
        ({"retry-after": "-3"}, 0.0),
    ],
)
def test_the_pause_that_the_service_asks_for_is_kept(headers: dict[str, str], seconds: float) -> None:
    pause = delay(1, headers, time_left=1_000)
    assert pause is not None
    assert seconds <= pause <= seconds * 1.1


def test_the_service_may_name_a_time() -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    pause = delay(1, {"retry-after": later}, time_left=1_000)
    assert pause is not None
    assert 50 < pause < 67


def test_what_nobody_can_read_counts_as_nothing_asked() -> None:
    pause = delay(1, {"retry-after": "soon"}, time_left=1_000)
    assert pause is not None
    assert 0.25 <= pause <= 0.5


def test_it_gives_up_rather_than_wait_longer_than_the_line_may_take() -> None:
    assert delay(1, {"retry-after": "10"}, time_left=9) is None
    assert delay(1, {}, time_left=0.1) is None


def test_it_gives_up_on_a_service_that_asks_for_minutes() -> None:
    assert delay(1, {"retry-after": "3600"}, time_left=1_000_000) is None

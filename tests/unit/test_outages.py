"""Queues that cannot be read for a while: said once, however many notice it and however late."""

from __future__ import annotations

import logging

import pytest

from genaiops.host import outages
from genaiops.host.outages import Outages
from shared.errors import NotFound, Transient

AWAY = Transient("the namespace is away")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock's hand; change it to let time pass."""
    now = [1000.0]
    monkeypatch.setattr("genaiops.host.outages.time.monotonic", lambda: now[0])
    return now


def lines(caplog: pytest.LogCaptureFixture, least: int = logging.WARNING) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= least]


def test_an_outage_of_all_queues_is_one_line_and_its_end_another(clock: list[float], caplog: pytest.LogCaptureFixture):
    caplog.set_level("INFO")
    found = Outages()
    for queue in ("evaluation", "chain-events", "evaluation"):
        found.failed(queue, AWAY)
    clock[0] += 20
    found.passed("chain-events")
    assert len(lines(caplog, logging.INFO)) == 1
    found.passed("evaluation")
    assert lines(caplog, logging.INFO) == [
        "queues cannot be read; trying until they can. The first was evaluation: the namespace is away",
        "all queues can be read again, after 20 s",
    ]


def test_a_reader_that_notices_late_adds_no_second_outage(clock: list[float], caplog: pytest.LogCaptureFixture):
    found = Outages()
    found.failed("evaluation", AWAY)
    clock[0] += 20
    found.passed("evaluation")
    clock[0] += 5
    found.failed("chain-events", AWAY)
    assert found.has("chain-events")
    assert len(lines(caplog)) == 1


def test_an_outage_some_minutes_later_is_another_one(clock: list[float], caplog: pytest.LogCaptureFixture):
    found = Outages()
    for _ in range(2):
        found.failed("evaluation", AWAY)
        found.passed("evaluation")
        clock[0] += 10 * outages.SAME_OUTAGE
    assert len(lines(caplog)) == 2


def test_a_queue_that_does_not_exist_is_named_even_right_after_an_outage(
    clock: list[float], caplog: pytest.LogCaptureFixture
):
    found = Outages()
    found.failed("evaluation", AWAY)
    found.passed("evaluation")
    found.failed("deployment", NotFound("there is no queue deployment"))
    assert lines(caplog)[-1].startswith("the queue deployment cannot be read")

"""Envelopes fit Service Bus: a MessageId has at most 128 characters, and the same id always gives the same."""

from __future__ import annotations

from datetime import UTC, datetime

from shared.chain.messages import CancelRequested
from shared.envelopes import LONGEST_MESSAGE_ID, envelope


def message_id(text: str) -> str:
    event = CancelRequested(id="x", chain="c", at=datetime(2026, 1, 1, tzinfo=UTC), by="ada")
    return envelope(event, text).message_id


def test_an_id_that_fits_stays_as_it_is():
    assert message_id("c/1") == "c/1"
    assert message_id("a" * LONGEST_MESSAGE_ID) == "a" * LONGEST_MESSAGE_ID


def test_a_longer_id_is_shortened_to_one_of_its_own():
    first, second = message_id("a" * 128 + "1"), message_id("a" * 128 + "2")
    assert len(first) == len(second) == LONGEST_MESSAGE_ID
    assert first != second
    assert first == message_id("a" * 128 + "1")

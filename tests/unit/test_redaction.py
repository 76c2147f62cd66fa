from __future__ import annotations

from shared.connections import Connection
from shared.redaction import Redaction


def connection(key: str, *, stand_in: bool = False) -> Connection:
    return Connection("aoai", "azure", "https://models.example.com", key, stand_in=stand_in)


def test_every_key_is_taken_out_wherever_it_stands() -> None:
    redacted = Redaction([connection("first-secret"), connection("second-secret")])
    assert redacted("first-secret, second-secret and first-secret") == "***, *** and ***"


def test_a_key_that_begins_with_another_leaves_no_rest() -> None:
    redacted = Redaction([connection("sk-12345678"), connection("sk-12345678-and-more")])
    assert redacted("sent sk-12345678-and-more") == "sent ***"


def test_what_is_no_secret_stays() -> None:
    redacted = Redaction([connection("stand-in", stand_in=True), connection("short"), connection("")])
    assert redacted("short: the stand-in answered") == "short: the stand-in answered"

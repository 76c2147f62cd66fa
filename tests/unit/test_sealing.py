"""Sealed texts: opened by the same key for the same context, and by nothing else."""

from __future__ import annotations

import re
import secrets

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BusinessFailure
from shared.sealing import seal, unseal

KEYS = st.binary(min_size=32, max_size=32)
TEXTS = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=200)
CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.+/= \nä"


@given(KEYS, TEXTS, TEXTS)
def test_what_was_sealed_opens_with_the_same_key_for_the_same_context(key: bytes, text: str, context: str) -> None:
    assert unseal(key, seal(key, text, context=context), context=context) == text


@given(KEYS, KEYS, TEXTS)
def test_another_key_opens_nothing(key: bytes, other: bytes, text: str) -> None:
    sealed = seal(key, text, context="chain-1")
    if key != other:
        with pytest.raises(BusinessFailure, match="cannot be opened"):
            unseal(other, sealed, context="chain-1")


@given(KEYS, TEXTS, TEXTS, TEXTS)
def test_a_sealed_text_opens_in_no_other_context(key: bytes, text: str, context: str, other: str) -> None:
    sealed = seal(key, text, context=context)
    if context != other:
        with pytest.raises(BusinessFailure, match="belongs to another record"):
            unseal(key, sealed, context=other)


@given(KEYS, TEXTS, st.data())
def test_a_change_of_any_character_is_seen(key: bytes, text: str, data: st.DataObject) -> None:
    sealed = seal(key, text, context="c")
    place = data.draw(st.integers(0, len(sealed) - 1))
    other = data.draw(st.sampled_from(CHARACTERS).filter(lambda character: character != sealed[place]))
    for changed in (sealed[:place] + other + sealed[place + 1 :], sealed[:place] + sealed[place + 1 :], sealed + other):
        with pytest.raises(BusinessFailure, match="cannot be opened"):
            unseal(key, changed, context="c")


@given(TEXTS)
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(BusinessFailure):
        unseal(bytes(32), text, context="c")


def test_the_same_text_is_sealed_differently_each_time_and_fits_into_json_and_addresses() -> None:
    key = secrets.token_bytes(32)
    sealed = {seal(key, "eyJ-the-token-of-a-task", context="chain-1") for _ in range(50)}
    assert len(sealed) == 50
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", text) for text in sealed)


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_a_key_of_another_length_is_refused_though_the_cipher_knows_shorter_ones(length: int) -> None:
    with pytest.raises(BusinessFailure, match=f"{length} bytes instead of 32"):
        seal(bytes(length), "text", context="c")
    sealed = seal(bytes(32), "text", context="c")
    with pytest.raises(BusinessFailure, match=f"{length} bytes instead of 32"):
        unseal(bytes(length), sealed, context="c")


def test_no_error_quotes_the_secret() -> None:
    with pytest.raises(BusinessFailure) as refused:
        seal(bytes(32), "the-secret-\ud800", context="c")
    assert "the-secret" not in str(refused.value)
    assert refused.value.__cause__ is None

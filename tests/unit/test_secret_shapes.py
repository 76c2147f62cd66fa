"""Secrets that show by their shape are taken out of any text; ordinary texts stay as they are."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secret_shapes import masked

SECRET = "planted0SECRET0planted0SECRET0planted"
JWT = "eyJ0eXAiOiJKV1QiLCJhbGciOiJSUzI1NiJ9.eyJwbGFudGVkIjoiU0VDUkVUIn0.c2lnbmF0dXJlX29mX2l0"
STORAGE_KEY = base64.b64encode(b"p" * 64).decode()
BUS_KEY = base64.b64encode(b"q" * 32).decode()
PERSONAL = "p" * 76 + "AZDO" + "abcd"

TEXTS = [
    (f"401 for Authorization: Bearer {SECRET}", SECRET),
    (f"headers {{'Authorization': 'Bearer {SECRET}', 'Accept': '*/*'}}", SECRET),
    (f"headers {{'Authorization': 'Basic {SECRET}'}}", SECRET),
    (json.dumps({"PlanId": "7", "AuthToken": SECRET}), SECRET),
    (f"properties {{'AuthToken': '{SECRET}'}}", SECRET),
    (f"DefaultEndpointsProtocol=https;AccountName=a;AccountKey={STORAGE_KEY};EndpointSuffix=x", STORAGE_KEY),
    (f"Endpoint=sb://a/;SharedAccessKeyName=Root;SharedAccessKey={BUS_KEY}", BUS_KEY),
    (f"SharedAccessSignature sr=https%3a%2f%2fa&sig={SECRET}%3d&se=1&skn=Root", SECRET),
    (f"GET https://a.blob.core.windows.net/c/b?sv=2024&sp=r&sig={SECRET}%3D failed", SECRET),
    (f"https://a.azurewebsites.net/api/dashboard?code={SECRET}==", SECRET),
    (f"the key {STORAGE_KEY} is wrong", STORAGE_KEY),
    (f"the key {BUS_KEY}, and another", BUS_KEY),
    (f"token {JWT} expired", JWT),
    (f"api-key: {SECRET}", SECRET),
    (f'{{"api_key": "{SECRET}", "api_base": "https://a"}}', SECRET),
    (f"client_secret={SECRET}&grant_type=client_credentials", SECRET),
    (f"Ocp-Apim-Subscription-Key: {SECRET}", SECRET),
    (f"x-functions-key={SECRET}", SECRET),
    (f"sk-proj-{SECRET}", SECRET),
    (f"pat {PERSONAL}.", PERSONAL),
]


@pytest.mark.parametrize(("text", "secret"), TEXTS, ids=[text[:24] for text, _ in TEXTS])
def test_a_secret_is_taken_out_and_the_rest_stays(text: str, secret: str) -> None:
    shown = masked(text)
    assert secret not in shown
    assert secret[:12] not in shown
    assert "***" in shown
    assert shown[:3] == text[:3] or text.startswith("sk-")
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "gate accuracy: 0.91 (limit 0.9), p=0.04, max_tokens=512, code=3",
        "The chain ended: succeeded.",
        "commit 0123456789abcdef0123456789abcdef01234567, bundle sha256=" + "ab" * 32,
        "the tokens: 1200 prompt, 300 completion; Basic checks passed",
        "https://town.blob.core.windows.net/reports/c-1/report.html?sv=2024",
        "keys: aoai, serp; monkey=banana; the author is known",
        "RunCell failed 5 times, the last time with: The model answered 429",
        "risk-assessment-of-the-whole-town-by-people",
    ],
)
def test_an_ordinary_text_stays_as_it_is(text: str) -> None:
    assert masked(text) == text


@pytest.mark.parametrize(
    "part",
    [
        "eyJ-",
        "eyJa.",
        "sk-",
        "Bearer ",
        "password ",
        "pwd=",
        "sig=",
        "A",
        "A/",
        "=",
        "'Authorization': ",
        "?code=",
        "\t",
    ],
)
def test_a_text_that_is_made_to_take_long_takes_no_longer(part: str) -> None:
    masked(part * (400_000 // len(part)))
    masked("password" + part * (400_000 // len(part)))


@given(st.text())
def test_any_text_can_be_masked_and_masking_it_again_changes_nothing(text: str) -> None:
    assert masked(masked(text)) == masked(text)

"""Sealing: a short secret text as another text that only this installation's key opens, and only where it belongs.

AES-256-GCM with a random nonce; `context` says what the text was sealed for and is authenticated with it, so that a
sealed text moved into another record opens nowhere.
"""

from __future__ import annotations

import base64
import re
import secrets
from typing import Final

from shared.errors import BusinessFailure
from shared.ports.keys import KEY_BYTES

_VERSION: Final = "v1."
_NONCE_BYTES: Final = 12
"""What NIST SP 800-38D recommends. Random ones may seal 2^32 texts under one key."""
_TAG_BYTES: Final = 16


def seal(key: bytes, text: str, *, context: str) -> str:
    """The text, sealed for this context: letters, digits, `.`, `-` and `_`, different at each call.

    Raises BusinessFailure where the key is not one of 32 bytes, or the text is none that UTF-8 can hold.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    nonce = secrets.token_bytes(_NONCE_BYTES)
    try:
        plain, associated = text.encode(), context.encode()
    except UnicodeEncodeError:  # its own words would quote the secret: nothing of it is said
        raise BusinessFailure("A text with half a surrogate pair cannot be sealed.") from None
    sealed = AESGCM(_checked(key)).encrypt(nonce, plain, associated)
    return _VERSION + base64.urlsafe_b64encode(nonce + sealed).rstrip(b"=").decode()


def unseal(key: bytes, sealed: str, *, context: str) -> str:
    """The text that was sealed with this key for this context.

    Raises BusinessFailure where key or context is another one, or a character of `sealed` was changed: the three
    cannot be told apart. Nothing of the text or of the key is in the error.
    """
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    refusal = BusinessFailure(
        "A sealed text cannot be opened: it was changed, belongs to another record, or was sealed with another key. "
        "If this installation's keys were replaced (container secrets), what was sealed before is lost: ask again."
    )
    content = _decoded(sealed)
    if content is None:
        raise refusal
    try:
        associated = context.encode()
        plain = AESGCM(_checked(key)).decrypt(content[:_NONCE_BYTES], content[_NONCE_BYTES:], associated)
        return plain.decode()
    except (InvalidTag, UnicodeError):
        raise refusal from None


def _decoded(sealed: str) -> bytes | None:
    # The decoder drops characters that are not of its alphabet: what is not exactly of the form is refused first.
    match = re.fullmatch(re.escape(_VERSION) + r"([A-Za-z0-9_-]+)", sealed)
    if match is None:
        return None
    body = match[1]
    try:
        content = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except ValueError:
        return None
    # Spare bits of the last character decode to nothing: one content has one spelling.
    if base64.urlsafe_b64encode(content).rstrip(b"=").decode() != body:
        return None
    return content if len(content) >= _NONCE_BYTES + _TAG_BYTES else None


def _checked(key: bytes) -> bytes:
    if len(key) != KEY_BYTES:
        raise BusinessFailure(
            f"The installation's key has {len(key)} bytes instead of {KEY_BYTES}: the blob in the container secrets is "
            "damaged. Delete it, and a new one is made; what was sealed with it is lost."
        )
    return key

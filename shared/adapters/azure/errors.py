"""What the SDKs over azure-core raise, in the families of `shared/errors.py`, with the text that tells what to do.

with translated("the Azure ML workspace 'genaiops-ml'", role="AzureML Data Scientist"):
    client.models.get(...)
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from shared.errors import BusinessFailure, Conflict, GenAIOpsError, NotFound, Throttled, Transient

PAUSE_S: Final = 10.0
"""The pause of a service that asks for one and does not say how long."""
SHOWN: Final = 500
"""Characters of a service's own text that an error repeats."""
_SIGNATURE: Final = re.compile(r"(?i)\b(sig|signature|sharedaccesskey|accountkey)=[^&;\s\"']+")
_TOKEN: Final = re.compile(r"\beyJ[\w-]{8,}(\.[\w-]*)*|(?i:\b(bearer|sharedkey)\s+\S+)")
"""A JSON web token, and what follows the scheme in an Authorization header."""
_IDENTITY_STATUS: Final = re.compile(r"Token request error: \([\w ]*\) (429|5\d\d)\b")
"""How azure-identity words what a managed identity's endpoint answered (`MsalManagedIdentityClient._request_token`)."""


@contextmanager
def translated(what: str, *, role: str) -> Iterator[None]:
    """Raise the SDKs' errors as those of the family that says what happens to the message at hand.

    Args:
        what: the resource that was asked, as the text shall name it.
        role: the role that lets the app's identity do it, for when it may not.
    """
    from azure.core.exceptions import AzureError

    try:
        yield
    except AzureError as error:
        raise explained(error, what, role) from error
    except Exception as error:
        # Errors of requests itself: a connection broke off while an answer's body was read, past azure-core.
        if type(error).__module__.split(".")[0] in ("requests", "urllib3"):
            raise Transient(f"{what} cannot be reached: {_text(error)}") from error
        raise


def explained(error: Exception, what: str, role: str) -> GenAIOpsError:
    """The family's error. `translated` raises it; for callers that look at it first."""
    from azure.core.exceptions import (
        ClientAuthenticationError,
        DecodeError,
        HttpResponseError,
        ResourceNotFoundError,
        ServiceRequestError,
        ServiceResponseError,
    )

    text = _text(error)
    status = error.status_code if isinstance(error, HttpResponseError) else None
    if type(error).__module__.split(".")[:2] == ["azure", "identity"] or (
        isinstance(error, ClientAuthenticationError) and error.response is None
    ):
        return _without_token(what, text)
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    told = of_status(status, what, role, text, headers) if status is not None else None
    if told is not None:
        return told
    match error:  # other refusals, and errors without an answer, are told apart by their class
        case ClientAuthenticationError():
            return _refused(what, role, text)
        case ResourceNotFoundError():
            return NotFound(f"{what} does not have it: {text}")
        case ServiceRequestError() | ServiceResponseError() | DecodeError():
            return Transient(f"{what} cannot be reached: {text}")
        case HttpResponseError(inner_exception=ServiceResponseError() | DecodeError()):  # an answer that broke off
            return Transient(f"{what} cannot be reached: {text}")
        case _:
            return BusinessFailure(f"{what} refused the request: {text}")


def of_status(status: int, what: str, role: str, text: str, headers: Mapping[str, str]) -> GenAIOpsError | None:
    """The family of an answer by its status alone; None for one that is told apart by more.

    Args:
        status: of the answer.
        what: the resource that was asked, as the text shall name it.
        role: the role that lets the app's identity do it.
        text: what the service said, without secrets.
        headers: of the answer; `Retry-After` is read.
    """
    match status:
        case 401 | 403:
            return _refused(what, role, text)
        case 404:
            return NotFound(f"{what} does not have it: {text}")
        case 409 | 412:
            return Conflict(f"{what} was changed by someone else at the same time: {text}")
        case 429:
            return Throttled(f"{what} asks for a pause: {text}", retry_after(headers))
        case 408:
            return Transient(f"{what} did not answer in time: {text}")
        case int() if status >= 500:
            return Transient(f"{what} is not well ({status}): {text}")
        case _:
            return None


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds that an answer asks to wait: a number, or a date (RFC 9110, 10.2.3); `PAUSE_S` where it says nothing."""
    text = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    try:
        return max(0.0, float(text))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return PAUSE_S


def _refused(what: str, role: str, text: str) -> BusinessFailure:
    return BusinessFailure(
        f"{what} did not let this app in: give the app's managed identity the role {role} there; a new assignment "
        f"takes some minutes to work. It said: {text}"
    )


def _without_token(what: str, text: str) -> GenAIOpsError:
    """No token was given out: a service that is busy is not an identity that is missing."""
    if _IDENTITY_STATUS.search(text) or "timed out" in text:
        return Transient(f"{what} was not asked: the identity endpoint gives no token for now: {text}")
    return BusinessFailure(
        f"{what} was not asked, for this app got no token. In Azure: switch the app's managed identity on, or correct "
        "AZURE_CLIENT_ID if it names a user-assigned one that the app does not have. On a developer's machine: "
        f"`az login`. It said: {text}"
    )


def _text(error: Exception) -> str:
    """What the service said, without signatures of links and without tokens."""
    text = " ".join(str(getattr(error, "message", "") or str(error) or type(error).__name__).split())
    return _TOKEN.sub("…", _SIGNATURE.sub(r"\1=…", text))[:SHOWN]

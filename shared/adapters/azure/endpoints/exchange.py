"""One request to a served flow and its answer, of which only so much is believed: what answers is the use case's code.

Redirects are not followed, or a flow would choose what the app asks in its own network; an answer that goes on and on
is cut off, in bytes and in time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from shared.errors import BusinessFailure, Transient

if TYPE_CHECKING:
    from requests import Response

LARGEST: Final = 16 * 1024 * 1024
"""Bytes of an answer."""
_PIECE: Final = 16 * 1024
_CONNECT_S: Final = 10.0


@dataclass(frozen=True)
class Answer:
    """An answer over HTTP; names of headers in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    latency_ms: float


def score(
    url: str, payload: Mapping[str, object], timeout_s: float, headers: Mapping[str, str] | None = None
) -> Answer:
    """Send a scoring request, with these headers beside its content's type.

    Raises:
        Transient: nothing answered, or not in time.
        BusinessFailure: the answer is too long.
    """
    import requests

    sent = {"Content-Type": "application/json", **(headers or {})}
    try:
        return exchange("POST", url, sent, json.dumps(payload).encode(), timeout_s)
    except requests.Timeout as error:
        raise Transient(f"No answer from {url} within {timeout_s:g} s.") from error
    except requests.RequestException as error:
        raise Transient(f"{url} cannot be reached ({type(error).__name__}).") from error


def exchange(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None, timeout_s: float, *, largest: int = LARGEST
) -> Answer:
    """Send one request. A connection of its own each time: a function that sleeps keeps none alive.

    Raises:
        requests.RequestException: nothing answered, or not in time.
        BusinessFailure: the answer is longer than `largest`, in bytes.
    """
    import requests

    start = time.perf_counter()
    content = bytearray()
    limits = (_CONNECT_S, timeout_s)
    options: dict[str, Any] = {"allow_redirects": False, "stream": True}
    sent = {**headers, "Accept-Encoding": "identity"}
    with requests.request(method, url, data=body, headers=sent, timeout=limits, **options) as answer:
        while piece := _arrived(answer):
            content += piece
            if len(content) > largest:
                raise BusinessFailure(
                    f"The answer of {url} has more than {largest // 1024:,} KB: a flow that is served must answer less."
                )
            if time.perf_counter() - start > _CONNECT_S + timeout_s:
                raise requests.Timeout(f"the answer did not end within {timeout_s:g} s")
        latency_ms = (time.perf_counter() - start) * 1000
        found = {name.lower(): value for name, value in answer.headers.items()}
        return Answer(answer.status_code, found, bytes(content), latency_ms)


def _arrived(answer: Response) -> bytes:
    """What has arrived: `iter_content` waits until a piece is whole, however slowly it drips. It is not unpacked."""
    import requests
    from urllib3.exceptions import HTTPError, ReadTimeoutError

    try:
        return answer.raw.read1(_PIECE, decode_content=False)  # type: ignore[no-any-return]
    except ReadTimeoutError as error:
        raise requests.Timeout("the answer stopped") from error
    except (HTTPError, OSError) as error:
        raise requests.ConnectionError("the connection broke off") from error

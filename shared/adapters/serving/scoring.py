"""The web app of a served function, class or prompty: the engine that evaluated the flow answers requests with it.

`POST /score` takes the flow's inputs as a JSON object and answers its outputs; `GET /health` answers once the flow is
loaded. Errors are JSON, `{"error": {"code": …, "message": …}}`: 400 where the caller can mend it, 500 where the flow
failed, and where the model behind it did 504 (no answer in time), 503 (too many calls) or 502 (anything else).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from itertools import count
from typing import Any

from shared.adapters.local.engines.contract import Executable, InputError
from shared.adapters.local.engines.isolation import forget_captured
from shared.adapters.local.engines.model_errors import model_errors
from shared.adapters.local.engines.reasons import NoJsonForm, described, plain
from shared.redaction import Redaction

StartResponse = Callable[[str, list[tuple[str, str]]], object]


class ScoringApp:
    """A WSGI app. Safe for threads, as executables are."""

    def __init__(self, executable: Executable, redacted: Redaction) -> None:
        self._executable = executable
        self._redacted = redacted
        self._requests = count()

    def __call__(self, environ: Mapping[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        status, content = self._answer(environ)
        body = json.dumps(content).encode()
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status.value} {status.phrase}", headers)
        return [body]

    def _answer(self, environ: Mapping[str, Any]) -> tuple[HTTPStatus, object]:
        match environ["REQUEST_METHOD"], environ["PATH_INFO"]:
            case "GET" | "HEAD", "/health":
                return HTTPStatus.OK, {"status": "Healthy"}
            case "POST", "/score":
                return self._scored(environ)
            case _, "/health" | "/score":
                return _refused(HTTPStatus.METHOD_NOT_ALLOWED, "use POST /score or GET /health")
            case _:
                return _refused(HTTPStatus.NOT_FOUND, "use POST /score or GET /health")

    def _scored(self, environ: Mapping[str, Any]) -> tuple[HTTPStatus, object]:
        try:
            inputs = json.loads(environ["wsgi.input"].read())
        except (ValueError, RecursionError) as error:
            return _refused(
                HTTPStatus.BAD_REQUEST, f"The body is no JSON ({error}): send the flow's inputs as an object."
            )
        if not isinstance(inputs, dict):
            return _refused(HTTPStatus.BAD_REQUEST, "The body is no JSON object: send the flow's inputs as one.")
        forget_captured()
        try:
            result = self._executable.line(inputs, next(self._requests), "served")
            return HTTPStatus.OK, plain(result.outputs)
        except InputError as error:
            return _refused(HTTPStatus.BAD_REQUEST, self._redacted(str(error)))
        except NoJsonForm as error:
            return _refused(HTTPStatus.INTERNAL_SERVER_ERROR, self._redacted(str(error)))
        except BaseException as error:  # flow code may raise anything, SystemExit too: the process must go on serving
            return _refused(_status_of(error), self._redacted(described(error)))


def _status_of(error: BaseException) -> HTTPStatus:
    """Whose fault it is, as far as the error tells."""
    names = model_errors(error)
    if not names:
        return HTTPStatus.INTERNAL_SERVER_ERROR
    if "APITimeoutError" in names:
        return HTTPStatus.GATEWAY_TIMEOUT
    return HTTPStatus.SERVICE_UNAVAILABLE if "RateLimitError" in names else HTTPStatus.BAD_GATEWAY


def _refused(status: HTTPStatus, message: str) -> tuple[HTTPStatus, object]:
    return status, {"error": {"code": status.phrase.replace(" ", ""), "message": message}}

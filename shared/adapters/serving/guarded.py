"""prompt flow's serving app, held to what served flows of the other kinds keep: requests are JSON objects, and no error
shows a secret.

Prompt flow takes a body that is no JSON for the one input of a flow, and puts the text of an exception, which may hold
a key, into its answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from io import BytesIO
from typing import Any

from shared.redaction import Redaction

App = Callable[[dict[str, Any], Callable[..., object]], Iterable[bytes]]


class Guarded:
    """A WSGI app around another one. Safe for threads, as far as the other one is."""

    def __init__(self, app: App, redacted: Redaction) -> None:
        self._app = app
        self._redacted = redacted

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
        refused = _body_checked(environ)
        if refused:
            body = json.dumps({"error": {"code": "BadRequest", "message": refused}}).encode()
            headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
            start_response("400 Bad Request", headers)
            return [body]
        started: list[Any] = []

        def start(status: str, headers: list[tuple[str, str]], *_: object) -> Callable[[bytes], object]:
            started[:] = [status, headers]
            return lambda _: None

        chunks = self._app(environ, start)
        try:
            content = b"".join(chunks)
        finally:
            if close := getattr(chunks, "close", None):
                close()
        status, headers = started
        if int(status.split(" ", 1)[0]) >= 400:
            content = self._redacted(content.decode(errors="replace")).encode()
        kept = [(name, value) for name, value in headers if name.lower() != "content-length"]
        start_response(status, [*kept, ("Content-Length", str(len(content)))])
        return [content]


def _body_checked(environ: dict[str, Any]) -> str:
    """What is wrong with the body of a request that says it brings JSON; empty: nothing. It can be read again."""
    if environ["REQUEST_METHOD"] != "POST" or "json" not in environ.get("CONTENT_TYPE", "json").lower():
        return ""
    content = environ["wsgi.input"].read()
    environ["wsgi.input"], environ["CONTENT_LENGTH"] = BytesIO(content), str(len(content))
    try:
        inputs = json.loads(content)
    except (ValueError, RecursionError) as error:
        return f"The body is no JSON ({error}): send the flow's inputs as an object."
    return "" if isinstance(inputs, dict) else "The body is no JSON object: send the flow's inputs as one."

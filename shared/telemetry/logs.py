"""Log lines: secrets out of every one of the process, and ours into the pipe, with the chain that they are about.

The Functions host writes what a worker logs into its own log and into Application Insights, so what is logged must be
clean when it is made, not when we send it.
"""

from __future__ import annotations

import json
import logging
import os
import traceback
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from shared.secret_shapes import HIDDEN, masked
from shared.telemetry.signals import Line
from shared.use_case.references import may_be_secret_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from shared.telemetry.pipe import Pipe

OURS: Final = ("genaiops", "shared", "functions")
_NOT_SENT: Final = ("opentelemetry", "azure", "urllib3", "msal")
"""Those write about the sending itself: to send that, too, would never end."""
_SHORTEST: Final = 8
_OPEN_KEYS: Final = frozenset({"api_base", "api_type", "api_version", "endpoint", "connection_type"})


def secrets_in(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The values of variables that hold secrets, as far as their names or, of a whole connection, their keys tell."""
    found: set[str] = set()
    for name, value in variables.items():
        if value.lstrip().startswith("{"):
            found |= _in_connection(value)
        elif (may_be_secret_name(name) or name == "IDENTITY_HEADER") and not value.startswith(("/", "http")):
            found.add(value)
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST), key=len, reverse=True))


def _in_connection(text: str) -> set[str]:
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return set()
    if not isinstance(content, dict):
        return set()
    secret = content.get("secrets")
    values = [value for key, value in content.items() if key not in _OPEN_KEYS and may_be_secret_name(str(key))]
    values += list(secret.values()) if isinstance(secret, dict) else []
    return {value for value in values if isinstance(value, str)}


@cache
def _of_process() -> tuple[str, ...]:
    return secrets_in(os.environ)


def hidden(text: str) -> str:
    """The text without the secrets of this process's settings, and without any that shows by its shape."""
    for secret in _of_process():
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return masked(text)


class CleanRecord(logging.LogRecord):
    """A log record that shows no secret, whoever formats it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.exc_info and self.exc_info[1] is not None:
            text = "".join(traceback.format_exception(self.exc_info[1])).rstrip()
            if hidden(text) != text:  # then no handler may see the error itself
                self.exc_text, self.exc_info = hidden(text), None

    def getMessage(self) -> str:  # noqa: N802 - the standard library's name
        """The message, without secrets."""
        return hidden(super().getMessage())


def clean() -> None:
    """From now on, no log line of this process shows a secret."""
    logging.setLogRecordFactory(CleanRecord)


class _IntoPipe(logging.Handler):
    def __init__(self, pipe: Pipe) -> None:
        super().__init__(logging.INFO)
        self.pipe = pipe

    def filter(self, record: logging.LogRecord) -> bool:
        root = record.name.partition(".")[0]
        return root in OURS or (record.levelno >= logging.WARNING and root not in _NOT_SENT)

    def emit(self, record: logging.LogRecord) -> None:
        from shared.telemetry.handling import current

        try:
            line = _plain(record)
            one = current()
        except Exception:
            self.handleError(record)
            return
        if one is None:
            self.pipe.put(Line(line))
        else:
            told = {name: hidden(value) if isinstance(value, str) else value for name, value in one.attributes.items()}
            self.pipe.put(Line(line, one.trace_id, one.span_id, told))


def _plain(record: logging.LogRecord) -> logging.LogRecord:
    """A copy that keeps nothing alive: the text, and an error's as text."""
    line = logging.makeLogRecord({})
    line.name, line.levelno, line.levelname = record.name, record.levelno, record.levelname
    line.pathname, line.funcName, line.lineno = record.pathname, record.funcName, record.lineno
    line.created = record.created
    line.msg, line.args, line.exc_info = hidden(record.getMessage()), None, None
    text = record.exc_text
    if not text and record.exc_info and record.exc_info[1] is not None:
        text = hidden("".join(traceback.format_exception(record.exc_info[1])))
    line.exc_text = text
    return line


def attach(pipe: Pipe) -> None:
    """Let log lines go into the pipe."""
    root = logging.getLogger()
    root.addHandler(_IntoPipe(pipe))
    for name in OURS:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET and root.getEffectiveLevel() > logging.INFO:
            logger.setLevel(logging.INFO)


def detach(pipe: Pipe) -> None:
    """No longer."""
    root = logging.getLogger()
    for handler in [one for one in root.handlers if isinstance(one, _IntoPipe) and one.pipe is pipe]:
        root.removeHandler(handler)

"""Log lines: secrets out of every one of the process, and ours into the pipe, with the chain that they are about.

The Functions host writes what a worker logs into its own log and into Application Insights, so what is logged must be
clean when it is made, not when we send it.
"""

from __future__ import annotations

import logging
import traceback
from typing import TYPE_CHECKING, Any, Final

from shared.process_secrets import hidden
from shared.telemetry.signals import Line

if TYPE_CHECKING:
    from shared.telemetry.pipe import Pipe

OURS: Final = ("genaiops", "shared", "functions")
_NOT_SENT: Final = ("opentelemetry", "azure", "urllib3", "msal")
"""Those write about the sending itself: to send that, too, would never end."""


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

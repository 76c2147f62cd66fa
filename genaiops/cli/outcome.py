"""How a command ends: its exit code, and the one clear line that an error becomes."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from shared.errors import Conflict, GenAIOpsError, InvalidName, NotFound, Throttled, Transient

if TYPE_CHECKING:
    from shared.chain.state import ChainStatus


class ExitCode(IntEnum):
    """What a command's exit code means."""

    OK = 0
    NO = 1
    USAGE = 2
    NOT_FOUND = 3
    TIMED_OUT = 4
    BUG = 70
    INTERRUPTED = 130


MEANING: Final = {
    ExitCode.OK: "done; for watch and submit --wait: the chain succeeded",
    ExitCode.NO: "the answer is no: invalid, failed, rejected, cancelled, superseded, refused, out of date",
    ExitCode.USAGE: "the command line or the settings are wrong",
    ExitCode.NOT_FOUND: "there is no such chain, use case, report, asset or dead letter",
    ExitCode.TIMED_OUT: "nothing answered in time, or a service cannot be reached; trying again is safe",
    ExitCode.BUG: "an error that nobody expected; --debug shows where",
    ExitCode.INTERRUPTED: "interrupted by Ctrl-C",
}


class Refused(GenAIOpsError):
    """The command was understood and the answer is no."""


class TimedOut(GenAIOpsError):
    """Nothing answered in the time that was given."""


class WrongUsage(GenAIOpsError):
    """The arguments do not fit together."""


def exit_code_of(error: BaseException) -> ExitCode:
    """The exit code that an error ends the command with."""
    from shared.settings import InvalidSettings

    match error:
        case NotFound():
            return ExitCode.NOT_FOUND
        case InvalidSettings() | InvalidName() | WrongUsage():
            return ExitCode.USAGE
        case TimedOut() | Transient() | Throttled() | Conflict() | ConnectionError() | TimeoutError():
            return ExitCode.TIMED_OUT
        case GenAIOpsError():
            return ExitCode.NO
        case OSError():
            return ExitCode.NO
        case KeyboardInterrupt():
            return ExitCode.INTERRUPTED
        case _:
            return ExitCode.BUG


def exit_code_for(status: ChainStatus) -> ExitCode:
    """The exit code for a chain that has ended so."""
    return ExitCode.OK if status == "succeeded" else ExitCode.NO

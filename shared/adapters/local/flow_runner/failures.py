"""How runs ended that left no record: what the next start or look must raise, and how often a name has failed.

A failure that would come again is raised by every look until the name is started again. A passing fault is raised once;
then the run counts as lost, so that whoever looks again is told NotFound and starts it anew. A fault that comes back at
every try is no passing one: without a limit, each look would begin the whole run, and its cost, again.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from shared.errors import BusinessFailure, Malformed, Throttled

_MOST_TRIES: Final = 5
_REMEMBERED: Final = 256
"""Names that are remembered: one that was dropped is started anew."""


@dataclass
class _Failure:
    error: BaseException | None
    """None once a passing fault was told."""
    tries: int


class Failures:
    """Failures by the run's name. Not for several threads: its owner holds a lock."""

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failure] = OrderedDict()

    def note(self, name: str, error: BaseException) -> BaseException:
        """Remember how the run ended. Returns what its callers are told: after many tries a BusinessFailure."""
        before = self._failures.pop(name, None)
        # Being asked for a pause is no fault: how often that may happen is the command's patience.
        tries = (before.tries if before else 0) + (not isinstance(error, Throttled))
        if tries >= _MOST_TRIES and not _is_final(error):
            last = str(error) or type(error).__name__
            error = BusinessFailure(f"Run {name} was tried {tries} times and failed each time, at last with: {last}")
        _drop_frames(error)
        self._failures[name] = _Failure(_copied(error) if _is_final(error) else error, tries)
        while len(self._failures) > _REMEMBERED:
            self._failures.popitem(last=False)
        return error

    def tell(self, name: str) -> None:
        """Raise what a look at the run must raise, if anything."""
        failure = self._failures.get(name)
        if failure is None or failure.error is None:
            return
        error = failure.error
        if _is_final(error):
            raise _copied(error)
        failure.error = None
        raise error

    def told(self, name: str) -> None:
        """A start that waited for the end has raised it already: once is enough for a passing fault."""
        failure = self._failures.get(name)
        if failure is not None and failure.error is not None and not _is_final(failure.error):
            failure.error = None

    def begin_again(self, name: str) -> None:
        """The name is started again: a final failure is over, passing ones keep being counted."""
        failure = self._failures.get(name)
        if failure is not None and failure.error is not None:
            if _is_final(failure.error):
                del self._failures[name]
            else:
                failure.error = None

    def forget(self, name: str) -> None:
        """The run has left a record."""
        self._failures.pop(name, None)


def _is_final(error: BaseException) -> bool:
    return isinstance(error, BusinessFailure | Malformed)


def _copied(error: BaseException) -> BaseException:
    """A copy to raise, of one of our own errors: what is raised takes its callers' frames with it."""
    copy = type(error).__new__(type(error), *error.args)
    vars(copy).update(vars(error))
    return copy


def _drop_frames(error: BaseException) -> None:
    """Take the tracebacks away: their frames would keep the whole run in memory."""
    links: list[BaseException | None] = [error]
    seen = set()
    while links:
        link = links.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            link.__traceback__ = None
            links += [link.__cause__, link.__context__]

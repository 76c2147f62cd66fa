"""Problems of a use case folder, collected so that an author sees all of them at once.

Every check adds to one `Problems`; `raise_if_any` ends the reading. A wrong name comes with the nearest right one.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from shared.errors import BusinessFailure
from shared.use_case.model import Problem

MOST_SHOWN: Final = 200
"""Problems that are listed: who has more has one mistake that was made many times."""


class InvalidUseCase(BusinessFailure):
    """A use case folder that cannot be run; `problems` names every reason, by file and line."""

    def __init__(self, problems: Iterable[Problem], more: int = 0, warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.file, problem.line)))
        self.warnings = tuple(warnings)
        """What is odd besides, but would be harmless."""
        self.more = more
        """How many further problems there are, which are not listed."""
        number = len(self.problems) + more
        count = "1 problem" if number == 1 else f"{number:,} problems"
        rest = [f"and {more:,} more"] if more else []
        super().__init__("\n  ".join([f"The use case is not valid: {count}.", *map(str, self.problems), *rest]))


@dataclass
class Problems:
    """The problems found so far."""

    found: list[Problem] = field(default_factory=list)
    """At most `MOST_SHOWN`."""
    more: int = 0
    """Problems beyond those: counted only."""
    warnings: list[Problem] = field(default_factory=list)
    """What is odd but harmless; as many at most."""
    _known: set[Problem] = field(default_factory=set, repr=False)

    @property
    def count(self) -> int:
        """How many there are, listed or not."""
        return len(self.found) + self.more

    @property
    def full(self) -> bool:
        """Whether a further problem is only counted, so that its message need not be a good one."""
        return len(self.found) >= MOST_SHOWN

    @property
    def warned_enough(self) -> bool:
        """Whether a further warning is left out."""
        return len(self.warnings) >= MOST_SHOWN

    def add(self, file: str, line: int, key: str, message: str) -> None:
        """Note a problem; the same one is noted once, however many ways lead to it."""
        problem = Problem(file=file, line=line, key=key, message=message)
        if problem in self._known:
            return
        self._known.add(problem)
        if self.full:
            self.more += 1
        else:
            self.found.append(problem)

    def warn(self, file: str, line: int, key: str, message: str) -> None:
        """Note what is odd but harmless, once."""
        warning = Problem(file=file, line=line, key=key, message=message)
        if not self.warned_enough and warning not in self.warnings:
            self.warnings.append(warning)

    def raise_if_any(self) -> None:
        """Raises InvalidUseCase with everything that was found."""
        if self.found:
            raise InvalidUseCase(self.found, self.more, self.warnings)


def one_of(found: object, allowed: Iterable[str], what: str) -> str:
    """The sentence for a name that is none of `allowed`: the nearest one, and all of them where they are few."""
    names = sorted(set(allowed))
    if not names:
        return f"{found!r} is no {what}: there is none"
    close = difflib.get_close_matches(str(found), names, n=1, cutoff=0.6)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return (
        f"{found!r} is no {what}{hint} Expected one of: {shown}"
        if hint
        else (f"{found!r} is no {what}; expected one of: {shown}")
    )

"""The error families: each one says what happens to the message that was being handled.

A handler raises one of these (or lets any other exception pass, which counts as transient); `shared/perform.py` and
`shared/advance.py` map the family to an outcome. The text of an error always tells the reader what to do next.
"""

from __future__ import annotations

from collections.abc import Sequence


class GenAIOpsError(Exception):
    """Base of every error that this product raises on purpose."""


class Malformed(GenAIOpsError):
    """The input can never be handled: it is not retried but dead-lettered, and its chain fails if it can be named."""


class Transient(GenAIOpsError):
    """A passing fault: the message goes back to its queue and is delivered again."""


class Throttled(GenAIOpsError):
    """A service asked for a pause: the same command is sent again, `retry_after` seconds later."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BusinessFailure(GenAIOpsError):
    """The work was done as asked and the answer is no: an invalid use case, a failed run, a refused deployment."""


class Conflict(GenAIOpsError):
    """A conditional write lost against another writer: reload and decide again."""


class NotFound(GenAIOpsError):
    """A blob, chain, asset or deployment of that name does not exist."""


class InvalidName(Malformed):
    """A name that would become a path, a blob name or a resource name is not allowed."""


def raised_for(faults: Sequence[GenAIOpsError]) -> GenAIOpsError:
    """The one of several faults to raise: a passing one, for it comes again, where a refusal would end the step."""
    return min(faults, key=lambda fault: isinstance(fault, BusinessFailure))

"""Faults on demand: how often the stand-in model throttles, fails, answers nonsense, nothing, or not at all.

Whether a request fails is a hash of the seed, the request's body and how often that body was asked before: so a
repeated run meets the same faults in whatever order its lines arrive, and a retry gets a new chance.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from genaiops.stand_in_model.rules.noise import unit

Rate = Annotated[float, Field(ge=0, le=1)]
REMEMBERED: Final = 100_000
"""Bodies whose attempts are counted; the oldest are forgotten."""


class Fault(StrEnum):
    """What happens to a request instead of a proper answer."""

    THROTTLED = "throttled"
    """429 with Retry-After."""
    FAILED = "failed"
    """500."""
    GARBAGE = "garbage"
    """200 with a text that follows no instruction."""
    EMPTY = "empty"
    """200 with an empty text."""
    DROPPED = "dropped"
    """The connection closes without an answer."""


class Faults(BaseModel):
    """How the stand-in model behaves; set at the start and by `PUT /control`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    latency_ms: Annotated[float, Field(ge=0, le=600_000)] = 0.0
    """Each answer takes at least this long."""
    latency_jitter_ms: Annotated[float, Field(ge=0, le=600_000)] = 0.0
    """Up to so much longer, by a hash of the request."""
    throttle_rate: Rate = 0.0
    error_rate: Rate = 0.0
    garbage_rate: Rate = 0.0
    empty_rate: Rate = 0.0
    drop_rate: Rate = 0.0
    retry_after_s: Annotated[float, Field(ge=0, le=3_600)] = 1.0
    """What a 429 says in `Retry-After`."""
    seed: int = 0

    @model_validator(mode="after")
    def _rates_are_shares(self) -> Self:
        if sum(rate for _, rate in self._rates()) > 1:
            raise ValueError(
                "throttle, error, garbage, empty and drop rates are shares of all requests: lower them to 1"
            )
        return self

    def _rates(self) -> tuple[tuple[Fault, float], ...]:
        return (
            (Fault.THROTTLED, self.throttle_rate),
            (Fault.FAILED, self.error_rate),
            (Fault.GARBAGE, self.garbage_rate),
            (Fault.EMPTY, self.empty_rate),
            (Fault.DROPPED, self.drop_rate),
        )

    def fault_of(self, body: str, attempt: int) -> Fault | None:
        """The fault of this request, if any. `body` is its digest, `attempt` counts from 1."""
        chance = unit("fault", self.seed, body, attempt)
        for fault, rate in self._rates():
            if chance < rate:
                return fault
            chance -= rate
        return None

    def delay_s(self, body: str, attempt: int) -> float:
        """Seconds that this answer takes."""
        return (self.latency_ms + self.latency_jitter_ms * unit("latency", self.seed, body, attempt)) / 1_000


class Attempts:
    """Counts how often each request body was asked."""

    def __init__(self) -> None:
        self._counts: OrderedDict[str, int] = OrderedDict()

    def next(self, body: bytes) -> tuple[str, int]:
        """The body's digest and the number of this attempt, from 1."""
        digest = hashlib.blake2b(body, digest_size=16).hexdigest()
        attempt = self._counts.pop(digest, 0) + 1
        self._counts[digest] = attempt
        if len(self._counts) > REMEMBERED:
            self._counts.popitem(last=False)
        return digest, attempt

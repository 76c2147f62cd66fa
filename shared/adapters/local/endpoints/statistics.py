"""Counts and latency of one deployment, small enough to be written every second.

Latency is kept as a histogram with buckets that grow by 5 %: percentiles over all requests since the deployment was
created, within 2.5 %, in a few hundred bytes, however many requests there were.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, Field

_SMALLEST_MS = 0.1
_GROWTH = math.log(1.05)


class Counts(BaseModel):
    """What is stored of a deployment's requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int = 0
    errors: int = 0
    """Answers of status 400 and higher (prompt flow answers 400 where a node raises), and those without an answer."""
    latency: Mapping[int, int] = Field(default_factory=dict)
    """Histogram bucket → requests that were answered."""

    def percentile(self, share: float) -> float | None:
        """Latency in milliseconds that `share` (0 to 1) of the answered requests did not exceed; None without any."""
        answered = sum(self.latency.values())
        if not answered:
            return None
        rank = max(1, math.ceil(share * answered))
        for bucket in sorted(self.latency):
            rank -= self.latency[bucket]
            if rank <= 0:
                return round(_SMALLEST_MS * math.exp((bucket + 0.5) * _GROWTH), 2)
        return None


class Statistics:
    """Counts that grow. Not thread-safe: its owner holds a lock."""

    def __init__(self, counts: Counts | None = None) -> None:
        start = counts or Counts()
        self._requests = start.requests
        self._errors = start.errors
        self._latency = dict(start.latency)

    def answered(self, latency_ms: float, *, error: bool) -> None:
        """A request was answered."""
        self._requests += 1
        self._errors += error
        bucket = int(math.log(max(latency_ms, _SMALLEST_MS) / _SMALLEST_MS) / _GROWTH)
        self._latency[bucket] = self._latency.get(bucket, 0) + 1

    def unanswered(self) -> None:
        """A request got no answer: the process refused it, or died over it."""
        self._requests += 1
        self._errors += 1

    def counts(self) -> Counts:
        """The counts now."""
        return Counts(requests=self._requests, errors=self._errors, latency=dict(self._latency))

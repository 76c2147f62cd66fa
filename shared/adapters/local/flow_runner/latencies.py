"""Percentiles of any number of latencies in bounded memory: exact for the first thousand, within 1 % beyond."""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

from shared.results import Latency

_EXACT: Final = 1_000
_STEP: Final = math.log(1.015)
"""Between the bounds of two neighbouring counts: their middle is less than 0.8 % away from either."""


class Latencies:
    """Takes latencies in milliseconds as they come."""

    def __init__(self) -> None:
        self._exact: list[float] = []
        self._counts: Counter[int] = Counter()
        """How many lie between `_STEP` × n and × (n + 1), in logarithms; used once there are many."""
        self._max = 0.0

    def add(self, latency_ms: float) -> None:
        """Take one; what is not above 0 was not measured."""
        if latency_ms <= 0:
            return
        self._max = max(self._max, latency_ms)
        if not self._counts and len(self._exact) < _EXACT:
            self._exact.append(latency_ms)
            return
        for value in (*self._exact, latency_ms):
            self._counts[math.floor(math.log(value) / _STEP)] += 1
        self._exact.clear()

    def percentiles(self) -> Latency:
        """Of all that were taken."""
        if not self._counts:
            return Latency.of(self._exact)
        return Latency(p50_ms=self._at(0.5), p95_ms=self._at(0.95), max_ms=round(self._max, 1))

    def _at(self, share: float) -> float:
        left = math.ceil(share * self._counts.total())
        for number in sorted(self._counts):
            left -= self._counts[number]
            if left <= 0:
                return round(min(self._max, math.exp((number + 0.5) * _STEP)), 1)
        return round(self._max, 1)

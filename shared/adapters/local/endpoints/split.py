"""The traffic split: which deployment gets the next request.

Smooth weighted round-robin, not weighted random: over every period the shares are exact (90/10 gives 9 and 1 of ten
calls, spread out, not nine in a row), so that a short integration test sees the split that was asked for, and a test of
it needs no tolerance. Requests do not depend on one another, so randomness would buy nothing.
"""

from __future__ import annotations

from collections.abc import Mapping


class SmoothSplit:
    """The state of one endpoint's split. Not thread-safe: its owner holds a lock."""

    def __init__(self) -> None:
        self._weights: dict[str, int] = {}
        self._current: dict[str, int] = {}

    def pick(self, weights: Mapping[str, int], candidates: Mapping[str, int]) -> str:
        """The next of `candidates`: those of `weights` (the whole traffic) that can answer now; at least one.

        A change of the whole traffic starts a new period; a candidate that is away only loses its turns.
        """
        if dict(weights) != self._weights:
            self._weights = dict(weights)
            self._current = {}
        total = sum(candidates.values())
        for name, weight in candidates.items():
            self._current[name] = self._current.get(name, 0) + weight
        chosen = max(candidates, key=lambda name: self._current[name])
        self._current[chosen] -= total
        return chosen

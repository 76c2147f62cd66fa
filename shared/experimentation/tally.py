"""What the lines of a result add up to while they pass by on their way into the store."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator

from shared.experimentation.reuse import Known
from shared.results import Latency, LineRecord, LineStatus, RunRecord


class Tally:
    """Passes lines on once, counting them."""

    def __init__(self, lines: Iterable[LineRecord]) -> None:
        self._lines = lines
        self._count = 0
        self._failed = 0
        self._reused = 0
        self._latencies = array("d")

    def __iter__(self) -> Iterator[LineRecord]:
        for line in self._lines:
            self._count += 1
            self._failed += line.status is LineStatus.FAILED
            self._reused += line.origin is not None
            if line.latency_ms:
                self._latencies.append(line.latency_ms)
            yield line

    def added_to(self, record: RunRecord, known: Known) -> RunRecord:
        """The record of the lines that were run, widened to all of them.

        What the run spent (tokens, model calls, retries, time) stays as it is; latency is that of all lines.
        """
        return record.model_copy(
            update={
                "lines": self._count,
                "failed_lines": self._failed,
                "reused_lines": self._reused,
                "origins": known.origins if self._reused else (),
                "latency": Latency.of(self._latencies),
            }
        )

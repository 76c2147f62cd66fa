"""The host's memory while flows return large values: for one answer, however many lines give one at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable

import psutil

from shared.ports import RunOutcome
from tests.contract.local_runner import one, spec

LARGE = 40_000_000
LINES = 4
RETURNS_MUCH = "def give(size: int) -> dict:\n    return {'value': 'y' * size}\n"


def peak_while(work: Callable[[], object]) -> int:
    """Bytes that this process takes at most beyond what it took before."""
    process = psutil.Process()
    before = peak = process.memory_info().rss
    ended = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not ended.wait(0.002):
            peak = max(peak, process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        work()
    finally:
        ended.set()
        watcher.join()
    return peak - before


def test_several_large_outputs_at_once_take_the_memory_of_one(own_runner, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text("entry: give:give\n")
    (tmp_path / "give.py").write_text(RETURNS_MUCH)
    runner = own_runner()
    outcomes: list[RunOutcome] = []

    def run(digest: str) -> None:
        given = spec("much", [{"size": LARGE}] * LINES, flow=tmp_path, flow_file="flow.flex.yaml")
        outcomes.append(runner.start(spec("", given.lines, **{**vars(given), "flow_digest": digest * 64})))

    def both() -> None:
        threads = [threading.Thread(target=run, args=(digest,)) for digest in "ab"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    peak = peak_while(both)

    assert [outcome.record.failed_lines for outcome in outcomes] == [0, 0]
    assert peak < LINES * 2 * LARGE * 0.75, f"{peak:,} bytes: all answers together lay in memory"


def test_an_output_beyond_the_limit_fails_its_line_and_the_next_line_completes(own_runner, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text("entry: give:give\n")
    (tmp_path / "give.py").write_text(RETURNS_MUCH)
    runner = own_runner()
    told = one(runner.start(spec("much", [{"size": 70_000_000}], flow=tmp_path, flow_file="flow.flex.yaml"))).error
    assert told.startswith("The line's outputs are too large: 70,000,")
    assert "at most 67,108,864 are allowed" in told
    again = spec("much", [{"size": 5}], flow=tmp_path, flow_file="flow.flex.yaml")
    assert one(runner.start(again)).outputs == {"value": "yyyyy"}

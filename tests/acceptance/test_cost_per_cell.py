"""What a chain costs for each of its cells does not grow with their number: port calls, bytes and the state's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from benchmarks.chains import use_case
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.chain.state import ChainStatus
from tests.memory_world import World


@dataclass
class Counted:
    calls: int = 0
    read: int = 0
    """Bytes."""
    written: int = 0
    """Bytes."""
    largest_state: int = 0
    """Bytes."""
    listed: int = 0
    """Names in listings."""


class CountingBlobs(MemoryBlobStore):
    """A blob store in memory that counts what passes through it."""

    def __init__(self) -> None:
        super().__init__(ManualClock())
        self.counted = Counted()

    def read(self, container: str, name: str) -> bytes:
        content = super().read(container, name)
        self.counted.read += len(content)
        return content

    def read_with_etag(self, container: str, name: str) -> tuple[bytes, str]:
        content, etag = super().read_with_etag(container, name)
        self.counted.read += len(content)
        return content, etag

    def write(self, container: str, name: str, content: Any, **conditions: Any) -> str:
        data = content if isinstance(content, bytes) else content.read()
        self.counted.written += len(data)
        if name.endswith("/state.json"):
            self.counted.largest_state = max(self.counted.largest_state, len(data))
        return super().write(container, name, data, **conditions)

    def list(self, container: str, prefix: str = "") -> Any:
        found = list(super().list(container, prefix))
        self.counted.listed += len(found)
        return iter(found)


def counted(folder: Path, cells: int) -> Counted:
    """What a whole `pr` chain of so many cells costs."""
    use_case.write(folder / "app" / "flows", cells)
    blobs = CountingBlobs()
    world = World(folder, blobs=blobs, runner=use_case.runner())
    chain = world.request("pr", use_case.NAME)
    world.pump(patience=100 * cells)
    ended = world.chain(chain)
    assert (ended.status, ended.progress.runs_completed) == (ChainStatus.SUCCEEDED, cells)
    blobs.counted.calls = world.steps.count
    return blobs.counted


@pytest.fixture(scope="module")
def sizes(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Counted]:
    return {cells: counted(tmp_path_factory.mktemp(f"cells{cells}"), cells) for cells in (16, 64, 256)}


def per_cell(sizes: dict[int, Counted], what: str, small: int, large: int) -> float:
    """What each further cell costs between two sizes."""
    return float((getattr(sizes[large], what) - getattr(sizes[small], what)) / (large - small))


@pytest.mark.parametrize("what", ["calls", "written", "listed"])
def test_a_further_cell_costs_the_same_in_a_large_chain_as_in_a_small_one(sizes: dict[int, Counted], what: str) -> None:
    small, large = per_cell(sizes, what, 16, 64), per_cell(sizes, what, 64, 256)
    # The last cells of a chain find no further ones ordered beside them: a few calls of a whole chain, not of each cell.
    assert large <= small * 1.05 + 0.5


def test_a_further_cell_reads_hardly_more_in_a_large_chain(sizes: dict[int, Counted]) -> None:
    # The state is read with every message and holds at most what is in flight, so it is full from some size on.
    small, large = per_cell(sizes, "read", 16, 64), per_cell(sizes, "read", 64, 256)
    assert large <= small * 1.15


def test_the_state_holds_what_is_in_flight_and_no_more(sizes: dict[int, Counted]) -> None:
    assert sizes[256].largest_state <= sizes[64].largest_state * 1.05

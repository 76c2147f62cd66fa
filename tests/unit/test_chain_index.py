"""The index of chains tells the truth after any history of repeated writes and crashes, at a cost that does not grow."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import chain_index, chain_store
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.chain.state import Chain, ChainStatus, LogEntry
from shared.errors import Conflict, NotFound, Transient
from shared.ports import BlobStore
from tests import samples
from tests.contract.conftest import azure_blobs
from tests.memory_world import Crash, Crashing, Steps


def begun(number: int, at=samples.NOW) -> Chain:
    chain = samples.sample_chain(request_id=f"r{number}")
    entry = LogEntry(number=1, at=at, level="info", text="begun")
    return chain.model_copy(update={"created_at": at, "updated_at": at, "journal": (entry,)})


class History:
    """Chains that begin, go on and end, in a store whose writer may die at any step."""

    def __init__(self) -> None:
        self.clock = ManualClock(samples.NOW)
        self.blobs = MemoryBlobStore(self.clock)
        self.steps = Steps()
        self.writer: BlobStore = Crashing(self.blobs, self.steps, "blobs")  # type: ignore[assignment]

    def play(self, action: str, number: int, crash_at: int, after: bool) -> None:
        self.clock.advance(7)
        self.steps.count, self.steps.crash_at, self.steps.after = 0, crash_at or None, after
        with suppress(Crash, Conflict):
            getattr(self, action)(number)
        self.steps.crash_at = None

    def begin(self, number: int) -> None:
        """A request, which may have come before: enqueued now, so that its time is another one."""
        chain_store.create(self.writer, begun(number, self.clock.now()))

    def go_on(self, number: int) -> None:
        self._change(number, journal=(), updated_at=self.clock.now())

    def end(self, number: int) -> None:
        """As `advance` does: the end with what is to be sent, then without."""
        self._change(number, status=ChainStatus.SUCCEEDED, updated_at=self.clock.now())
        self._change(number, journal=())

    def sweep(self, _: int) -> None:
        list(chain_store.unfinished(self.writer, self.clock.now()))

    def look(self, _: int) -> None:
        chain_store.recent(self.writer, 2)

    def _change(self, number: int, **changes: object) -> None:
        with suppress(NotFound):
            chain, etag = chain_store.load(self.writer, begun(number).id)
            if not chain_index.is_settled(chain):
                chain_store.save(self.writer, chain.model_copy(update=changes), etag)

    def chains(self) -> list[Chain]:
        """The truth: every state, the last changed first."""
        names = [info.name for info in self.blobs.list("chains") if info.name.endswith("/state.json")]
        chains = [chain_store.load(self.blobs, name.split("/")[0])[0] for name in names]
        return sorted(chains, key=lambda chain: chain.updated_at, reverse=True)

    def unfinished(self) -> set[str]:
        return {chain.id for chain in self.chains() if not chain_index.is_settled(chain)}

    def entries(self) -> list[str]:
        return [info.name for info in self.blobs.list(chain_index.CONTAINER)]


ACTIONS = st.tuples(
    st.sampled_from(["begin", "begin", "go_on", "end", "end", "sweep", "look"]),
    st.integers(1, 5),
    st.integers(0, 6),
    st.booleans(),
)


@given(st.lists(ACTIONS, max_size=40))
def test_after_any_crash_no_open_chain_is_missed_and_the_last_changed_come_first(actions):
    history = History()
    for action in actions:
        history.play(*action)
        swept = [chain.id for chain in chain_store.unfinished(history.blobs, history.clock.now())]
        assert sorted(swept) == sorted(history.unfinished())
        for limit in (1, 3, 100):
            shown = [chain.updated_at for chain in chain_store.recent(history.blobs, limit)]
            open_ones = len([name for name in history.entries() if name.startswith("open/")])
            if open_ones <= limit:
                assert shown == [chain.updated_at for chain in history.chains()][:limit]
    history.clock.advance(2 * 3600)
    list(chain_store.unfinished(history.blobs, history.clock.now()))
    assert len([name for name in history.entries() if name.startswith("open/")]) == len(history.unfinished())


@given(st.lists(ACTIONS, max_size=20))
def test_what_repairs_the_index_may_itself_be_interrupted_anywhere(actions):
    history = History()
    for action in actions:
        history.play(*action)
    for crash_at in range(1, 30):
        history.play("sweep", 0, crash_at, after=bool(crash_at % 2))
    assert {chain.id for chain in chain_store.unfinished(history.blobs, history.clock.now())} == history.unfinished()
    assert len(chain_store.recent(history.blobs)) == len(history.chains())


@pytest.fixture(params=["memory", "files", pytest.param("azure", marks=pytest.mark.azurite)])
def blobs(request, tmp_path):
    match request.param:
        case "azure":
            return azure_blobs(request)
        case "files":
            return FileBlobStore(tmp_path)
        case _:
            return MemoryBlobStore()


def test_chains_that_were_begun_before_there_was_an_index_are_taken_into_it_once(blobs):
    for number in range(5):
        chain = begun(number, samples.NOW + timedelta(minutes=number))
        if number % 2:
            chain = chain.model_copy(update={"status": ChainStatus.FAILED, "journal": ()})
        blobs.write("chains", f"{chain.id}/state.json", chain.model_dump_json().encode())
    ids = [begun(number).id for number in range(5)]
    assert [chain.id for chain in chain_store.recent(blobs)] == ids[::-1]
    assert [chain.id for chain in chain_store.unfinished(blobs, samples.NOW)] == [ids[4], ids[2], ids[0]]


def test_a_state_that_cannot_be_read_hides_no_other_chain(blobs, caplog):
    chain = begun(1)
    chain_store.create(blobs, chain)
    spoilt = begun(2)
    chain_index.begin(blobs, spoilt)
    blobs.write("chains", f"{spoilt.id}/state.json", b"{}")
    assert chain_store.recent(blobs) == [chain]
    assert list(chain_store.unfinished(blobs, samples.NOW)) == [chain]
    assert f"left out: The state of chain {spoilt.id}" in caplog.text


def test_a_chain_is_found_by_how_its_id_begins_or_ends(blobs):
    chains = [begun(number) for number in range(3)]
    for chain in chains:
        chain_store.create(blobs, chain)
    assert sorted(chain_store.named_like(blobs, "ticket_triage-ci")) == sorted(chain.id for chain in chains)
    assert chain_store.named_like(blobs, chains[1].id[-6:]) == [chains[1].id]
    assert chain_store.named_like(blobs, "nobody") == []


def test_an_index_that_cannot_be_written_does_not_undo_the_state_that_was(blobs, caplog):
    class Failing(MemoryBlobStore):
        def delete(self, container: str, name: str) -> None:
            raise Transient("the store is away")

    failing = Failing()
    chain = begun(1)
    etag = chain_store.create(failing, chain)
    ended = chain.model_copy(update={"status": ChainStatus.SUCCEEDED, "journal": ()})
    chain_store.save(failing, ended, etag)
    assert chain_store.load(failing, chain.id)[0] == ended
    assert "the index does not say yet" in caplog.text


class Counting(MemoryBlobStore):
    """Counts what is asked, and how many names of a listing are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = self.listed = 0

    def read_with_etag(self, container, name):
        self.reads += 1
        return super().read_with_etag(container, name)

    def write(self, container, name, content, **conditions):
        self.writes += 1
        return super().write(container, name, content, **conditions)

    def list(self, container, prefix=""):
        for info in super().list(container, prefix):
            self.listed += 1
            yield info


def test_looking_costs_the_same_with_a_hundred_thousand_chains_that_have_ended():
    costs = []
    settled = begun(0).model_copy(update={"status": ChainStatus.SUCCEEDED, "journal": ()})
    for count in (200, 100_000):
        blobs = Counting()
        for number in range(count):
            at = samples.NOW - timedelta(minutes=number)
            ended = settled.model_copy(update={"id": f"old-ci-{number:012}", "created_at": at, "updated_at": at})
            if number < 50:
                chain_store.create(blobs, ended)
            else:  # their states are never read: the index says that they ended long ago
                chain_index.settle(blobs, ended)
        chain_store.create(blobs, begun(1))
        chain_store.recent(blobs, 1)  # the first look of an installation takes chains into the index
        blobs.reads = blobs.listed = 0
        assert len(chain_store.recent(blobs, 50)) == 50
        assert [chain.id for chain in chain_store.unfinished(blobs, samples.NOW)] == [begun(1).id]
        costs.append((blobs.reads, blobs.listed))
    assert costs[0] == costs[1]
    assert costs[0][0] <= 52


def test_a_chain_of_many_events_writes_no_more_to_the_index_than_a_chain_of_few():
    costs = []
    for events in (1, 100):
        blobs = Counting()
        chain = begun(1)
        etag = chain_store.create(blobs, chain)
        for _ in range(events):
            etag = chain_store.save(blobs, chain, etag)
        chain_store.save(blobs, chain.model_copy(update={"status": ChainStatus.SUCCEEDED, "journal": ()}), etag)
        costs.append(blobs.writes - events)
    assert costs == [4, 4]

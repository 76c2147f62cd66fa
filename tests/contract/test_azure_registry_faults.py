"""The Azure registry when things go wrong, and when several processes or installations write at once."""

from __future__ import annotations

import inspect
import threading
from datetime import timedelta

import pytest

from shared.adapters.azure.machine_learning import AzureRegistry, Workspace
from shared.adapters.azure.machine_learning.turns import LEASE, MARGIN, PATIENCE_S, Turns
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.errors import BusinessFailure, Conflict, NotFound, Throttled, Transient
from shared.perform import PAUSES_S
from shared.ports import Asset, NewAsset
from tests.contract.azure_workspace import azure_settings
from tests.contract.registered import DATA, MODEL, new, nothing_unknown_was_asked, versions  # noqa: F401 - autouse
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Moment

# Faults


def test_a_service_that_asks_for_a_pause_gets_exactly_that_pause(azure_registry, management):
    management.faults.add("PUT", r"/data/", status=429, retry_after=17)
    with pytest.raises(Throttled) as throttled:
        azure_registry.register(new())
    assert throttled.value.retry_after == 17
    assert len(management.seen("PUT", r"/data/")) == 1, "no function waits: the command comes back later"
    assert azure_registry.register(new())[0].version == "1"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_service_that_is_not_well_is_tried_again_later(azure_registry, management, status):
    management.faults.add("GET", r"/data/.*/versions", status=status)
    with pytest.raises(Transient, match=r"genaiops-ml.*not well"):
        azure_registry.find(DATA, "tickets.train", "a" * 64)


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_role_is_named(azure_registry, management, status):
    management.faults.add("PUT", r"/data/", status=status)
    with pytest.raises(BusinessFailure, match="role AzureML Data Scientist"):
        azure_registry.register(new())


@pytest.mark.parametrize("status", [409, 412])
def test_a_conflict_is_looked_into_and_repeated(azure_registry, management, status):
    management.faults.add("PUT", r"/data/", status=status)
    assert azure_registry.register(new())[0].version == "1"
    management.faults.add("PUT", r"/data/", status=status)
    with pytest.raises(Conflict):
        azure_registry.tag(DATA, "tickets.train", "1", {"a": "b"})
    assert azure_registry.tag(DATA, "tickets.train", "1", {"a": "b"}).tags == {"a": "b"}


@pytest.mark.parametrize("moment", list(Moment))
def test_a_connection_that_is_cut_around_a_registration_leaves_one_version(azure_registry, management, moment):
    management.faults.cut("PUT", r"/data/", moment=moment)
    asset, created = azure_registry.register(new())
    assert (asset.version, created, management.faults.left) == ("1", True, 0)
    assert versions(azure_registry) == ["1"]


@pytest.mark.parametrize("moment", list(Moment))
def test_a_registration_whose_answer_is_lost_for_good_is_found_by_the_next_try(azure_registry, management, moment):
    management.faults.add("PUT", r"/data/", status=503, moment=moment)
    with pytest.raises(Transient):
        azure_registry.register(new(tags={"chain": "c1"}))
    asset, created = azure_registry.register(new(tags={"chain": "c1"}))
    assert (asset.version, asset.tags, created) == ("1", {"chain": "c1"}, moment is Moment.BEFORE)
    assert versions(azure_registry) == ["1"]


def test_a_workspace_that_cannot_be_reached_is_tried_again_later(
    identity: IdentityEndpoint, management, turn_blobs, clock
):
    from azure.identity import ManagedIdentityCredential

    lost = Workspace(azure_settings(management, workspace="not-there"), ManagedIdentityCredential())
    with pytest.raises(NotFound):
        AzureRegistry(lost, turn_blobs, clock).register(new())
    management.faults.cut("GET", times=9)
    with pytest.raises(Transient, match="cannot be reached"):
        AzureRegistry(lost, turn_blobs, clock).find(DATA, "tickets.train", "a" * 64)
    management.faults.clear()


# Several writers


def test_processes_that_register_at_once_give_each_content_one_version(open_azure_registry):
    registries = [open_azure_registry() for _ in range(6)]
    results: list[tuple[Asset, bool]] = []
    barrier = threading.Barrier(6)

    def register(n: int) -> None:
        barrier.wait()
        # All contents lie in one blob, as variants of a flow do in its bundle: no address tells them apart.
        asset = NewAsset(kind=MODEL, name="tickets", content_hash="abc"[n % 3] * 64, blob="bundles/one.zip")
        results.append(registries[n].register(asset))

    threads = [threading.Thread(target=register, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(asset.content_hash[0] for asset, created in results if created) == ["a", "b", "c"]
    listed = registries[0].list(MODEL, "tickets")
    assert [asset.version for asset in listed] == ["1", "2", "3"]
    assert sorted(asset.content_hash[0] for asset in listed) == ["a", "b", "c"]


def test_processes_that_tag_at_once_lose_no_tag(open_azure_registry):
    registries = [open_azure_registry() for _ in range(5)]
    registries[0].register(new())
    threads = [
        threading.Thread(target=each.tag, args=(DATA, "tickets.train", "1", {f"tag{n}": "x"}))
        for n, each in enumerate(registries)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert registries[0].get(DATA, "tickets.train", "1").tags == {f"tag{n}": "x" for n in range(5)}


@pytest.mark.parametrize("same", [True, False])
def test_a_number_that_another_installation_takes_meanwhile_is_not_overwritten(
    azure_registry, workspace, management, clock, same
):
    """Another installation has its own turn_blobs, and so its own turns: only Azure ML itself stands between them."""
    other = AzureRegistry(workspace, MemoryBlobStore(), clock)
    theirs = new("a" if same else "b", tags={"who": "other"})
    management.faults.meanwhile(lambda: other.register(theirs), "PUT", "/data/")
    asset, created = azure_registry.register(new("a", tags={"who": "us"}))
    listed = azure_registry.list(DATA, "tickets.train")
    if same:
        assert (asset.version, created, len(listed)) == ("1", False, 1)
    else:
        assert (asset.version, created) == ("2", True)
        assert [(each.version, each.content_hash[0], each.tags["who"]) for each in listed] == [
            ("1", "b", "other"), ("2", "a", "us"),
        ]  # fmt: skip


def test_a_writer_that_died_in_its_turn_blocks_the_others_only_for_a_while(open_azure_registry, turn_blobs, clock):
    dead = Turns(turn_blobs, clock).turn("data/tickets.train")
    dead.__enter__()
    with pytest.raises(Transient, match=r"data/tickets\.train.*did not get its turn"):
        open_azure_registry(patience_s=0.2).register(new())
    clock.advance(LEASE / timedelta(seconds=1) + 1)
    assert open_azure_registry(patience_s=0.2).register(new())[1]
    dead.__exit__(None, None, None)
    assert open_azure_registry(patience_s=0.2).register(new("b"))[1], "one who wakes up late gives back what is not his"


def test_a_turn_that_is_almost_over_is_not_written_in(turn_blobs, clock):
    with Turns(turn_blobs, clock).turn("data/tickets") as turn:
        turn.check()
        clock.advance((LEASE - MARGIN) / timedelta(seconds=1) + 1)
        with pytest.raises(Transient, match="took too long"):
            turn.check()
        clock.advance(MARGIN / timedelta(seconds=1))
        with Turns(turn_blobs, clock).turn("data/tickets") as next_one:
            next_one.check()


def test_a_turn_outlasts_any_request_and_ends_while_those_who_wait_for_it_still_try():
    """A writer whose request hangs, and is repeated, must not find that another has begun meanwhile."""
    defaults = {name: each.default for name, each in inspect.signature(Workspace).parameters.items()}
    assert MARGIN.total_seconds() > (defaults["retries"] + 1) * defaults["timeout_s"]
    assert sum(PAUSES_S) + (len(PAUSES_S) + 1) * PATIENCE_S > LEASE.total_seconds()

"""What only the blob store in Azure can show: cut connections, lost answers, a service that is away, bounded memory."""

from __future__ import annotations

import hashlib
import io
import socket
import threading
import tracemalloc
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from azure.identity import ManagedIdentityCredential

from shared.adapters.azure.blobs import AzureBlobStore, Patience
from shared.adapters.azure.storage.service import CHUNK
from shared.errors import BusinessFailure, Conflict, NotFound, Transient
from tests.servers.azurite import Azurite
from tests.servers.relay import Relay

pytestmark = pytest.mark.azurite

QUICK = Patience(connect_s=2, read_s=5, tries=4, wait_s=0.05)
MEGABYTE = 2**20


def store(url: str, **settings: object) -> AzureBlobStore:
    return AzureBlobStore(url, ManagedIdentityCredential(), patience=QUICK, **settings)  # type: ignore[arg-type]


@pytest.fixture
def account(azurite) -> str:
    return azurite.account()


@pytest.fixture
def relay(azurite) -> Iterator[Relay]:
    with Relay(azurite.port) as relay:
        yield relay


@pytest.fixture
def remote(relay, account) -> AzureBlobStore:
    """The account over a network that may be cut; a connection is open."""
    url = urlsplit(account)
    blobs = store(url._replace(netloc=f"127.0.0.1:{relay.port}").geturl())
    blobs.write("chains", "first", b"opens a connection")
    return blobs


class Long(io.RawIOBase):
    """A stream of so many bytes that are nowhere in memory; it does something when half of it was read."""

    def __init__(self, size: int, at_half=None) -> None:
        self._left, self._half, self._at_half = size, size // 2, at_half
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        count = min(size, self._left, 1_000_003)
        if self._at_half is not None and self._left <= self._half:
            self._at_half()
            self._at_half = None
        part = self._left.to_bytes(8, "big") * (count // 8) + b"." * (count % 8)
        self._left -= count
        self.digest.update(part)
        return part


def digest_of(stream, at_half=None, size: int = 0) -> bytes:
    digest, count = hashlib.sha256(), 0
    while part := stream.read(700_001):
        digest.update(part)
        count += len(part)
        if at_half is not None and count > size // 2:
            at_half()
            at_half = None
    return digest.digest()


# ------------------------------------------------------------------------------------------------- cut connections


def test_a_hundred_megabytes_pass_both_ways_through_cuts_in_little_memory(remote, relay):
    remote.read("chains", "first")
    tracemalloc.start()
    try:
        long = Long(100 * MEGABYTE, at_half=lambda: relay.cut_upload_after(3 * MEGABYTE))
        remote.write("datasets", "long", long, if_absent=True)
        with remote.open("datasets", "long") as stream:
            digest = digest_of(stream, lambda: relay.cut_download_after(3 * MEGABYTE), 100 * MEGABYTE)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert digest == long.digest.digest()
    assert relay.cuts == 2
    # Of a chunk that arrives the SDK, requests and urllib3 have copies for a moment: 12 to 16, as it comes in pieces.
    assert peak < 20 * CHUNK, f"{peak / MEGABYTE:.0f} MB"


def test_an_append_whose_answer_is_lost_is_added_once(remote, relay):
    for number in range(4):
        remote.append("chains", "c1/log.jsonl", b"%d\n" % number)
        relay.lose_answers()
        remote.append("chains", "c1/log.jsonl", b"lost %d\n" % number)
    assert relay.cuts == 4
    assert remote.read("chains", "c1/log.jsonl") == b"0\nlost 0\n1\nlost 1\n2\nlost 2\n3\nlost 3\n"


def test_an_append_whose_answer_is_lost_while_another_is_added_is_added_once(remote, relay, account):
    other = store(account)
    remote.append("chains", "log", b"1\n")
    other.append("chains", "log", b"2\n")
    relay.lose_answers(2)  # of the first try, which lands elsewhere, and of the look at the end
    remote.append("chains", "log", b"3\n")
    other.append("chains", "log", b"4\n")
    assert remote.read("chains", "log") == b"1\n2\n3\n4\n"


def test_a_conditional_write_whose_answer_is_lost_knows_its_own_write(remote, relay):
    relay.lose_answers()
    etag = remote.write("chains", "state", b"1", if_absent=True)
    assert (etag, relay.cuts) == (remote.info("chains", "state").etag, 1)
    relay.lose_answers()
    newer = remote.write("chains", "state", b"2", if_match=etag)
    assert remote.read_with_etag("chains", "state") == (b"2", newer)
    assert relay.cuts == 2
    with pytest.raises(Conflict):
        remote.write("chains", "state", b"3", if_match=etag)


# ------------------------------------------------------------------------------------------------ a service that is away


def test_a_service_that_restarts_in_the_midst_of_streams_is_waited_for(authority, identity, tmp_path):
    with Azurite(tmp_path, authority, on_disk=True) as own:
        patient = Patience(connect_s=2, read_s=10, tries=6, wait_s=0.5)
        blobs = AzureBlobStore(own.account(), ManagedIdentityCredential(), patience=patient)
        etag = blobs.write("chains", "state", b"before")
        size = 5 * CHUNK

        def restart() -> None:
            own.stop()
            threading.Timer(0.6, own.start).start()

        long = Long(size, at_half=restart)
        blobs.write("datasets", "long", long)
        with blobs.open("datasets", "long") as stream:
            assert digest_of(stream, restart, size) == long.digest.digest()
        assert blobs.read_with_etag("chains", "state") == (b"before", etag)


def test_a_service_that_never_answers_is_a_passing_fault():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        patience = Patience(connect_s=0.3, read_s=0.3, tries=2, wait_s=0)
        blobs = AzureBlobStore(f"https://127.0.0.1:{port}/a", ManagedIdentityCredential(), patience=patience)
        for call in (blobs.read, blobs.info, blobs.delete):
            with pytest.raises(Transient, match="cannot be reached"):
                call("chains", "a")
        with pytest.raises(Transient):
            blobs.write("chains", "a", b"")
        with pytest.raises(Transient):
            blobs.append("chains", "a", b"")
        with pytest.raises(Transient):
            list(blobs.list("chains"))


# -------------------------------------------------------------------------------------------------------- who may not


def test_a_token_that_the_service_refuses_names_the_role_and_shows_no_token(account, identity):
    blobs = AzureBlobStore(account, ManagedIdentityCredential(), patience=QUICK)
    identity.lifetime_s = -60
    try:
        with pytest.raises(BusinessFailure, match="Storage Blob Data Contributor") as refused:
            blobs.write("chains", "a", b"")
    finally:
        identity.lifetime_s = 24 * 3600
    assert not any(token in str(refused.value) for token in identity.issued)


# -------------------------------------------------------------------------------------------------- reading, listing


def test_a_long_blob_that_is_replaced_while_it_is_read_must_be_read_again(account):
    blobs = store(account)
    blobs.write("datasets", "long", Long(3 * CHUNK))
    with blobs.open("datasets", "long") as stream:
        stream.read(10)
        blobs.write("datasets", "long", Long(3 * CHUNK))
        with pytest.raises(Transient, match="was replaced while it was read"):
            stream.read()


def test_a_stream_that_fails_while_it_is_read_changes_nothing(account):
    blobs = store(account)

    def fail() -> None:
        raise ConnectionError("the upload broke off")

    with pytest.raises(ConnectionError):
        blobs.write("datasets", "long", Long(3 * CHUNK, at_half=fail))
    assert list(blobs.list("datasets")) == []


@pytest.mark.parametrize("condition", [{}, {"if_absent": True}])
def test_of_two_uploads_of_one_blob_at_the_same_time_the_later_is_told_and_nothing_mixes(account, condition):
    blobs = store(account)
    inner = Long(CHUNK + 5)
    outer = Long(4 * CHUNK, at_half=lambda: blobs.write("datasets", "long", inner))
    with pytest.raises(Conflict if condition else Transient, match="datasets/long"):
        blobs.write("datasets", "long", outer, **condition)
    with blobs.open("datasets", "long") as stream:
        assert digest_of(stream) == inner.digest.digest()


def test_a_listing_goes_on_over_its_pages(account):
    blobs = store(account, page=3)
    for number in range(10):
        blobs.append("logs", f"{number}", b"")
    assert [info.name for info in blobs.list("logs")] == [str(number) for number in range(10)]
    assert {info.etag for info in blobs.list("logs")} == {blobs.info("logs", f"{number}").etag for number in range(10)}


# ---------------------------------------------------------------------------------------------------------- appending


def test_a_log_of_more_blocks_than_one_blob_holds_goes_on_in_further_parts(account):
    stores = [store(account, append_blocks=3) for _ in range(2)]

    def append(who: int) -> None:
        for number in range(8):
            stores[who].append("chains", "c1/log.jsonl", b"%d:%d\n" % (who, number))

    threads = [threading.Thread(target=append, args=(who,)) for who in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = store(account).read("chains", "c1/log.jsonl")
    lines = content.decode().split()
    for who in "01":
        assert [line for line in lines if line.startswith(who)] == [f"{who}:{number}" for number in range(8)]
    with stores[0].open("chains", "c1/log.jsonl") as stream:
        assert stream.read() == content
    assert stores[0].info("chains", "c1/log.jsonl").size == len(content)
    assert [info.name for info in stores[0].list("chains")] == ["c1/log.jsonl"]
    assert len(list(stores[0].list("appended", "chains/c1/log.jsonl/"))) == 5
    stores[0].delete("chains", "c1/log.jsonl")
    assert list(stores[0].list("appended")) == []
    stores[1].append("chains", "c1/log.jsonl", b"anew\n")
    assert stores[0].read("chains", "c1/log.jsonl") == b"anew\n"


def test_what_was_written_is_not_appended_to(account):
    blobs = store(account)
    blobs.write("chains", "state", b"1")
    with pytest.raises(BusinessFailure, match="written or appended to, never both"):
        blobs.append("chains", "state", b"2")
    assert blobs.read("chains", "state") == b"1"


# -------------------------------------------------------------------------------------------------------------- links


def test_links_are_for_reading_over_https_end_soon_and_share_one_key(account):
    blobs = store(account)
    blobs.write("reports", "c1/a.csv", b"a")
    links = [parse_qs(urlsplit(str(blobs.link("reports", name, timedelta(days=3)))).query) for name in ("a", "b")]
    for link in links:
        assert (link["sp"], link["spr"], link["sr"]) == (["r"], ["https"], ["b"])
        assert datetime.fromisoformat(link["se"][0]) <= datetime.now(UTC) + timedelta(hours=1)
    assert links[0]["ske"] == links[1]["ske"]
    assert links[0]["sig"] != links[1]["sig"]


def test_a_blob_that_is_gone_says_so_however_it_is_read(account):
    blobs = store(account)
    for read in (blobs.read, blobs.info, lambda *name: blobs.open(*name).__enter__()):
        with pytest.raises(NotFound, match="There is no blob reports/a"):
            read("reports", "a")

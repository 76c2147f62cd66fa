"""What every blob store does."""

from __future__ import annotations

import threading
from datetime import timedelta
from io import BytesIO

import pytest
import requests

from shared.errors import Conflict, InvalidName, NotFound
from shared.ports import BlobStore

ODD_NAMES = (
    "a/b/c.json",
    "Report.HTML",
    "100%/50%25.txt",
    "Ünïcödé/日本語/🎟️.txt",
    "cafe\u0301.txt",
    "café.txt",
    ".hidden",
    "..two",
    "trailing.",
    "trailing ",
    'it\'s "quoted" <b>&amp;</b> *?:|',
    "con",
    "x" * 255,
)


def names(blobs: BlobStore, prefix: str = "", container: str = "chains") -> list[str]:
    return [info.name for info in blobs.list(container, prefix)]


# --------------------------------------------------------------------------------------------------- reading, writing


def test_what_was_written_is_read(blobs):
    etag = blobs.write("chains", "c1/state.json", b"\x00one\xff")
    assert blobs.read("chains", "c1/state.json") == b"\x00one\xff"
    assert blobs.read_with_etag("chains", "c1/state.json") == (b"\x00one\xff", etag)
    with blobs.open("chains", "c1/state.json") as stream:
        assert (stream.read(3), stream.read()) == (b"\x00on", b"e\xff")


def test_content_may_come_as_a_stream_and_may_be_empty(blobs):
    blobs.write("chains", "big", BytesIO(b"0123456789" * 500_000))
    assert blobs.info("chains", "big").size == 5_000_000
    blobs.write("chains", "empty", b"")
    assert blobs.read("chains", "empty") == b""


def test_info_tells_size_etag_and_time(blobs):
    etag = blobs.write("chains", "a", b"123")
    info = blobs.info("chains", "a")
    assert (info.container, info.name, info.size, info.etag) == ("chains", "a", 3, etag)
    assert info.last_modified.utcoffset() is not None
    assert [info] == list(blobs.list("chains"))


def test_a_blob_that_does_not_exist_is_named_in_the_error(blobs):
    blobs.write("chains", "a/b", b"")
    for name in ("x", "a", "a/b/c", "a/x"):
        for call in (blobs.read, blobs.read_with_etag, blobs.info):
            with pytest.raises(NotFound, match=f"chains/{name}"):
                call("chains", name)
        with pytest.raises(NotFound), blobs.open("chains", name):
            pass
    with pytest.raises(NotFound):
        blobs.read("nowhere", "x")


def test_a_stream_that_is_open_keeps_its_version_while_others_write(blobs):
    blobs.write("chains", "a", b"old")
    with blobs.open("chains", "a") as stream:
        blobs.write("chains", "a", b"new")
        blobs.delete("chains", "a")
        assert stream.read() == b"old"


def test_containers_keep_apart(blobs):
    blobs.write("chains", "a", b"1")
    blobs.write("results", "a", b"2")
    assert (blobs.read("chains", "a"), blobs.read("results", "a")) == (b"1", b"2")


# ------------------------------------------------------------------------------------------------- conditional writes


def test_every_write_gives_a_new_etag_even_with_the_same_content(blobs):
    etags = [blobs.write("chains", "a", b"same") for _ in range(200)]
    assert len(set(etags)) == 200
    assert blobs.info("chains", "a").etag == etags[-1]


def test_a_write_that_expects_the_current_etag_succeeds_once(blobs):
    etag = blobs.write("chains", "a", b"1")
    newer = blobs.write("chains", "a", b"2", if_match=etag)
    with pytest.raises(Conflict, match=r"chains/a .*another writer"):
        blobs.write("chains", "a", b"3", if_match=etag)
    assert blobs.read_with_etag("chains", "a") == (b"2", newer)


def test_a_write_that_expects_a_blob_which_is_gone_is_a_conflict(blobs):
    etag = blobs.write("chains", "a", b"1")
    blobs.delete("chains", "a")
    with pytest.raises(Conflict):
        blobs.write("chains", "a", b"2", if_match=etag)
    assert names(blobs) == []


def test_a_blob_that_was_deleted_and_written_anew_has_another_etag(blobs):
    old = blobs.write("chains", "a", b"1")
    blobs.delete("chains", "a")
    blobs.write("chains", "a", b"1")
    with pytest.raises(Conflict):
        blobs.write("chains", "a", b"2", if_match=old)


def test_a_write_that_expects_no_blob_succeeds_once(blobs):
    blobs.write("chains", "a", b"1", if_absent=True)
    with pytest.raises(Conflict, match="chains/a exists"):
        blobs.write("chains", "a", b"2", if_absent=True)
    assert blobs.read("chains", "a") == b"1"


def test_of_many_threads_that_create_a_blob_exactly_one_wins(blobs):
    winners: list[bytes] = []
    barrier = threading.Barrier(8)

    def create(content: bytes) -> None:
        barrier.wait()
        try:
            blobs.write("chains", "a/b/c", content, if_absent=True)
        except Conflict:
            return
        winners.append(content)

    threads = [threading.Thread(target=create, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == [blobs.read("chains", "a/b/c")]


def test_conditional_increments_by_many_threads_lose_none(blobs):
    blobs.write("chains", "counter", b"0")

    def increment() -> None:
        for _ in range(20):
            while True:
                content, etag = blobs.read_with_etag("chains", "counter")
                try:
                    blobs.write("chains", "counter", b"%d" % (int(content) + 1), if_match=etag)
                except Conflict:
                    continue
                break

    threads = [threading.Thread(target=increment) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.read("chains", "counter") == b"80"


# ---------------------------------------------------------------------------------------------------------- appending


def test_appending_creates_the_blob_and_adds_to_its_end(blobs):
    blobs.append("chains", "c1/log.jsonl", b"one\n")
    first = blobs.info("chains", "c1/log.jsonl").etag
    blobs.append("chains", "c1/log.jsonl", b"two\n")
    assert blobs.read("chains", "c1/log.jsonl") == b"one\ntwo\n"
    assert blobs.info("chains", "c1/log.jsonl").etag != first


def test_appends_of_many_threads_are_neither_lost_nor_mixed(blobs):
    def append(who: int) -> None:
        for n in range(25):
            blobs.append("chains", "log", f"{who}:{n}:{'x' * 500}\n".encode())

    threads = [threading.Thread(target=append, args=(who,)) for who in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = blobs.read("chains", "log").decode().splitlines()
    assert all(line.endswith("x" * 500) for line in lines)
    for who in range(4):
        assert [line.split(":")[1] for line in lines if line.startswith(f"{who}:")] == [str(n) for n in range(25)]


# ---------------------------------------------------------------------------------------------------- listing, deleting


def test_a_list_is_ordered_by_whole_names_and_filtered_by_prefix(blobs):
    for name in ("b", "a/2", "a-b", "a/10", "a/x/y", "aa"):
        blobs.write("chains", name, b"")
    assert names(blobs) == ["a-b", "a/10", "a/2", "a/x/y", "aa", "b"]
    assert names(blobs, "a/") == ["a/10", "a/2", "a/x/y"]
    assert names(blobs, "a/1") == ["a/10"]
    assert names(blobs, "a/x/y") == ["a/x/y"]
    assert names(blobs, "c") == names(blobs, "b/") == names(blobs, "a//") == names(blobs, "../") == []


def test_a_container_that_does_not_exist_is_empty(blobs):
    assert names(blobs, container="nowhere") == []


def test_a_deleted_blob_is_gone_and_deleting_it_again_is_no_error(blobs):
    blobs.write("chains", "a/b", b"")
    blobs.delete("chains", "a/b")
    blobs.delete("chains", "a/b")
    blobs.delete("chains", "a")
    assert names(blobs) == []
    blobs.write("chains", "a", b"the name of the former folder is free")
    assert names(blobs) == ["a"]


# -------------------------------------------------------------------------------------------------------------- names


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_work(blobs, name):
    blobs.write("chains", name, name.encode())
    assert blobs.read("chains", name) == name.encode()
    assert names(blobs) == names(blobs, name) == [name]


def test_names_that_look_alike_are_different_blobs(blobs):
    alike = ("a", "A", "%41", "caf\u00e9", "cafe\u0301", "a.", "a ", "ｓ", "s")
    for name in alike:
        blobs.write("chains", name, name.encode(), if_absent=True)
    assert [blobs.read("chains", name).decode() for name in alike] == list(alike)
    assert sorted(names(blobs)) == sorted(alike)


@pytest.mark.parametrize(
    "name",
    ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "../a", "a/./b", "a\\b", "a\nb", "a\x00", "a\x7f", "\x85",
     "\ud800", "x" * 256, "日" * 86, "a/" * 600 + "a"],
)  # fmt: skip
def test_names_that_would_escape_or_confuse_are_refused_by_every_call(blobs, name):
    calls = (blobs.read, blobs.read_with_etag, blobs.info, blobs.delete, lambda c, n: blobs.open(c, n).__enter__())
    for call in calls:
        with pytest.raises(InvalidName, match="is not valid"):
            call("chains", name)
    for write in (blobs.write, blobs.append):
        with pytest.raises(InvalidName):
            write("chains", name, b"")


@pytest.mark.parametrize("container", ["", ".", "..", ".tmp", "a/b", "a b", "ä", "a\n"])
def test_containers_with_bad_names_are_refused(blobs, container):
    with pytest.raises(InvalidName, match="Container"):
        blobs.write(container, "a", b"")
    with pytest.raises(InvalidName):
        list(blobs.list(container))


# -------------------------------------------------------------------------------------------------------------- links


def test_a_link_reads_one_blob_and_nothing_else_or_there_is_none(blobs):
    blobs.write("reports", "c1/lines öäü.csv", b"line\n1\n")
    link = blobs.link("reports", "c1/lines öäü.csv", timedelta(minutes=5))
    if link is None:
        return  # files are read through the functions
    answer = requests.get(link, timeout=10)
    assert (answer.status_code, answer.content) == (200, b"line\n1\n")
    assert answer.headers["Content-Disposition"].startswith("attachment; filename")
    assert requests.put(link, b"forged", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10).status_code == 403
    assert requests.get(link.replace("c1/lines", "c2/lines"), timeout=10).status_code == 403
    assert blobs.read("reports", "c1/lines öäü.csv") == b"line\n1\n"

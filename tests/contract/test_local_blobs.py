"""What only the file store can show: kills, several processes, a full disk, odd file systems, strange files."""

from __future__ import annotations

import errno
import os
import time

import pytest

from shared.adapters.blob_names import decode_part, encode_part
from shared.adapters.local import blob_files
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.errors import Conflict, InvalidName, Transient
from tests.contract.consumers import BLOCK
from tests.contract.test_local_bus import finish, kill, start


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def leftovers(root) -> list[str]:
    return files(root / ".tmp")


# -------------------------------------------------------------------------------------------------- kills, processes


@pytest.mark.parametrize("pause", [0.0, 0.002, 0.004])
def test_a_writer_killed_in_the_midst_of_a_write_leaves_the_old_or_the_new_content(tmp_path, pause):
    writer = start("overwrite", tmp_path)
    for _ in range(20):
        said = writer.stdout.readline()
    time.sleep(pause)  # to be killed at another place of the write each time
    said = (kill(writer) or [said])[-1]
    blobs = FileBlobStore(tmp_path)
    content = blobs.read("chains", "c1/state.json")
    n = int(said)
    assert content in {bytes([k % 256]) * BLOCK * (1 + k % 7) for k in (n, n + 1)}
    assert [info.name for info in blobs.list("chains")] == ["c1/state.json"]
    assert leftovers(tmp_path) == []  # opening the store swept what the dead writer left
    blobs.write("chains", "c1/state.json", b"the lock died with its holder")


def test_an_appender_killed_in_the_midst_of_a_line_leaves_only_whole_lines(tmp_path):
    appender = start("append", tmp_path)
    said = [appender.stdout.readline() for _ in range(40)] + kill(appender)
    blobs = FileBlobStore(tmp_path)
    blobs.append("chains", "c1/log.jsonl", b"next\n")
    *lines, last = blobs.read("chains", "c1/log.jsonl").decode().split("\n")[:-1]
    assert last == "next"
    assert len(said) <= len(lines) <= len(said) + 1
    assert lines == [f"{n} {'x' * 5000}" for n in range(len(lines))]


def test_conditional_writes_of_several_processes_lose_none(tmp_path):
    blobs = FileBlobStore(tmp_path)
    blobs.write("chains", "counter", b"0")
    for process in [start("increment", tmp_path, 100) for _ in range(3)]:
        finish(process)
    assert blobs.read("chains", "counter") == b"300"


def test_temporary_files_of_living_writers_are_not_swept(tmp_path):
    store = FileBlobStore(tmp_path)
    with store._files.temporary(b"half") as temporary:
        FileBlobStore(tmp_path)
        assert temporary.exists()
    assert leftovers(tmp_path) == []


def test_an_etag_belongs_to_the_file_and_survives_opening_the_store_again(tmp_path):
    etag = FileBlobStore(tmp_path).write("chains", "a", b"1")
    FileBlobStore(tmp_path).write("chains", "a", b"2", if_match=etag)
    with pytest.raises(Conflict):
        FileBlobStore(tmp_path).write("chains", "a", b"3", if_match=etag)


def test_etags_differ_although_the_clock_stands_still_or_goes_back(tmp_path, monkeypatch):
    store = FileBlobStore(tmp_path)
    etags = [store.write("chains", "a", b"1")]
    for now in (1_900_000_000_000_000_000, 1_900_000_000_000_000_000, 1_000_000_000_000_000_000):
        monkeypatch.setattr(blob_files.time, "time_ns", lambda now=now: now)
        etags.append(store.write("chains", "a", b"1"))
    times = [int(etag.split("-")[0], 16) for etag in etags]
    assert times == sorted(set(times))


# ------------------------------------------------------------------------------------------------------------- faults


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_a_passing_fault_that_changes_nothing(tmp_path, monkeypatch, code):
    store = FileBlobStore(tmp_path)
    store.write("chains", "a", b"old")

    def full(handle: int) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(blob_files.os, "fsync", full)
    for write in (store.write, store.append):
        with pytest.raises(Transient, match=r"is full .* nothing was changed. Free space"):
            write("chains", "a", b"new")
    assert store.read("chains", "a") == b"old"
    assert leftovers(tmp_path) == []


def test_a_stream_that_fails_while_it_is_read_changes_nothing(tmp_path):
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise ConnectionError("the upload broke off")

    store = FileBlobStore(tmp_path)
    with pytest.raises(ConnectionError):
        store.write("chains", "a", Broken())
    assert list(store.list("chains")) == []
    assert leftovers(tmp_path) == []


def test_a_conflict_leaves_no_temporary_file(tmp_path):
    store = FileBlobStore(tmp_path)
    store.write("chains", "a", b"1")
    with pytest.raises(Conflict):
        store.write("chains", "a", b"2", if_absent=True)
    with pytest.raises(InvalidName):
        store.write("chains", "a/b", b"2")
    assert leftovers(tmp_path) == []


# -------------------------------------------------------------------------------------------------------------- files


def test_blobs_are_plain_files_that_people_can_open(tmp_path):
    store = FileBlobStore(tmp_path)
    store.write("reports", "ticket_triage-ci-0123/Report v1.html", b"<p>")
    assert (tmp_path / "reports/ticket_triage-ci-0123/Report v1.html").read_bytes() == b"<p>"
    assert store.path("reports", "ticket_triage-ci-0123/Report v1.html").read_bytes() == b"<p>"


def test_files_that_are_not_the_stores_are_not_listed(tmp_path):
    store = FileBlobStore(tmp_path)
    store.write("datasets", "a", b"")
    for name in (".DS_Store", "%zz", "%41", "what?"):
        (tmp_path / "datasets" / name).write_bytes(b"")
    (tmp_path / "datasets" / "link").symlink_to("/etc/passwd")
    assert [info.name for info in store.list("datasets")] == ["a"]


@pytest.mark.parametrize("store", [FileBlobStore, lambda folder: MemoryBlobStore()])
def test_where_blobs_are_files_a_name_cannot_be_a_blob_and_a_folder_at_once(tmp_path, store):
    blobs = store(tmp_path)
    blobs.write("chains", "a/b", b"1")
    for name, other in (("a", "a/"), ("a/b/c", "a/b"), ("a/b/c/d", "a/b")):
        for write in (blobs.write, blobs.append):
            with pytest.raises(InvalidName, match=f"holds '{other}"):
                write("chains", name, b"2")
    assert [info.name for info in blobs.list("chains")] == ["a/b"]


def test_nothing_is_written_outside_the_root(tmp_path):
    store = FileBlobStore(tmp_path / "root")
    for name in ("../x", "a/../../x", "/x", "..\\x", "~/x"):
        try:
            store.write("chains", name, b"")
        except InvalidName:
            continue
    assert files(tmp_path) == ["root"]


def test_a_folder_that_a_killed_deletion_left_empty_is_no_obstacle(tmp_path):
    store = FileBlobStore(tmp_path)
    (tmp_path / "chains" / "a").mkdir(parents=True)
    store.write("chains", "a", b"1")
    assert store.read("chains", "a") == b"1"


@pytest.mark.parametrize("fold", [False, True])
def test_file_names_lead_back_to_the_name_and_to_no_other(fold):
    parts = ("a", "A", "%41", "%", "é", "e\u0301", ".", "..x", "x.", "x ", "日本", "a:b", 'q"', "x" * 255)
    encoded = [encode_part(part, fold=fold) for part in parts]
    assert [decode_part(file, fold=fold) for file in encoded] == list(parts)
    assert len({file.lower() if fold else file for file in encoded}) == len(parts)
    assert not any(file.startswith(".") or set(file) & set('/\\:*?"<>|') for file in encoded)


def test_where_the_file_system_ignores_case_names_still_do_not_meet(tmp_path):
    store = FileBlobStore(tmp_path)
    store._files.folds_names = True
    for name in ("a", "A", "Ä", "ä"):
        store.write("chains", name, name.encode(), if_absent=True)
        store.write("Chains", name, b"")
        store.delete("Chains", name)
    assert [info.name for info in store.list("chains")] == ["A", "a", "Ä", "ä"]
    assert list(store.list("Chains")) == []
    assert files(tmp_path / "chains") == ["%41", "%c3%84", "%c3%a4", "a"]

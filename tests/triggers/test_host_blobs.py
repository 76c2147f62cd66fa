"""Blob triggers in the embedded host: every change at least once, five tries, then a poison record."""

from __future__ import annotations

import json
import threading
import time

import azure.functions as func
import pytest
from azure.identity import ManagedIdentityCredential

from genaiops.host.blobs import WATCHED, PoisonBlob
from shared.adapters.azure.blobs import AzureBlobStore
from shared.adapters.memory.blobs import MemoryBlobStore
from tests.triggers.hosting import eventually, hosting


class BlobClient:
    """Stands in the annotation for the SDK's class, which the host does not import."""


def app_with(function, path: str = "datasets/{name}") -> func.FunctionApp:
    app = func.FunctionApp()
    app.blob_trigger(arg_name="blob", path=path, connection="Storage", source="EventGrid")(function)
    return app


@pytest.fixture
def blobs(monkeypatch):
    monkeypatch.setattr("genaiops.host.blobs.SCAN", 0.01)
    return MemoryBlobStore()


def settle() -> None:
    """Let a few scans pass, in which a wrong second call would come."""
    threading.Event().wait(0.15)


def test_each_change_of_a_blob_calls_once_with_its_name_and_etag(tmp_path, blobs):
    calls = []

    def changed(blob: BlobClient) -> None:
        properties = blob.get_blob_properties()
        calls.append((blob.container_name, blob.blob_name, properties.etag, properties.size))

    with hosting(app_with(changed), tmp_path, blobs=blobs):
        first = blobs.write("datasets", "triage/support/a.jsonl", b"one")
        eventually(lambda: len(calls) == 1)
        settle()
        second = blobs.write("datasets", "triage/support/a.jsonl", b"three")
        eventually(lambda: len(calls) == 2)
        settle()
    name = ("datasets", "triage/support/a.jsonl")
    assert calls == [(*name, first, 3), (*name, second, 5)]


@pytest.fixture(params=["memory", pytest.param("azure", marks=pytest.mark.azurite)])
def shared_blobs(request, monkeypatch):
    monkeypatch.setattr("genaiops.host.blobs.SCAN", 0.01)
    monkeypatch.setattr("genaiops.host.blobs.REST", 1)
    if request.param == "memory":
        return MemoryBlobStore()
    return AzureBlobStore(request.getfixturevalue("azurite").account(), ManagedIdentityCredential())


def test_a_host_beside_another_leaves_it_what_was_there_before_and_takes_what_comes(tmp_path, shared_blobs):
    calls = []

    def changed(blob: BlobClient) -> None:
        calls.append((blob.blob_name, blob.get_blob_properties().etag, b"".join(blob.download_blob().chunks())))

    def watched(host) -> bool:
        return WATCHED in host._ledger.receipts("changed", "datasets")

    shared_blobs.write("datasets", "before", b"1")
    expected = []
    for run in range(2):  # a host that starts again knows what it has seen
        if run:
            expected.append(("away", shared_blobs.write("datasets", "away", b"2"), b"2"))
        with hosting(app_with(changed), tmp_path, blobs=shared_blobs, takes_old_blobs=False) as host:
            eventually(lambda host=host: watched(host), "the container is watched")
            content = b"%d" % run
            names = (f"new {run}", "before")
            expected.extend([(name, shared_blobs.write("datasets", name, content), content) for name in names])
            eventually(lambda: len(calls) >= len(expected), "every upload is noticed")
            settle()
    assert sorted(calls) == sorted(expected)


def test_what_was_uploaded_while_no_host_ran_is_found_and_what_was_handled_is_not_called_again(tmp_path, blobs):
    calls = []

    def changed(blob: BlobClient) -> None:
        calls.append(blob.blob_name)

    blobs.write("datasets", "before", b"1")
    with hosting(app_with(changed), tmp_path, blobs=blobs):
        eventually(lambda: calls == ["before"])
    blobs.write("datasets", "between", b"2")
    with hosting(app_with(changed), tmp_path, blobs=blobs):
        eventually(lambda: calls == ["before", "between"])
        settle()
    assert calls == ["before", "between"]


def test_a_blob_that_fails_five_times_is_given_up_with_a_poison_record(tmp_path, blobs):
    calls = []

    def changed(blob: BlobClient) -> None:
        calls.append(blob.blob_name)
        raise RuntimeError("unreadable")

    with hosting(app_with(changed), tmp_path, blobs=blobs):
        etag = blobs.write("datasets", "bad", b"x")
        eventually(lambda: list(blobs.list("webjobs-blobtrigger-poison")))
        settle()
        assert calls == ["bad"] * 5
        (record,) = blobs.list("webjobs-blobtrigger-poison")
        content = json.loads(blobs.read(record.container, record.name))
        assert (content["FunctionId"], content["BlobName"], content["ETag"]) == ("changed", "bad", etag)
        blobs.write("datasets", "bad", b"y")
        eventually(lambda: len(calls) > 5, "a changed blob gets its five tries anew")


def test_whoever_wants_to_know_is_told_of_a_blob_that_is_given_up_until_they_have_heard_it(tmp_path, blobs):
    told = []

    def changed(blob: BlobClient) -> None:
        raise RuntimeError("unreadable")

    def hears_the_second_time(poison: PoisonBlob) -> None:
        told.append(poison)
        if len(told) == 1:
            raise OSError("No space left on device")

    etag = blobs.write("datasets", "bad", b"x")
    with hosting(app_with(changed), tmp_path, blobs=blobs, on_poison=hears_the_second_time):
        eventually(lambda: len(told) == 2)
        settle()
    assert len(told) == 2
    last = told[-1]
    assert (last.function, last.container, last.name, last.etag, last.tries) == ("changed", "datasets", "bad", etag, 5)
    assert "unreadable" in last.error


def test_a_fault_that_passes_in_a_moment_does_not_use_up_the_tries(tmp_path, blobs):
    begun, handled = time.monotonic(), []

    def changed(blob: BlobClient) -> None:
        if time.monotonic() - begun < 0.5:
            raise OSError("No space left on device")
        handled.append(blob.blob_name)

    blobs.write("datasets", "a", b"1")
    with hosting(app_with(changed), tmp_path, blobs=blobs, first_wait_s=0.1):
        eventually(lambda: handled == ["a"])
    assert not list(blobs.list("webjobs-blobtrigger-poison"))


def test_a_new_version_of_a_blob_does_not_wait_for_the_one_that_failed(tmp_path, blobs):
    calls = []

    def changed(blob: BlobClient) -> None:
        content = blob.download_blob().readall()
        calls.append(content)
        if content == b"bad":
            raise RuntimeError("unreadable")

    with hosting(app_with(changed), tmp_path, blobs=blobs, first_wait_s=600):
        blobs.write("datasets", "a", b"bad")
        eventually(lambda: calls == [b"bad"])
        settle()
        blobs.write("datasets", "a", b"good")
        eventually(lambda: calls == [b"bad", b"good"])


def test_tries_are_counted_over_a_restart(tmp_path, blobs):
    calls, failed = [], threading.Event()

    def changed(blob: BlobClient) -> None:
        calls.append(blob.blob_name)
        failed.set()
        raise RuntimeError("unreadable")

    blobs.write("datasets", "bad", b"x")
    with hosting(app_with(changed), tmp_path, blobs=blobs) as host:
        assert failed.wait(20)
        host.stop()
    assert 1 <= len(calls) < 5
    with hosting(app_with(changed), tmp_path, blobs=blobs):
        eventually(lambda: list(blobs.list("webjobs-blobtrigger-poison")))
        settle()
    assert len(calls) == 5


def test_only_matching_blobs_of_the_container_call_and_content_can_be_read(tmp_path, blobs):
    contents = []

    def changed(blob: func.InputStream) -> None:
        contents.append((blob.name, blob.read()))

    blobs.write("datasets", "notes.txt", b"no")
    blobs.write("reports", "a.jsonl", b"no")
    blobs.write("datasets", "a.jsonl", b"yes")
    with hosting(app_with(changed, "datasets/{name}.jsonl"), tmp_path, blobs=blobs):
        eventually(lambda: contents)
        settle()
    assert contents == [("datasets/a.jsonl", b"yes")]


def test_a_blob_that_is_deleted_and_written_again_is_a_change(tmp_path, blobs):
    calls = []

    def changed(blob: BlobClient) -> None:
        calls.append(blob.download_blob().readall())

    with hosting(app_with(changed), tmp_path, blobs=blobs):
        blobs.write("datasets", "a", b"1")
        eventually(lambda: calls == [b"1"])
        blobs.delete("datasets", "a")
        settle()
        blobs.write("datasets", "a", b"1")
        eventually(lambda: calls == [b"1", b"1"])

"""Large files of a report are fetched from the storage account; their stable address stays the function's."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import requests

from shared import reporting
from shared.dashboard import pages
from shared.errors import BusinessFailure
from shared.pages.http import Request
from tests.contract.conftest import azure_blobs
from tests.samples import sample_chain
from tests.unit.people import memory_ports, store

LINES = b"line,answer\n" * 100


@pytest.fixture
def chain():
    return sample_chain()


@pytest.fixture
def ports(request, chain):
    ports = replace(memory_ports("azure"), blobs=azure_blobs(request))
    store(ports, chain)
    for name, content in (("lines.csv", LINES), ("metrics.csv", b"metric\n")):
        ports.blobs.write(reporting.CONTAINER, f"{chain.id}/{name}", content)
    return ports


@pytest.mark.azurite
def test_a_large_file_is_saved_through_a_short_lived_link_and_a_small_one_is_sent(ports, chain, monkeypatch):
    monkeypatch.setattr(pages, "LINKED_BYTES", 1_000)
    page = pages.file(ports, Request(), chain.id, "lines.csv")
    assert (page.status, page.body, page.headers["Cache-Control"]) == (303, b"", "no-store")
    saved = requests.get(page.headers["Location"], timeout=10)
    assert saved.content == LINES
    assert saved.headers["Content-Disposition"].startswith("attachment")
    assert pages.file(ports, Request(), chain.id, "metrics.csv").body == b"metric\n"


@pytest.mark.azurite
def test_where_the_identity_may_not_make_links_the_file_is_sent_all_the_same(ports, chain, monkeypatch, caplog):
    def refused(container: str, name: str, valid_for: timedelta) -> str:
        raise BusinessFailure("give the app's identity the role")

    monkeypatch.setattr(pages, "LINKED_BYTES", 1_000)
    monkeypatch.setattr(ports.blobs, "link", refused)
    assert pages.file(ports, Request(), chain.id, "lines.csv").body == LINES
    assert "give the app's identity the role" in caplog.text

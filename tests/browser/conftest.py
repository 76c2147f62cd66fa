"""The pages in Chromium, served by the embedded host from the functions themselves, on stores in memory."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import azure.functions as func
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from functions import approvals, chain_events, chains
from genaiops.host import Host, app_settings
from shared import bootstrap, chain_store, reporting
from shared.adapters.local.clock import SystemClock
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.queues import QueueConfig
from shared.approvals import links
from shared.chain.messages import Queue
from shared.chain.state import Chain
from shared.ports import Ports
from tests import samples
from tests.unit.people import memory_ports, store

ROOT = Path(__file__).parents[2]
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--disable-quic",
)


@dataclass(frozen=True)
class Site:
    """The running host and what it serves from."""

    url: str
    ports: Ports

    def chain(self, chain_id: str) -> Chain:
        return chain_store.load(self.ports.blobs, chain_id)[0]

    def waiting(self, request_id: str, outputs: tuple[str, ...] = ()) -> Chain:
        """A chain with a report that waits for maria's or jonas's answer."""
        chain = samples.sample_chain(request_id=request_id)
        samples.write_results(self.ports.blobs, chain, outputs=outputs)
        built = reporting.build(self.ports, chain, final=False)
        return store(self.ports, samples.awaiting_approval(chain, built.evidence, at=datetime.now(UTC)))

    def link(self, chain: Chain, approver: str = "maria@example.org") -> str:
        return links.link_for(self.ports, chain, approver)

    def eventually(self, condition: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 20
        while not condition():
            assert time.monotonic() < deadline, f"never happened: {what}"
            time.sleep(0.01)


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
    for trigger in (approvals, chains, chain_events):
        app.register_functions(trigger.blueprint)
    ports = memory_ports()
    clock = SystemClock()
    queues = [QueueConfig(name, sessions=q is Queue.CHAIN_EVENTS) for q, name in ports.settings.queues.items()]
    bus = MemoryBus(queues, clock)
    host_json = json.loads((ROOT / "host.json").read_text())
    host = Host(
        app, bus.consumer(), ports.blobs, tmp_path_factory.mktemp("host"), 0,
        host_json=host_json, app_settings=app_settings(ports.settings),
    )  # fmt: skip
    host.start()
    url = host.http_url.removesuffix("/api")
    ports = replace(ports, bus=bus, clock=clock, settings=replace(ports.settings, functions_url=url))
    bootstrap.use(ports)
    yield Site(url, ports)
    host.stop()


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport={"width": 1100, "height": 900})
    yield context
    context.close()


@pytest.fixture
def tab(context: BrowserContext) -> Page:
    """A tab in which any script that an output smuggles in would leave its mark: see `unharmed`."""
    return context.new_page()


def unharmed(tab: Page) -> None:
    """Nothing that a model or a sender wrote has run."""
    assert tab.evaluate("window.hacked") is None
    assert tab.evaluate("document.querySelectorAll('img, iframe, object, embed').length") == 0

"""From a chain that asks to a chain that goes on: the mail, whoever looks at its links, and the answer in a browser."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import azure.functions as func
import pytest
from playwright.sync_api import Page, expect

from functions import approvals, chains
from genaiops.host import Host, app_settings
from shared import bootstrap
from shared.adapters.local.notifier import ConsoleNotifier
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.people.mail import MailChannel
from shared.adapters.people.notifier import PeopleNotifier
from shared.adapters.people.smtp import SmtpCarrier
from shared.adapters.queues import QueueConfig
from shared.chain.state import ChainStatus
from tests.memory_world import World
from tests.servers.certificates import Authority
from tests.servers.mail.smtp import MailServer

ROOT = Path(__file__).parents[2]
MARIA = "maria@example.org"


@dataclass(frozen=True)
class Town:
    """A world whose notices go out by mail, and whose pages are served."""

    world: World
    mail: MailServer

    def asked(self, request_id: str) -> str:
        """A chain that waits for maria, who has her mail."""
        folder = ROOT / "tests" / "use_cases" / "small" / "experiment.yaml"
        text = folder.read_text("utf-8").replace("approvers: [ada]", f"approvers: [{MARIA}]")
        digest = self.world.publish_use_case({"experiment.yaml": text})
        chain = self.world.request(request_id=request_id, bundle=digest, branch=request_id)
        self.world.pump(approve=False)
        assert self.world.chain(chain).status is ChainStatus.AWAITING_APPROVAL, self.world.log(chain)
        return chain

    def links(self) -> list[str]:
        """Of the newest mail: what a scanner finds in both of its parts."""
        mail = self.mail.mails[-1]
        found: list[str] = []
        for kind in ("plain", "html"):
            body = mail.get_body((kind,))
            assert body is not None
            found += re.findall(r"https?://[^\s\"<>]+", unescape(body.get_content()))
        assert len(found) >= 2
        return found

    def undecided(self, chain: str) -> bool:
        self.world.pump(approve=False)
        approval = self.world.chain(chain).approval
        return approval is not None and approval.verdict is None


@pytest.fixture(scope="module")
def town(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    before = list(bootstrap._ports)
    with MailServer(tls=authority.certificate().server_context()) as mail:
        world = World(tmp_path_factory.mktemp("town"))
        channel = MailChannel(SmtpCarrier(mail.address, timeout_s=5), "genaiops@example.org", (), world.clock)
        console = ConsoleNotifier(world.blobs, io.StringIO(), personal_links=False)
        notifier = PeopleNotifier(console, [channel], world.blobs, world.clock, console_is_read=False)
        app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
        for trigger in (approvals, chains):
            app.register_functions(trigger.blueprint)
        queues = [QueueConfig(name) for name in world.settings.queues.values()]
        host = Host(
            app, MemoryBus(queues, world.clock).consumer(), world.blobs, tmp_path_factory.mktemp("host"), 0,
            host_json=json.loads((ROOT / "host.json").read_text()), app_settings=app_settings(world.settings),
        )  # fmt: skip
        host.start()
        url = host.http_url.removesuffix("/api")
        world.settings = replace(world.settings, functions_url=url)
        world.ports = replace(world.ports, notifier=notifier, settings=world.settings)
        bootstrap.use(world.ports)
        yield Town(world, mail)
        host.stop()
    bootstrap._ports[:] = before


def test_scanners_open_every_link_and_the_approver_alone_decides(town: Town, tab: Page) -> None:
    chain = town.asked("mailed")
    for _ in range(2):
        for link in town.links():
            for method in ("GET", "HEAD"):
                assert tab.request.fetch(link, method=method).status == 200
    assert town.undecided(chain)
    tab.goto(town.links()[0])
    tab.get_by_label("Approve").check()
    tab.get_by_role("button", name="Send answer").click()
    tab.wait_for_load_state()
    town.world.pump(approve=False)
    state = town.world.chain(chain)
    assert state.status is ChainStatus.SUCCEEDED, town.world.log(chain)
    assert state.approval is not None
    assert state.approval.decided_by == MARIA
    tab.goto(town.links()[0])
    expect(tab.locator("#decision")).to_contain_text(f"Approved by {MARIA}")
    replayed = tab.request.post(town.links()[0], form={"verdict": "reject"})
    assert replayed.status == 409
    assert "This was decided before your answer came" in replayed.text()
    assert MARIA in replayed.text()
    assert town.world.chain(chain).status is ChainStatus.SUCCEEDED


def test_forged_and_cross_chain_links_are_refused_with_a_clear_page(town: Town, tab: Page) -> None:
    first = town.asked("forged-1")
    (link_of_first,) = set(town.links())
    second = town.asked("forged-2")
    (link_of_second,) = set(town.links())
    token, other = (link.rpartition("/")[2] for link in (link_of_first, link_of_second))
    base = link_of_first.rpartition("/")[0]
    payload, _, signature = token.rpartition(".")
    for forged in (f"{other.rpartition('.')[0]}.{signature}", f"{payload[:-2]}AA.{signature}", f"{token}x"):
        answer = tab.goto(f"{base}/{forged}")
        assert answer is not None
        assert answer.status == 403
        expect(tab.get_by_role("heading", name="This link is not valid")).to_be_visible()
        assert tab.request.post(f"{base}/{forged}", form={"verdict": "approve"}).status == 403
    assert town.undecided(first)
    assert town.undecided(second)


def test_an_expired_link_says_that_silence_was_a_rejection(town: Town, tab: Page) -> None:
    chain = town.asked("late")
    link = town.links()[0]
    approval = town.world.chain(chain).approval
    assert approval is not None
    town.world.clock.advance((approval.deadline - town.world.clock.now() + timedelta(seconds=1)).total_seconds())
    answer = tab.goto(link)
    assert answer is not None
    assert answer.status == 410
    expect(tab.get_by_role("heading", name="This link has expired")).to_be_visible()
    assert tab.request.post(link, form={"verdict": "approve"}).status == 410
    town.world.pump(approve=False)
    assert town.world.chain(chain).status is ChainStatus.REJECTED

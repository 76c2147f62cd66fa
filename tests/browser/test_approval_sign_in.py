"""Sign-in before the approval page in Chromium: a stand-in of App Service authentication stands before the host."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from shared import bootstrap
from shared.approvals import audit, links
from shared.chain.messages import Verdict
from shared.chain.state import Chain
from tests.browser.conftest import Site
from tests.servers.app_service_sign_in import principal, sign_in_before
from tests.unit.people import store

MARIA, JONAS, CARA, EVE = (f"{name}@example.org" for name in ("maria", "jonas", "cara", "eve"))
TEAM = "leads@example.org"
GROUP = "3f2a9c41-0000-4000-8000-00000000aa01"
PEOPLE = {
    MARIA: [],
    JONAS: [],
    CARA: [("groups", GROUP)],
    EVE: [("_claim_names", '{"groups":"src1"}')],
}


@pytest.fixture(scope="module")
def guarded(site: Site) -> Iterator[Site]:
    """The site behind the sign-in, which the app is told of."""
    with sign_in_before(site.url, PEOPLE) as platform:
        people = replace(site.ports.settings.people, sign_in=True, platform_signs_in=True)
        ports = replace(site.ports, settings=replace(site.ports.settings, functions_url=platform.url, people=people))
        bootstrap.use(ports)
        yield Site(platform.url, ports)
        bootstrap.use(site.ports)


def waiting(site: Site, request_id: str, *, required: int = 1, requester: str | None = None) -> Chain:
    chain = site.waiting(request_id)
    assert chain.approval is not None
    approval = chain.approval.model_copy(
        update={"approvers": (MARIA, JONAS, TEAM), "groups": {TEAM: GROUP}, "required": required}
    )
    request = chain.request.model_copy(update={"requester": requester})
    return store(site.ports, chain.model_copy(update={"approval": approval, "request": request}))


def open_as(context: BrowserContext, address: str, who: str) -> Page:
    """Open a page as a person who is not signed in yet."""
    tab = context.new_page()
    tab.goto(address)
    expect(tab).to_have_title("Sign in")
    tab.get_by_role("link", name=who).click()
    return tab


def send(tab: Page, answer: str) -> None:
    tab.get_by_label(answer).check()
    tab.get_by_role("button", name="Send answer").click()


def test_a_link_leads_through_the_sign_in_to_an_answer_that_names_the_person(
    guarded: Site, context: BrowserContext
) -> None:
    chain = waiting(guarded, "sign-in")
    tab = open_as(context, guarded.link(chain), MARIA)
    assert tab.url == guarded.link(chain)
    expect(tab.locator("header")).to_contain_text(f"You answer as {MARIA}")
    send(tab, "Approve")
    expect(tab.locator("#decision")).to_contain_text(f"Approved by {MARIA}", timeout=20_000)
    said = [(line.outcome, line.signed_in) for line in audit.read(guarded.ports, chain.id)]
    assert said[:3] == [("sign-in", None), ("viewed", MARIA), ("approved", MARIA)]
    assert "Chrom" in next(audit.read(guarded.ports, chain.id)).agent


def test_two_different_people_approve_one_by_link_and_one_by_the_chains_own_page(
    guarded: Site, browser: Browser
) -> None:
    chain = waiting(guarded, "two", required=2)
    at_marias, at_caras = browser.new_context(), browser.new_context()
    maria = open_as(at_marias, guarded.link(chain), MARIA)
    expect(maria.locator("#decision")).to_contain_text("2 approvals of different people are needed")
    send(maria, "Approve")
    expect(maria.locator("#decision")).to_contain_text("1 of 2 approvals", timeout=20_000)
    expect(maria.get_by_role("button", name="Send answer")).to_have_count(0)
    cara = open_as(at_caras, links.open_link_for(guarded.ports, chain), CARA)
    expect(cara.locator("#decision")).to_contain_text(f"1 of 2 approvals so far: {MARIA}")
    send(cara, "Approve")
    expect(cara.locator("#decision")).to_contain_text(f"Approved by {MARIA} and {CARA}", timeout=20_000)
    expect(maria.locator("#decision")).to_contain_text(f"Approved by {MARIA} and {CARA}", timeout=20_000)
    approval = guarded.chain(chain.id).approval
    assert approval is not None
    assert approval.verdict is Verdict.APPROVED
    at_marias.close()
    at_caras.close()


def test_whoever_asked_for_the_chain_can_only_reject_it(guarded: Site, context: BrowserContext) -> None:
    chain = waiting(guarded, "self", requester="Maria@Example.org")
    tab = open_as(context, guarded.link(chain), MARIA)
    expect(tab.locator("#decision")).to_contain_text("You asked for this chain: somebody else must approve it.")
    expect(tab.get_by_label("Approve")).to_be_disabled()
    tab.evaluate("document.querySelector('input[value=approve]').disabled = false")
    send(tab, "Approve")
    expect(tab.get_by_role("heading", name="Who asks for a chain may not approve it")).to_be_visible()
    tab.goto(guarded.link(chain))
    send(tab, "Reject")
    expect(tab.locator("#decision")).to_contain_text("Rejected by Maria@Example.org", timeout=20_000)


def test_a_link_of_somebody_else_is_refused_and_says_how_to_sign_out(guarded: Site, context: BrowserContext) -> None:
    chain = waiting(guarded, "wrong")
    tab = open_as(context, guarded.link(chain), JONAS)
    expect(tab.get_by_role("heading", name="This link is somebody else's")).to_be_visible()
    tab.goto(f"{guarded.url}/.auth/logout")
    open_as(context, guarded.link(chain), MARIA).get_by_label("Approve").check()


def test_too_many_groups_for_a_sign_in_say_what_to_configure(guarded: Site, context: BrowserContext) -> None:
    tab = open_as(context, guarded.link(waiting(guarded, "overage"), TEAM), EVE)
    expect(tab.get_by_role("heading", name="Your groups are not known")).to_be_visible()
    expect(tab.get_by_text("ApplicationGroup")).to_be_visible()


def test_headers_of_ones_own_and_forms_of_other_sites_decide_nothing(guarded: Site, context: BrowserContext) -> None:
    chain = waiting(guarded, "spoofed")
    own = {"X-MS-CLIENT-PRINCIPAL": principal(MARIA, [])}
    page = links.open_link_for(guarded.ports, chain)
    spoofed = context.request.get(page, headers=own, max_redirects=0)
    assert spoofed.status == 303, "the platform lets nobody else send its headers"
    open_as(context, page, MARIA)
    for origin in ("https://elsewhere.example", "null"):
        foreign = context.request.post(
            page, form={"verdict": "approve"}, headers={"Origin": origin, "User-Agent": "Mozilla/5.0"}
        )
        assert foreign.status == 403
    without_proof = context.request.post(page, form={"verdict": "approve"}, headers={"Origin": guarded.url})
    assert without_proof.status == 403
    approval = guarded.chain(chain.id).approval
    assert approval is not None
    assert approval.verdict is None


def test_where_the_platform_does_not_sign_people_in_its_headers_open_nothing(
    guarded: Site, site: Site, context: BrowserContext
) -> None:
    chain = waiting(guarded, "unguarded")
    people = replace(guarded.ports.settings.people, platform_signs_in=False)
    bootstrap.use(replace(guarded.ports, settings=replace(guarded.ports.settings, people=people)))
    try:
        tab = context.new_page()
        tab.set_extra_http_headers({"X-MS-CLIENT-PRINCIPAL": principal(MARIA, [])})
        tab.goto(f"{site.url}/api/approvals/{chain.id}")
        expect(tab.get_by_role("heading", name="Sign-in is not set up")).to_be_visible()
    finally:
        bootstrap.use(guarded.ports)

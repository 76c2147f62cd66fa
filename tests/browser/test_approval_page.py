"""An approver in a browser: reads the evidence, answers once, and sees who decided."""

from __future__ import annotations

import re

from playwright.sync_api import Browser, Page, expect

from shared.chain.messages import Verdict
from shared.chain.state import ChainStatus
from tests import samples
from tests.browser.conftest import Site, unharmed


def test_an_approver_approves_with_the_keyboard_alone(site: Site, tab: Page) -> None:
    chain = site.waiting("keyboard")
    tab.goto(site.link(chain))
    tab.keyboard.press("Tab")
    expect(tab.locator(".skip")).to_be_focused()
    tab.keyboard.press("Enter")
    tab.keyboard.press("Tab")
    expect(tab.locator("input[value=approve]")).to_be_focused()
    tab.keyboard.press("Space")
    tab.keyboard.press("Tab")
    tab.keyboard.type("Examples help. Go.")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Enter")
    expect(tab.locator("#decision")).to_contain_text("Approved by maria@example.org", timeout=20_000)
    expect(tab.locator("#decision")).to_contain_text("Examples help. Go.")
    approval = site.chain(chain.id).approval
    assert approval is not None
    assert (approval.verdict, approval.decided_by) == (Verdict.APPROVED, "maria@example.org")
    assert approval.comment == "Examples help. Go."


def test_an_approver_rejects_with_a_comment_and_the_chain_ends_rejected(site: Site, tab: Page) -> None:
    chain = site.waiting("reject")
    tab.goto(site.link(chain))
    tab.get_by_label("Reject").check()
    tab.get_by_label("Comment").fill("Too slow on <b>Mondays</b>.\nSecond line.")
    tab.get_by_role("button", name="Send answer").click()
    expect(tab.locator("#decision")).to_contain_text("Rejected by maria@example.org", timeout=20_000)
    expect(tab.locator("#decision q")).to_have_text("Too slow on <b>Mondays</b>.\nSecond line.")
    state = site.chain(chain.id)
    assert state.approval is not None
    assert state.approval.comment == "Too slow on <b>Mondays</b>.\nSecond line."
    assert ChainStatus.REJECTED in (state.status, state.outcome)


def test_a_second_approver_is_told_who_decided_and_when(site: Site, browser: Browser) -> None:
    chain = site.waiting("second")
    jonas, maria = browser.new_page(), browser.new_page()
    jonas.goto(site.link(chain, "jonas@example.org"))
    maria.goto(site.link(chain))
    maria.get_by_label("Approve").check()
    maria.get_by_role("button", name="Send answer").click()
    site.eventually(lambda: (a := site.chain(chain.id).approval) and a.verdict, "the decision")
    expect(jonas.locator("#decision")).to_contain_text("Approved by maria@example.org", timeout=20_000)
    expect(jonas.locator("#decision time")).to_have_text(re.compile(r"\d+ \w+ 20\d\d, \d\d:\d\d UTC"))
    jonas.close()
    maria.close()


def test_a_second_answer_that_was_already_filled_in_is_told_who_decided(site: Site, tab: Page) -> None:
    chain = site.waiting("late")
    tab.goto(site.link(chain, "jonas@example.org"))
    tab.get_by_label("Reject").check()
    tab.get_by_label("Comment").fill("I would rather not.")  # while somebody types, the page does not change
    tab.get_by_label("Comment").focus()
    from tests.unit.people import store

    store(site.ports, samples.decided(chain, Verdict.APPROVED, "maria@example.org"))
    with tab.expect_response(lambda answer: answer.request.method == "POST") as posted:
        tab.evaluate("document.querySelector('form').requestSubmit()")
    assert posted.value.status == 409
    expect(tab.locator("#decision")).to_contain_text("This was decided before your answer came")
    expect(tab.locator("#decision")).to_contain_text("maria@example.org")


def test_looking_never_decides(site: Site, tab: Page) -> None:
    chain = site.waiting("looking")
    for _ in range(3):
        assert tab.goto(site.link(chain)) is not None
    for method in ("GET", "HEAD"):
        answer = tab.request.fetch(site.link(chain) + "?verdict=approve", method=method)
        assert answer.status == 200
    tab.get_by_role("link", name="Open the full report").click()
    expect(tab.locator("h1")).to_contain_text("Good: classify.examples meets all 4 gates")
    state = site.chain(chain.id)
    assert state.status is ChainStatus.AWAITING_APPROVAL
    assert state.approval is not None
    assert state.approval.verdict is None


def test_a_form_on_another_site_cannot_answer(site: Site, tab: Page) -> None:
    chain = site.waiting("foreign")
    other_site = site.url.replace("127.0.0.1", "localhost")
    tab.goto(f"{other_site}/api/approvals/none")
    answer = tab.evaluate(
        """async (link) => { try { return (await fetch(link, {method: "POST", mode: "no-cors",
        headers: {"Content-Type": "application/x-www-form-urlencoded"}, body: "verdict=approve"})).status }
        catch (error) { return String(error) } }""",
        site.link(chain),
    )
    assert answer != 200
    refused = tab.request.post(
        site.link(chain), form={"verdict": "approve"}, headers={"Origin": "https://elsewhere.example"}
    )
    assert refused.status == 403
    state = site.chain(chain.id)
    assert state.approval is not None
    assert state.approval.verdict is None


def test_what_a_model_wrote_runs_on_none_of_the_pages(site: Site, tab: Page) -> None:
    chain = site.waiting("hostile", outputs=samples.HOSTILE)
    tab.goto(site.link(chain))
    unharmed(tab)
    tab.get_by_role("link", name="Open the full report").click()
    unharmed(tab)
    for details in tab.locator("details").all():
        details.evaluate("node => { node.open = true }")
    expect(tab.get_by_text("<img src=x onerror=").first).to_be_visible()
    unharmed(tab)
    tab.goto(f"{site.url}/api/chains/{chain.id}/files/report.html")
    unharmed(tab)


def test_a_forged_link_and_an_unknown_page_say_what_to_do(site: Site, tab: Page) -> None:
    answer = tab.goto(f"{site.url}/api/approvals/forged.token.here")
    assert answer is not None
    assert answer.status == 403
    expect(tab.get_by_role("heading", name="This link is not valid")).to_be_visible()
    expect(tab.get_by_text("Use the link from the notice")).to_be_visible()

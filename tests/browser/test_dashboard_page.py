"""The dashboard and the report in a browser: by themselves up to date, on a phone, in the dark, and by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from shared import chain_store
from shared.chain.state import ChainStatus, LogEntry, Progress
from tests import samples
from tests.browser.conftest import Site, unharmed
from tests.unit.people import store


def test_the_dashboard_updates_by_itself_and_keeps_the_focus(site: Site, tab: Page) -> None:
    chain = store(site.ports, samples.sample_chain(request_id="updates", progress=Progress(cells=24, runs_completed=3)))
    tab.goto(f"{site.url}/api/dashboard")
    row = tab.locator("tr", has=tab.locator(f'a[href$="{chain.id}"]'))
    expect(row).to_contain_text("3 of 24 runs")
    row.get_by_role("link").focus()
    tab.evaluate("window.same = true")
    store(site.ports, chain.model_copy(update={"progress": Progress(cells=24, runs_completed=11)}))
    expect(row).to_contain_text("11 of 24 runs", timeout=15_000)
    expect(row.get_by_role("link")).to_be_focused()
    assert tab.evaluate("window.same") is True, "the page was not loaded again"


def test_a_chain_s_page_tells_a_change_of_status_politely(site: Site, tab: Page) -> None:
    chain = store(site.ports, samples.sample_chain(request_id="status"))
    tab.goto(f"{site.url}/api/chains/{chain.id}")
    live = tab.locator("[aria-live=polite]")
    expect(live).to_contain_text("Running")
    store(
        site.ports,
        chain.model_copy(
            update={"status": ChainStatus.FAILED, "reason": "The flow does not load.", "ended_at": samples.NOW}
        ),
    )
    expect(live).to_contain_text("Failed", timeout=15_000)
    expect(live).to_contain_text("The flow does not load.")
    expect(tab.get_by_role("button", name="Cancel the chain")).to_have_count(0)
    expect(tab).to_have_title(re.compile("^Failed"))


def test_the_page_works_without_script(site: Site, browser: Browser) -> None:
    chain = store(site.ports, samples.sample_chain(request_id="no-script"))
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{site.url}/api/dashboard")
    tab.locator(f'a[href$="{chain.id}"]').first.click()
    expect(tab.get_by_role("heading", name="Steps")).to_be_visible()
    context.close()


def test_a_chain_is_cancelled_from_its_page(site: Site, tab: Page) -> None:
    chain = store(site.ports, samples.sample_chain(request_id="cancel"))
    tab.goto(f"{site.url}/api/chains/{chain.id}")
    tab.get_by_label("Why").fill("Wrong dataset.")
    tab.get_by_role("button", name="Cancel the chain").click()
    site.eventually(lambda: "Wrong dataset." in site.chain(chain.id).model_dump_json(), "the cancellation")
    log = tab.locator("#log")
    site.eventually(lambda: list(chain_store.read_log(site.ports.blobs, chain.id)), "a line in the log")
    expect(log).to_contain_text(re.compile("cancel", re.IGNORECASE), timeout=15_000)


def test_hostile_text_runs_neither_on_the_dashboard_nor_on_the_chain_s_page(site: Site, tab: Page) -> None:
    for number, hostile in enumerate(samples.HOSTILE[:6]):
        chain = samples.sample_chain(
            request_id=f"hostile-{number}", status=ChainStatus.FAILED, reason=hostile, ended_at=samples.NOW
        )
        store(site.ports, chain)
        chain_store.append_log(
            site.ports.blobs, chain.id, [LogEntry(number=1, at=samples.NOW, level="error", text=hostile)]
        )
        tab.goto(f"{site.url}/api/chains/{chain.id}")
        unharmed(tab)
    tab.goto(f"{site.url}/api/dashboard")
    tab.wait_for_timeout(2_500)  # one exchange of what has changed
    unharmed(tab)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_page_is_wider_than_a_small_phone(site: Site, browser: Browser, scheme: str) -> None:
    chain = site.waiting("phone", outputs=(*samples.HOSTILE[:6], "w" * 3_000))
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
    tab = context.new_page()
    for address in (
        f"{site.url}/api/dashboard",
        f"{site.url}/api/chains/{chain.id}",
        f"{site.url}/api/chains/{chain.id}/files/report.html",
        site.link(chain),
        f"{site.url}/api/chains/none",
    ):
        tab.goto(address)
        for details in tab.locator("details").all():
            details.evaluate("node => { node.open = true }")
        assert tab.evaluate("document.documentElement.scrollWidth") <= 360, address
    context.close()


def test_the_report_s_lines_can_be_filtered_without_script(site: Site, tab: Page) -> None:
    chain = site.waiting("filter")
    tab.goto(f"{site.url}/api/chains/{chain.id}/files/report.html")
    lines = tab.locator("details.line:visible")
    everything = lines.count()
    tab.get_by_label("failed", exact=True).check()
    assert 0 < lines.count() < everything
    expect(lines.first).to_contain_text("Failed")
    tab.get_by_label("below the full score or failed").check()
    assert lines.count() < everything
    tab.get_by_label("all", exact=True).check()
    assert lines.count() == everything


def test_every_control_and_table_has_a_name(site: Site, tab: Page) -> None:
    chain = site.waiting("names")
    for address in (f"{site.url}/api/dashboard", f"{site.url}/api/chains/{chain.id}", site.link(chain)):
        tab.goto(address)
        assert tab.locator("main").count() == 1
        assert tab.locator("h1").count() == 1
        for control in tab.locator("a, button, textarea, input:not([type=hidden])").all():
            name = control.evaluate("node => (node.labels?.[0] ?? node).textContent.trim()")
            assert name, control.evaluate("node => node.outerHTML")
        for table in tab.locator("table").all():
            assert table.locator("caption").count() == 1

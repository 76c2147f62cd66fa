"""The dashboard: what runs, what waits, what is deployed and what failed, in words; it only reads or enqueues."""

from __future__ import annotations

import base64
import json
import re
from datetime import timedelta

import azure.functions as func
import pytest

from shared import chain_store, dead_letters
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.approvals import links
from shared.approvals import page as approval_page
from shared.chain.messages import CancelRequested, Queue
from shared.chain.state import Chain, ChainStatus, LogEntry, Progress
from shared.dashboard import pages
from shared.errors import Malformed, NotFound, Transient
from shared.pages import http
from shared.pages.http import Request
from shared.ports import DeploymentInfo, DeploymentState, EndpointInfo, Ports
from tests import samples
from tests.unit.people import memory_ports, sent_events, store, token_of, waiting_chain

HERE = Request(host="127.0.0.1:7071")


class TwoDeployments(MemoryEndpoints):
    """An endpoint whose traffic is split."""

    def list(self) -> list[EndpointInfo]:
        old = DeploymentInfo("ticket-triage", "d-old", "3", DeploymentState.READY, "", False, 900, 2, 210.0, 480.0)
        new = DeploymentInfo("ticket-triage", "d-new", "4", DeploymentState.FAILED, "no module named foo")
        return [EndpointInfo("ticket-triage", "http://127.0.0.1:7072/x", {"d-old": 90, "d-new": 10}, (old, new))]


class SilentEndpoints(MemoryEndpoints):
    """A platform that does not answer."""

    def list(self) -> list[EndpointInfo]:
        raise Transient("no answer")


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def with_endpoints(ports: Ports, endpoints: MemoryEndpoints) -> Ports:
    return Ports(**{**ports.__dict__, "endpoints": endpoints})


def dead_letter(ports: Ports, **fields: object) -> dead_letters.DeadLetter:
    letter = dead_letters.DeadLetter.model_validate(
        {
            "id": "chain-requests-0123456789abcdef", "queue": Queue.CHAIN_REQUESTS, "message_id": "m-1",
            "session_id": None, "chain": None, "reason": "Malformed", "description": "The key 'kind' is missing.",
            "delivery_count": 1, "enqueued_at": samples.NOW, "dead_lettered_at": samples.NOW,
            "body_base64": base64.b64encode(b'{"use_case": "<img src=x onerror=alert(1)>"}').decode(), **fields,
        }
    )  # fmt: skip
    ports.blobs.write(dead_letters.CONTAINER, f"{letter.id}.json", letter.model_dump_json().encode())
    return letter


def cancel_form(html: str) -> dict[str, str]:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', html)
    assert found is not None
    return {"token": found[1], "reason": "Wrong dataset."}


def test_an_empty_installation_says_how_to_start(ports: Ports) -> None:
    shown = pages.overview(ports, HERE)
    assert shown.status == 200
    assert "No chain has run yet." in shown.html
    assert "Nothing is deployed yet." in shown.html


def test_every_status_is_told_in_words(ports: Ports) -> None:
    for number, status in enumerate(ChainStatus):
        chain = samples.sample_chain(status=status, request_id=f"r{number}")
        waits = status is ChainStatus.AWAITING_APPROVAL
        store(ports, samples.awaiting_approval(chain, samples.sha("evidence")) if waits else chain)
    html = pages.overview(ports, HERE).html
    for word in ("Running", "Waiting for approval", "Succeeded", "Failed", "Rejected", "Cancelled", "Superseded"):
        assert f"</span>{word}</span>" in html


def test_progress_is_counted_in_runs_and_evaluations(ports: Ports) -> None:
    progress = Progress(cells=24, runs_completed=7, runs_failed=1, evaluations_started=9, evaluations_completed=5)
    store(ports, samples.sample_chain(progress=progress))
    html = pages.overview(ports, HERE).html
    assert "8 of 24 runs, 1 failed, 5 evaluations" in html


def test_waiting_approvals_are_listed_with_links_on_a_laptop_only(ports: Ports) -> None:
    chain = waiting_chain(ports)
    html = pages.overview(ports, HERE).html
    assert "1 approval waiting" in html
    assert links.token_for(ports, chain, "maria@example.org") in html
    in_azure = memory_ports("azure")
    waiting_chain(in_azure)
    html = pages.overview(in_azure, HERE).html
    assert "Waiting for approval" in html
    assert "/api/approvals/" not in html


def test_endpoints_show_traffic_counts_and_latency(ports: Ports) -> None:
    html = pages.overview(with_endpoints(ports, TwoDeployments({})), HERE).html
    for text in ("d-old", "90 %", "900", "210 ms", "480 ms", "10 %", "no module named foo"):
        assert text in html


def test_endpoints_that_do_not_answer_leave_the_rest_of_the_page(ports: Ports) -> None:
    store(ports, samples.sample_chain())
    html = pages.overview(with_endpoints(ports, SilentEndpoints({})), HERE).html
    assert "does not answer for now" in html
    assert "ticket_triage" in html


@pytest.mark.parametrize("spoilt", [b"", b"[", b'{"id": 1}', b"\xff"])
def test_a_dead_letter_that_cannot_be_read_is_left_out_and_logged(
    ports: Ports, spoilt: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    dead_letter(ports)
    ports.blobs.write(dead_letters.CONTAINER, "chain-events-0.json", spoilt)
    shown = pages.overview(ports, HERE)
    assert shown.status == 200
    assert "1 dead letter" in shown.body.decode()
    assert "dead-letters/chain-events-0.json cannot be read" in caplog.text


def test_a_dead_letter_whose_body_cannot_be_decoded_is_left_out(ports: Ports) -> None:
    letter = dead_letter(ports)
    spoilt = letter.model_dump_json().replace(letter.body_base64, "a")
    ports.blobs.write(dead_letters.CONTAINER, f"{letter.id}.json", spoilt.encode())
    assert dead_letters.listed(ports) == []


def test_the_rule_for_a_chains_id_is_the_one_that_is_checked(ports: Ports) -> None:
    with pytest.raises(NotFound, match="1 to 96 of the characters a-z 0-9 _ -"):
        pages.chain(ports, HERE, "c" * 97)
    with pytest.raises(NotFound, match="There is no chain c"):
        pages.chain(ports, HERE, "c" * 96)


def test_dead_letters_show_reason_and_body_as_text(ports: Ports) -> None:
    dead_letter(ports)
    html = pages.overview(ports, HERE).html
    assert "The key &#39;kind&#39; is missing." in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html
    assert "<img" not in html


def test_a_chain_shows_its_steps_log_facts_and_report(ports: Ports) -> None:
    chain = waiting_chain(ports)
    html = pages.chain(ports, HERE, chain.id).html
    for text in (
        "Waiting for approval",
        "Data registration",
        "Chain started by Priya",
        f"/api/chains/{chain.id}/files/",
    ):
        assert text in html


def test_a_long_log_shows_its_last_entries_and_says_what_is_left_out(ports: Ports) -> None:
    chain = store(ports, samples.sample_chain())
    entries = [LogEntry(number=n, at=samples.NOW, level="info", text=f"run {n} ended") for n in range(1, 601)]
    chain_store.append_log(ports.blobs, chain.id, entries)
    html = pages.chain(ports, HERE, chain.id).html
    assert "100 earlier entries are left out." in html
    assert "run 101 ended" in html
    assert "run 100 ended" not in html


def test_a_chain_that_was_asked_for_fresh_runs_says_so(ports: Ports) -> None:
    chain = samples.sample_chain()
    fresh = chain.model_copy(update={"request": chain.request.model_copy(update={"fresh": True})})
    assert "none: fresh runs were asked for" in pages.chain(ports, HERE, store(ports, fresh).id).html


def test_a_file_too_large_for_an_answer_is_not_read_and_the_page_says_how_to_get_it(
    ports: Ports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "MOST_BYTES", 1_000)
    chain = waiting_chain(ports)
    ports.blobs.write("reports", f"{chain.id}/lines.csv", b"x" * 1_001)
    ports.blobs.write("reports", f"{chain.id}/metrics.csv", b"x" * 1_000)
    refused = pages.file(ports, HERE, chain.id, "lines.csv")
    assert refused.status == 413
    assert f"python -m genaiops report {chain.id}" in refused.html
    assert pages.file(ports, HERE, chain.id, "metrics.csv").status == 200


def test_hostile_text_in_reason_log_and_request_stays_text(ports: Ports) -> None:
    for hostile in samples.HOSTILE[:6]:
        chain = samples.sample_chain(status=ChainStatus.FAILED, reason=hostile, ended_at=samples.NOW)
        store(ports, chain)
        entry = LogEntry(number=1, at=samples.NOW, level="error", text=hostile)
        chain_store.append_log(ports.blobs, chain.id, [entry])
        for shown in (pages.chain(ports, HERE, chain.id), pages.overview(ports, HERE)):
            assert shown.html.count("<script>") == 1
            for tag in ("<img", "<svg", "<iframe"):
                assert tag not in shown.html


def test_the_state_is_json_for_scripts(ports: Ports) -> None:
    chain = store(ports, samples.sample_chain())
    answer = pages.part(ports, HERE, chain.id, "state")
    assert answer.content_type == "application/json"
    assert json.loads(answer.body)["progress"]["cells"] == 10
    assert Chain.model_validate_json(answer.body) == chain


def test_report_files_have_their_types_and_cannot_act(ports: Ports) -> None:
    chain = waiting_chain(ports)
    report = pages.file(ports, HERE, chain.id, "report.html")
    assert report.content_type == "text/html; charset=utf-8"
    assert "sandbox" in report.headers["Content-Security-Policy"]
    for name, kind in (("lines.csv", "text/csv; charset=utf-8"), ("evidence.json", "application/json")):
        file = pages.file(ports, HERE, chain.id, name)
        assert file.content_type == kind
        assert file.headers["X-Content-Type-Options"] == "nosniff"
        assert file.headers["Content-Disposition"] == f'attachment; filename="{chain.id}-{name}"'


@pytest.mark.parametrize(
    "name", ["../state.json", "state.json", "report.html/..", "", "REPORT.HTML", "..%2fstate.json"]
)
def test_only_report_files_are_served(ports: Ports, name: str) -> None:
    chain = waiting_chain(ports)
    with pytest.raises(NotFound, match="A report has no file"):
        pages.file(ports, HERE, chain.id, name)


@pytest.mark.parametrize("chain", ["..", "../secrets", "A-B", "x" * 97, "", "a/b", "ci%00", "täglich"])
def test_a_chain_name_that_is_no_name_is_not_looked_up(ports: Ports, chain: str) -> None:
    with pytest.raises(NotFound, match="is no chain"):
        pages.chain(ports, HERE, chain)


def test_cancelling_puts_one_event_on_chain_events(ports: Ports) -> None:
    chain = store(ports, samples.sample_chain())
    form = cancel_form(pages.chain(ports, HERE, chain.id).html)
    for _ in range(2):
        answer = pages.part(ports, Request(method="POST", host="127.0.0.1:7071", form=form), chain.id, "cancel")
        assert answer.status == 303
        assert answer.headers["Location"] == f"../{chain.id}?cancelled=1"
    (event,) = sent_events(ports)
    assert isinstance(event, CancelRequested)
    assert event.reason == "Wrong dataset."


def test_a_chain_s_page_tells_who_looked_at_its_approval_and_who_answered(ports: Ports) -> None:
    chain = waiting_chain(ports)
    agent = "<img src=x onerror=hacked()>"
    approval_page.show(ports, token_of(ports, chain), Request(user_agent=agent))
    approval_page.show(ports, token_of(ports, chain)[:-2] + "AA", Request())
    shown = pages.chain(ports, HERE, chain.id).html
    assert "Approval page" in shown
    assert "viewed: GET, for maria@example.org" in shown
    assert "&lt;img src=x" in shown
    assert agent not in shown
    assert "refused" not in shown, "a forged link names no chain"


def test_cancelling_needs_the_form_of_this_chain_s_page(ports: Ports) -> None:
    chain = store(ports, samples.sample_chain())
    other = store(ports, samples.sample_chain(request_id="other"))
    good = cancel_form(pages.chain(ports, HERE, chain.id).html)
    for form, site in (
        ({}, None),
        ({"token": ""}, None),
        ({"token": "ä"}, None),
        (cancel_form(pages.chain(ports, HERE, other.id).html), None),
        (good, "cross-site"),
    ):
        request = Request(method="POST", host="127.0.0.1:7071", form=form, fetch_site=site)
        assert pages.part(ports, request, chain.id, "cancel").status == 403
    assert sent_events(ports) == []


def test_a_get_never_cancels_and_an_ended_chain_cannot_be_cancelled(ports: Ports) -> None:
    chain = store(ports, samples.sample_chain())
    form = cancel_form(pages.chain(ports, HERE, chain.id).html)
    assert pages.part(ports, HERE, chain.id, "cancel").status == 405
    store(ports, chain.model_copy(update={"status": ChainStatus.SUCCEEDED, "ended_at": samples.NOW}))
    request = Request(method="POST", host="127.0.0.1:7071", form=form)
    assert pages.part(ports, request, chain.id, "cancel").status == 409
    assert 'id="reason"' not in pages.chain(ports, HERE, chain.id).html
    assert sent_events(ports) == []


def test_a_foreign_name_for_this_laptop_is_refused_everywhere(ports: Ports) -> None:
    chain = waiting_chain(ports)
    rebound = Request(host="evil.example:7071")
    for shown in (
        pages.overview(ports, rebound),
        pages.chain(ports, rebound, chain.id),
        pages.part(ports, rebound, chain.id, "state"),
        pages.file(ports, rebound, chain.id, "report.html"),
    ):
        assert shown.status == 403
        assert chain.id not in shown.html
    for host in ("localhost:7071", "[::1]:7071", "127.0.0.1"):
        assert pages.overview(ports, Request(host=host)).status == 200


def test_links_keep_the_function_key_that_opened_the_page() -> None:
    ports = memory_ports("azure")
    chain = store(ports, samples.sample_chain())
    html = pages.overview(ports, Request(host="x.azurewebsites.net", query={"code": "a+b/c=="})).html
    assert f'href="/api/chains/{chain.id}?code=a%2Bb%2Fc%3D%3D"' in html


def test_the_page_is_usable_without_script_and_by_keyboard(ports: Ports) -> None:
    chain = store(ports, samples.sample_chain(ended_at=None))
    for html in (pages.overview(ports, HERE).html, pages.chain(ports, HERE, chain.id).html):
        assert '<noscript><meta http-equiv="refresh"' in html
        assert '<a class="skip" href="#main">' in html
        assert 'aria-live="polite"' in html
        assert '<html lang="en">' in html
        assert html.count("<h1") == 1
        for table in re.findall(r"<table.*?</table>", html, flags=re.DOTALL):
            assert "<caption>" in table
            assert "<th>" not in table, "every header cell has a scope"


def call(method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None) -> func.HttpRequest:
    return func.HttpRequest(method=method, url="http://127.0.0.1:7071/api/x", headers=headers or {}, body=body)


def test_a_form_is_read_from_the_request() -> None:
    headers = {"Host": "127.0.0.1:7071", "Origin": "null", "Sec-Fetch-Site": "same-origin"}
    request = http.request_of(call("POST", b"verdict=approve&comment=sch%C3%B6n+%E2%9C%93", headers))
    assert request.form == {"verdict": "approve", "comment": "schön ✓"}
    assert (request.host, request.origin, request.fetch_site) == ("127.0.0.1:7071", "null", "same-origin")


@pytest.mark.parametrize("body", [b"a" * 65_537, b"a=\xff\xfe", b"a=%FF", b"&".join(b"k%d=1" % n for n in range(50))])
def test_a_form_that_is_none_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        http.request_of(call("POST", body))
    answer = http.respond(call("POST", body), lambda _: pytest.fail("must not be handled"))
    assert answer.status_code == 400


def test_an_unexpected_error_becomes_a_page_without_its_details(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Request) -> None:
        raise RuntimeError("the key is hunter2")

    answer = http.respond(call(), broken)  # type: ignore[arg-type]
    assert answer.status_code == 500
    assert b"hunter2" not in answer.get_body()
    assert "hunter2" in caplog.text


@pytest.mark.parametrize(("error", "status"), [(NotFound("gone"), 404), (Transient("later"), 503)])
def test_errors_are_answered_by_their_family(error: Exception, status: int) -> None:
    def failing(_: Request) -> None:
        raise error

    assert http.respond(call(), failing).status_code == status  # type: ignore[arg-type]


def test_a_chain_that_runs_for_days_says_so(ports: Ports) -> None:
    store(ports, samples.sample_chain(created_at=samples.NOW - timedelta(days=3, hours=4)))
    assert "3 d 4 h" in pages.overview(ports, HERE).html


@pytest.mark.parametrize("host", ["[", "[::1", "]", "", "evil.example"])
def test_a_host_that_is_no_name_of_this_machine_is_refused(ports: Ports, host: str) -> None:
    assert pages.overview(ports, http.Request(host=host)).status == 403


def test_an_origin_that_is_no_address_is_from_elsewhere(ports: Ports) -> None:
    assert http.from_elsewhere(ports.settings, http.Request(host="127.0.0.1:7071", origin="http://["))

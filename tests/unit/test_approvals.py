"""Approval: a link lets its approver answer once; nothing else decides, and everybody is told who did."""

from __future__ import annotations

import base64
import json
import zlib
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import reporting
from shared.adapters.blob_keys import BlobKeys
from shared.approvals import answers, links, page
from shared.chain.messages import ApprovalAnswered, ChainKind, Verdict
from shared.chain.state import Chain, ChainStatus
from shared.errors import BusinessFailure, Conflict, NotFound
from shared.pages.http import Request
from shared.pages.page import Page
from shared.ports import AssetKind, NewAsset, Ports
from tests import samples
from tests.unit.people import clock_of, memory_ports, sent_events, store, token_of, waiting_chain

MARIA, JONAS = "maria@example.org", "jonas@example.org"


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain(ports: Ports) -> Chain:
    return waiting_chain(ports)


def post(ports: Ports, token: str, verdict: str = "approve", comment: str = "", **request: str) -> Page:
    form = {"verdict": verdict, "comment": comment}
    return page.answer(ports, token, Request(method="POST", host="127.0.0.1:7071", form=form, **request))  # type: ignore[arg-type]


def test_the_page_shows_the_verdict_the_gates_and_a_form_and_changes_nothing(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    before = [(info.container, info.name, info.etag) for info in ports.blobs.list("chains")]
    shown = [page.show(ports, token) for _ in range(3)][-1]
    assert shown.status == 200
    for text in ("Good: classify.examples meets all 4 gates", "at least 0.8", "0.88", "You answer as", MARIA, "<form"):
        assert text in shown.html
    assert "jonas@example.org" in shown.html
    assert sent_events(ports) == []
    assert [(info.container, info.name, info.etag) for info in ports.blobs.list("chains")] == before
    assert [info.name for info in ports.blobs.list(answers.CONTAINER)] == [f"{chain.id}/audit.jsonl"]


def test_an_approval_is_put_on_chain_events_with_comment_and_evidence(ports: Ports, chain: Chain) -> None:
    answer = post(ports, token_of(ports, chain), "approve", "  Looks good.\r\nGo.  ")
    assert answer.status == 303
    (event,) = sent_events(ports)
    assert isinstance(event, ApprovalAnswered)
    assert (event.approver, event.verdict, event.comment) == (MARIA, Verdict.APPROVED, "Looks good.\nGo.")
    assert chain.approval is not None
    assert event.evidence == chain.approval.evidence
    assert event.id.startswith(f"{chain.id}/approval/")


def test_after_answering_the_page_says_that_the_answer_is_being_passed_on(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    assert post(ports, token, "reject", "Too slow.").headers["Location"] == token
    shown = page.show(ports, token)
    assert "Your answer is being passed on" in shown.html
    assert "<textarea" not in shown.html


def test_one_link_answers_once_and_the_first_answer_stays(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    post(ports, token, "reject", "No.")
    post(ports, token, "approve", "Yes after all.")
    events = sent_events(ports)
    assert {(e.id, e.verdict, e.comment) for e in events if isinstance(e, ApprovalAnswered)} == {
        (events[0].id, Verdict.REJECTED, "No.")
    }
    assert len(events) == 1, "the repeated message has the same id and is dropped as a duplicate"


def test_an_answer_whose_message_was_lost_is_sent_by_answering_again(ports: Ports, chain: Chain) -> None:
    class DeadBus:
        def send(self, queue: str, messages: object) -> None:
            raise ConnectionError("the process dies here")

    token = token_of(ports, chain)
    with pytest.raises(ConnectionError):
        post(replace(ports, bus=DeadBus()), token, "approve", "Yes.")
    assert sent_events(ports) == []
    post(ports, token, "approve")
    (event,) = sent_events(ports)
    assert isinstance(event, ApprovalAnswered)
    assert event.comment == "Yes."


def test_both_approvers_have_links_of_their_own(ports: Ports, chain: Chain) -> None:
    post(ports, token_of(ports, chain, MARIA), "approve")
    post(ports, token_of(ports, chain, JONAS), "reject")
    assert [e.approver for e in sent_events(ports) if isinstance(e, ApprovalAnswered)] == [MARIA, JONAS]


def test_the_same_approval_has_the_same_link_so_that_a_reminder_repeats_it(ports: Ports, chain: Chain) -> None:
    first = links.link_for(ports, chain, MARIA)
    clock_of(ports).advance(1_800)
    assert links.link_for(ports, chain, MARIA) == first
    assert first.startswith(f"{ports.settings.functions_url}/api/approvals/")


def test_a_later_answer_is_told_who_decided_and_when(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain, JONAS)
    store(ports, samples.decided(chain, Verdict.APPROVED, MARIA, "Examples help."))
    shown, answered = page.show(ports, token), post(ports, token, "reject")
    assert (shown.status, answered.status) == (200, 409)
    for text in (MARIA, "Approved", "23 Nov 2026, 09:30 UTC", "Examples help."):
        assert text in shown.html
        assert text in answered.html
    assert "This was decided before your answer came" in answered.html
    assert "<form" not in shown.html
    assert sent_events(ports) == []


def test_a_timeout_is_shown_as_a_rejection(ports: Ports, chain: Chain) -> None:
    store(ports, samples.decided(chain, Verdict.REJECTED, "timeout"))
    clock_of(ports).advance(7_200)
    shown = page.show(ports, token_of(ports, chain))
    assert shown.status == 200
    assert "Nobody answered in time, which counts as a rejection." in shown.html


def test_an_expired_link_cannot_answer(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    clock_of(ports).advance(by=timedelta(minutes=60))
    for answer in (page.show(ports, token), post(ports, token)):
        assert answer.status == 410
        assert "This link has expired" in answer.html
    assert sent_events(ports) == []


def test_a_link_works_until_the_last_second(ports: Ports, chain: Chain) -> None:
    clock_of(ports).advance(by=timedelta(minutes=60, seconds=-1))
    assert post(ports, token_of(ports, chain)).status == 303


def test_a_cancelled_chain_takes_no_answer(ports: Ports, chain: Chain) -> None:
    store(ports, chain.model_copy(update={"status": ChainStatus.CANCELLED, "reason": "Cancelled by Priya."}))
    answer = post(ports, token_of(ports, chain))
    assert answer.status == 410
    assert "Cancelled by Priya." in answer.html


def test_a_link_to_older_results_is_refused(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    assert chain.approval is not None
    newer = chain.approval.model_copy(update={"evidence": samples.sha("newer")})
    store(ports, chain.model_copy(update={"approval": newer}))
    for answer in (page.show(ports, token), post(ports, token)):
        assert answer.status == 409
        assert "This link speaks of older results" in answer.html
    assert sent_events(ports) == []


def test_evidence_that_was_changed_behind_the_link_is_refused(ports: Ports, chain: Chain) -> None:
    name = f"{chain.id}/evidence.json"
    document = json.loads(ports.blobs.read(reporting.CONTAINER, name))
    document["verdict"]["headline"] = "Everything is wonderful"
    ports.blobs.write(reporting.CONTAINER, name, json.dumps(document).encode())
    token = token_of(ports, chain)
    assert page.show(ports, token).status == 409
    assert post(ports, token).status == 409
    assert "wonderful" not in page.show(ports, token).html
    assert sent_events(ports) == []


def changed_payload(token: str, **changes: object) -> str:
    """The token with another payload and the old signature."""
    payload, _, signature = token.rpartition(".")
    packed = base64.urlsafe_b64decode(payload.lstrip(".") + "=" * (-len(payload.lstrip(".")) % 4))
    said = json.loads(zlib.decompress(packed) if payload.startswith(".") else packed)
    said |= changes
    return base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip("=") + "." + signature


TAMPERED = {
    "another approver": lambda token: changed_payload(token, a=JONAS),
    "another chain": lambda token: changed_payload(token, c="another-ci-0123456789ab"),
    "other evidence": lambda token: changed_payload(token, e=samples.sha("other")),
    "a later expiry": lambda token: changed_payload(token, x=4_000_000_000),
    "another nonce": lambda token: changed_payload(token, n="0" * 24),
    "no signature": lambda token: token.rpartition(".")[0],
    "an empty signature": lambda token: token.rpartition(".")[0] + ".",
    "a cut signature": lambda token: token[:-1],
    "a longer signature": lambda token: token + "A",
    "a changed signature": lambda token: token[:-5] + ("A" if token[-5] != "A" else "B") + token[-4:],
    "nothing at all": lambda token: "x",
    "only dots": lambda token: "...",
    "path characters": lambda token: "../../secrets/approval-key",
    "a megabyte": lambda token: "A" * 1_000_000,
    "other alphabets": lambda token: "билет." + token,
    "a compressed bomb": lambda token: "." + token,
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_link_that_was_tampered_with_is_refused(ports: Ports, chain: Chain, what: str) -> None:
    token = TAMPERED[what](token_of(ports, chain))
    for answer in (page.show(ports, token), post(ports, token), page.report(ports, token)):
        assert answer.status == 403
        assert "This link is not valid" in answer.html
    assert sent_events(ports) == []


def test_a_link_of_another_installation_is_refused(ports: Ports, chain: Chain) -> None:
    elsewhere = memory_ports()
    assert page.show(ports, token_of(elsewhere, waiting_chain(elsewhere))).status == 403


def test_a_link_to_a_chain_that_is_gone_says_so(ports: Ports, chain: Chain) -> None:
    ports.blobs.delete("chains", f"{chain.id}/state.json")
    assert page.show(ports, token_of(ports, chain)).status == 404


def test_somebody_who_is_no_approver_any_more_cannot_answer(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    assert chain.approval is not None
    only_jonas = chain.approval.model_copy(update={"approvers": (JONAS,)})
    store(ports, chain.model_copy(update={"approval": only_jonas}))
    assert post(ports, token).status == 403
    assert sent_events(ports) == []


@pytest.mark.parametrize(
    ("origin", "site", "status"),
    [
        (None, None, 303),
        ("http://127.0.0.1:7071", "same-origin", 303),
        ("null", "same-origin", 303),
        ("null", None, 303),
        ("https://evil.example", None, 403),
        ("https://evil.example", "cross-site", 403),
        ("null", "cross-site", 403),
        ("http://127.0.0.1:9999", "same-site", 403),
    ],
)
def test_a_form_of_another_site_is_refused(
    ports: Ports, chain: Chain, origin: str | None, site: str | None, status: int
) -> None:
    form = {"verdict": "approve"}
    request = Request(method="POST", host="127.0.0.1:7071", form=form, origin=origin, fetch_site=site)
    assert page.answer(ports, token_of(ports, chain), request).status == status
    assert len(sent_events(ports)) == (1 if status == 303 else 0)


@pytest.mark.parametrize("verdict", ["", "APPROVE", "approved", "yes", "approve\n"])
def test_an_answer_must_be_one_of_the_two(ports: Ports, chain: Chain, verdict: str) -> None:
    answer = post(ports, token_of(ports, chain), verdict, "my long thoughts")
    assert answer.status == 400
    assert "Choose whether to approve or to reject." in answer.html
    assert "my long thoughts" in answer.html, "what was written is kept"
    assert sent_events(ports) == []


def test_a_comment_that_is_too_long_is_given_back(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    answer = post(ports, token, "approve", "ä" * 2_001)
    assert answer.status == 400
    assert "2,001 characters; at most 2,000" in answer.html
    assert post(ports, token, "approve", "ä" * 2_000).status == 303


@pytest.mark.parametrize("hostile", samples.HOSTILE[:6])
def test_a_hostile_comment_is_shown_as_text(ports: Ports, chain: Chain, hostile: str) -> None:
    store(ports, samples.decided(chain, Verdict.REJECTED, MARIA, hostile))
    html = page.show(ports, token_of(ports, chain)).html
    assert "<img" not in html
    assert html.count("<script>") == 1
    assert "<svg" not in html
    assert "<iframe" not in html


def test_every_page_forbids_caching_framing_referrers_and_foreign_script(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    for answer in (page.show(ports, token), page.show(ports, "forged"), page.report(ports, token), post(ports, token)):
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["X-Frame-Options"] == "DENY"
        if answer.status != 303:
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy


def test_the_link_opens_the_full_report_in_a_sandbox(ports: Ports, chain: Chain) -> None:
    report = page.report(ports, token_of(ports, chain))
    assert report.status == 200
    assert "What this report speaks of" in report.html
    assert "sandbox" in report.headers["Content-Security-Policy"]


def test_a_release_shows_what_the_registry_knows_of_its_version(ports: Ports) -> None:
    chain = samples.sample_chain(ChainKind.CD)
    new = NewAsset(
        kind=AssetKind.MODEL, name="ticket_triage", content_hash=samples.sha("flow"), blob="bundles/x.zip",
        tags={"commit": "3f2a9c417d0e", "metrics": '{"accuracy": 0.88}'},
    )  # fmt: skip
    ports.registry.register(new)
    store(ports, samples.awaiting_approval(chain, samples.sha("prepared")).model_copy(update={"flow": None}))
    chain = samples.awaiting_approval(chain, samples.sha("prepared"))
    shown = page.show(ports, token_of(ports, chain))
    assert shown.status == 200
    assert "ticket_triage version 1" in shown.html
    assert "{&#34;accuracy&#34;: 0.88}" in shown.html
    assert post(ports, token_of(ports, chain)).status == 303


def test_the_signing_key_is_made_once_even_in_a_race(ports: Ports) -> None:
    key = links.signing_key(ports)
    assert len(key) == 32
    assert links.signing_key(ports) == key
    with pytest.raises(Conflict):
        ports.blobs.write("secrets", "approval-key", b"other", if_absent=True)

    class BlindOnce:
        """Finds no key at its first read, as a process does that starts at the same time as another."""

        def __init__(self) -> None:
            self.reads = 0

        def read(self, container: str, name: str) -> bytes:
            self.reads += 1
            if self.reads == 1:
                raise NotFound("not yet")
            return ports.blobs.read(container, name)

        def write(self, *args: object, **kwargs: object) -> str:
            return ports.blobs.write(*args, **kwargs)  # type: ignore[arg-type]

    assert links.signing_key(replace(ports, keys=BlobKeys(BlindOnce()))) == key  # type: ignore[arg-type]


def test_the_command_line_answers_by_the_same_way_and_is_told_when_it_is_late(ports: Ports, chain: Chain) -> None:
    given = answers.give(ports, chain, approver=MARIA, verdict=Verdict.APPROVED, comment="From the shell.")
    assert sent_events(ports) == [given]
    with pytest.raises(BusinessFailure, match="is not an approver of this chain; they are: maria"):
        answers.give(ports, chain, approver="eve", verdict=Verdict.APPROVED)
    late = samples.decided(chain, Verdict.REJECTED, JONAS)
    with pytest.raises(BusinessFailure, match="rejected by jonas"):
        answers.give(ports, late, approver=MARIA, verdict=Verdict.APPROVED)

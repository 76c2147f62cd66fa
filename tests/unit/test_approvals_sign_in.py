"""Sign-in before the approval page: who may open it, who may answer, and whom the headers cannot fool."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import reporting
from shared.approvals import audit, links, page, sign_in
from shared.chain.decide import decide
from shared.chain.messages import ApprovalAnswered, Verdict
from shared.chain.state import Chain, ChainStatus
from shared.chain_store import load
from shared.errors import BusinessFailure
from shared.pages.http import Request
from shared.pages.page import Page
from shared.ports import Ports
from tests import samples
from tests.unit.people import clock_of, memory_ports, sent_events, store, token_of

MARIA, JONAS, TEAM = "maria@example.org", "jonas@example.org", "leads@example.org"
GROUP = "3f2a9c41-0000-4000-8000-00000000aa01"
CLAIMS = "http://schemas.microsoft.com/identity/claims/"


def principal(who: str = MARIA, *, provider: str = "aad", **claims: str | list[str]) -> str:
    """The header as App Service writes it for a person who signed in with Entra ID."""
    said = {"preferred_username": who, "name": "Display Name", **claims}
    pairs = [
        {"typ": claim, "val": value}
        for claim, values in said.items()
        for value in ([values] if isinstance(values, str) else values)
        if value
    ]
    return encoded({"auth_typ": provider, "claims": pairs, "name_typ": "name", "role_typ": "roles"})


def encoded(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def with_sign_in(ports: Ports, *, platform: bool = True) -> Ports:
    people = replace(ports.settings.people, sign_in=True, platform_signs_in=platform)
    return replace(ports, settings=replace(ports.settings, people=people))


@pytest.fixture
def ports() -> Ports:
    return with_sign_in(memory_ports())


def waiting(ports: Ports, *, required: int = 1, requester: str | None = None) -> Chain:
    chain = samples.sample_chain()
    chain = chain.model_copy(update={"request": chain.request.model_copy(update={"requester": requester})})
    samples.write_results(ports.blobs, chain)
    evidence = reporting.build(ports, chain, final=False).evidence
    return store(
        ports,
        samples.awaiting_approval(
            chain, evidence, approvers=(MARIA, JONAS, TEAM), required=required, groups={TEAM: GROUP}
        ),
    )


@pytest.fixture
def chain(ports: Ports) -> Chain:
    return waiting(ports)


def look(ports: Ports, last: str, who: str = "", method: str = "GET") -> Page:
    return page.show(ports, last, Request(method=method, principal=who))


def post(ports: Ports, last: str, who: str, verdict: str = "approve", proof: str | None = None) -> Page:
    """Open the page, as a browser does, and send its form."""
    if proof is None:
        shown = look(ports, last, who).html
        proof = shown.partition('name="proof" value="')[2].partition('"')[0]
    form = {"verdict": verdict, "proof": proof}
    return page.answer(ports, last, Request(method="POST", host="127.0.0.1:7071", form=form, principal=who))


def lines(ports: Ports, chain: Chain) -> list[tuple[str, str | None, str | None, str]]:
    return [(line.outcome, line.approver, line.signed_in, line.reason) for line in audit.read(ports, chain.id)]


# ------------------------------------------------------------------------------------------------------- who may open


def test_a_link_leads_to_the_sign_in_and_from_there_back_to_itself_alone(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    for method in ("GET", "HEAD"):
        led = look(ports, token, method=method)
        assert led.status == 303
        parts = urlsplit(led.headers["Location"])
        assert (parts.scheme, parts.netloc, parts.path) == ("", "", "/.auth/login/aad")
        assert parse_qs(parts.query) == {"post_login_redirect_uri": [f"/api/approvals/{token}"]}
    assert page.report(ports, token).status == 303
    assert sent_events(ports) == []


def test_the_person_of_the_link_answers_as_who_is_signed_in(ports: Ports, chain: Chain) -> None:
    shown = look(ports, token_of(ports, chain), principal("MARIA@Example.org"))
    assert shown.status == 200
    assert "You answer as" in shown.html
    assert shown.headers["Referrer-Policy"] == "same-origin", "App Service refuses a form without its origin"
    assert 'content="same-origin"' in shown.html
    assert post(ports, token_of(ports, chain), principal("MARIA@Example.org")).status == 303
    (event,) = sent_events(ports)
    assert isinstance(event, ApprovalAnswered)
    assert (event.approver, event.signed_in) == (MARIA, MARIA)


@pytest.mark.parametrize("claim", ["upn", "email", "oid", CLAIMS + "objectidentifier"])
def test_an_approver_may_be_named_by_any_of_their_names(ports: Ports, claim: str) -> None:
    chain = waiting(ports)
    assert look(ports, token_of(ports, chain), principal("m.k@corp.example", **{claim: MARIA})).status == 200


@pytest.mark.parametrize("claim", ["idp", CLAIMS + "identityprovider"])
def test_a_guests_mail_address_is_their_own_organisations_word_and_makes_no_approver(ports: Ports, claim: str) -> None:
    own, other = "https://login.example/own/v2.0", "https://sts.example/other/"
    chain = waiting(ports)
    member = principal("m.k@corp.example", email=MARIA, iss=own, **{claim: own})
    guest = principal("eve@other.example", email=MARIA, iss=own, **{claim: other})
    for last in (token_of(ports, chain), chain.id):
        assert look(ports, last, member).status == 200
        assert look(ports, last, guest).status == 403
        assert post(ports, last, guest, proof="").status == 403
    invited = principal(MARIA, email="eve@example.org", iss=own, **{claim: other})
    assert look(ports, chain.id, invited).status == 200, "a sign-in name is proven"


def test_a_guest_who_asked_is_recognised_by_their_mail_address_all_the_same(ports: Ports) -> None:
    chain = waiting(ports, requester="eve@mail.example")
    guest = principal("eve@other.example", email="eve@mail.example", idp="https://sts.example/other/", groups=GROUP)
    assert "somebody else must approve it" in look(ports, chain.id, guest).html
    assert post(ports, chain.id, guest).status == 403
    assert sent_events(ports) == []


def test_a_display_name_is_nobodys_name(ports: Ports, chain: Chain) -> None:
    assert look(ports, token_of(ports, chain), principal("eve@example.org", name=MARIA)).status == 403


def test_a_link_is_not_enough_for_somebody_else(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain)
    for answer in (
        look(ports, token, principal(JONAS)),
        post(ports, token, principal(JONAS), proof=""),
        page.report(ports, token, Request(principal=principal(JONAS))),
    ):
        assert answer.status == 403
        assert "This link is somebody else&#39;s" in answer.html
        assert JONAS in answer.html
        assert "/.auth/logout" in answer.html
    assert sent_events(ports) == []
    assert ("refused", MARIA, JONAS, "This link is somebody else's") in lines(ports, chain)


def test_a_members_of_the_group_may_use_its_link_each_for_one_answer(ports: Ports) -> None:
    chain = waiting(ports, required=2)
    token = token_of(ports, chain, TEAM)
    for who in ("cara@example.org", "dan@example.org", "Cara@example.org"):
        assert post(ports, token, principal(who, groups=[GROUP.upper(), "other"])).status == 303
    events = [event for event in sent_events(ports) if isinstance(event, ApprovalAnswered)]
    assert [(event.approver, event.signed_in) for event in events] == [
        (TEAM, "cara@example.org"),
        (TEAM, "dan@example.org"),
    ]


def test_who_is_in_no_group_of_the_chain_may_not(ports: Ports, chain: Chain) -> None:
    token = token_of(ports, chain, TEAM)
    other = look(ports, token, principal("eve@example.org", groups="11111111-0000-4000-8000-000000000000"))
    assert other.status == 403
    assert f"no member of {TEAM}" in other.html
    without = look(ports, token, principal("eve@example.org"))
    assert "must emit the groups claim" in without.html


@pytest.mark.parametrize("claims", [{"_claim_names": '{"groups":"src1"}'}, {"hasgroups": "true"}])
def test_too_many_groups_for_a_token_say_what_to_configure(ports: Ports, chain: Chain, claims: dict[str, str]) -> None:
    for last in (token_of(ports, chain, TEAM), chain.id):
        refused = look(ports, last, principal("cara@example.org", **claims))  # type: ignore[arg-type]
        assert refused.status == 403
        assert "Your groups are not known" in refused.html
        assert "ApplicationGroup" in refused.html
    assert look(ports, chain.id, principal(MARIA, **claims)).status == 200, "who is named needs no group"  # type: ignore[arg-type]


def test_an_ended_sign_in_is_told_at_the_answer(ports: Ports, chain: Chain) -> None:
    answer = post(ports, token_of(ports, chain), "", proof="")
    assert answer.status == 401
    assert "Nothing was decided" in answer.html
    assert sent_events(ports) == []


# ------------------------------------------------------------------------------------------------ without a link


def test_the_chains_own_page_is_for_whoever_is_signed_in_and_is_an_approver(ports: Ports, chain: Chain) -> None:
    assert links.open_link_for(ports, chain) == f"{ports.settings.functions_url}/api/approvals/{chain.id}"
    assert look(ports, chain.id).status == 303
    assert look(ports, chain.id, principal(MARIA)).status == 200
    assert look(ports, chain.id, principal("cara@example.org", groups=GROUP)).status == 200
    stranger = look(ports, chain.id, principal("eve@example.org"))
    assert (stranger.status, "You are no approver" in stranger.html) == (403, True)
    assert post(ports, chain.id, principal(JONAS), "reject").headers["Location"] == chain.id
    (event,) = sent_events(ports)
    assert isinstance(event, ApprovalAnswered)
    assert (event.approver, event.signed_in, event.verdict) == (JONAS, JONAS, Verdict.REJECTED)


def test_only_who_is_signed_in_learns_which_chains_there_are(ports: Ports, chain: Chain) -> None:
    assert look(ports, "no-such-chain").status == look(ports, chain.id).status == 303
    assert look(ports, "no-such-chain", principal(MARIA)).status == 404
    assert list(ports.blobs.list("approvals")) == [], "what anybody may ask for fills no storage"


def test_without_sign_in_a_chains_id_opens_nothing() -> None:
    ports = memory_ports()
    chain = waiting(ports)
    assert links.open_link_for(ports, chain) == ""
    assert look(ports, chain.id, principal(MARIA)).status == 403


def test_a_form_that_another_site_made_up_lacks_what_only_our_page_has(ports: Ports, chain: Chain) -> None:
    proofs = {who: look(ports, chain.id, principal(who)).html for who in (MARIA, JONAS)}
    of_jonas = proofs[JONAS].partition('name="proof" value="')[2].partition('"')[0]
    for proof in ("", "x", of_jonas):
        answer = post(ports, chain.id, principal(MARIA), proof=proof)
        assert answer.status == 403
        assert "Not from this page" in answer.html
    assert sent_events(ports) == []


def test_the_time_passes_on_the_chains_own_page_too(ports: Ports, chain: Chain) -> None:
    clock_of(ports).advance(3_600)
    assert look(ports, chain.id, principal(MARIA)).status == 410


# --------------------------------------------------------------------------------------------------------- who counts


def test_two_people_approve_and_the_first_sees_how_many_there_are(ports: Ports) -> None:
    chain = waiting(ports, required=2)
    post(ports, chain.id, principal(MARIA))
    deliver(ports)
    seen = look(ports, chain.id, principal(MARIA)).html
    assert "1 of 2 approvals" in seen
    assert "<form" not in seen
    assert "1 of 2 approvals so far" in look(ports, chain.id, principal(JONAS)).html
    post(ports, token_of(ports, chain, TEAM), principal("cara@example.org", groups=GROUP))
    deliver(ports)
    approval = load(ports.blobs, chain.id)[0].approval
    assert approval is not None
    assert (approval.verdict, approval.decided_by) == (Verdict.APPROVED, f"{MARIA} and cara@example.org")


def test_one_person_counts_once_by_whichever_name_and_link(ports: Ports) -> None:
    chain = waiting(ports, required=2)
    maria = principal("m.k@corp.example", email=MARIA, groups=GROUP)
    pages = (token_of(ports, chain), token_of(ports, chain, TEAM), chain.id)
    proofs = [look(ports, last, maria).html.partition('name="proof" value="')[2].partition('"')[0] for last in pages]
    for last, proof in zip(pages, proofs, strict=True):  # three tabs, opened before the first answer
        assert post(ports, last, maria, proof=proof).status == 303
        deliver(ports)
    approval = load(ports.blobs, chain.id)[0].approval
    assert approval is not None
    assert [one.person for one in approval.given] == [MARIA]


@pytest.mark.parametrize("requester", ["MARIA@example.org", "m.k@corp.example"])
def test_whoever_asked_is_recognised_by_any_name_and_may_only_reject(ports: Ports, requester: str) -> None:
    chain = waiting(ports, requester=requester)
    maria = principal("m.k@corp.example", email=MARIA, groups=GROUP)
    for last in (token_of(ports, chain), token_of(ports, chain, TEAM), chain.id):
        shown = look(ports, last, maria).html
        assert "You asked for this chain: somebody else must approve it." in shown
        assert 'value="approve" required disabled' in shown
        refused = post(ports, last, maria)
        assert refused.status == 403
        assert "Who asks for a chain may not approve it" in refused.html
    assert sent_events(ports) == []
    assert post(ports, chain.id, maria, "reject").status == 303


def deliver(ports: Ports) -> None:
    """Let the chain take what lies on chain-events, again and again."""
    for event in sent_events(ports):
        decided = decide(load(ports.blobs, event.chain)[0], event).chain
        assert decided is not None
        store(ports, decided)


# ---------------------------------------------------------------------------------------------- whom nothing can fool


def test_with_sign_in_off_the_headers_are_nobodys_word() -> None:
    ports = memory_ports()
    chain = waiting(ports)
    shown = look(ports, token_of(ports, chain), principal("eve@example.org"))
    assert shown.status == 200, "the link is enough"
    assert "eve@example.org" not in shown.html
    page.answer(
        ports,
        token_of(ports, chain),
        Request(method="POST", host="127.0.0.1:7071", form={"verdict": "approve"}, principal=principal(JONAS)),
    )
    (event,) = sent_events(ports)
    assert isinstance(event, ApprovalAnswered)
    assert (event.approver, event.signed_in) == (MARIA, None)


def test_where_the_platform_signs_nobody_in_the_headers_open_nothing() -> None:
    ports = with_sign_in(memory_ports(), platform=False)
    chain = waiting(ports)
    for last in (token_of(ports, chain), chain.id):
        for answer in (look(ports, last, principal(MARIA)), post(ports, last, principal(MARIA), proof="")):
            assert answer.status == 503
            assert "WEBSITE_AUTH_ENABLED" in answer.html
    assert sent_events(ports) == []


UNREADABLE = {
    "no base64": "%%%",
    "no JSON": base64.b64encode(b"x").decode(),
    "a list": encoded([]),
    "no claims": encoded({"auth_typ": "aad"}),
    "claims of another shape": encoded({"auth_typ": "aad", "claims": ["x"]}),
    "two headers joined": f"{principal()},{principal()}",
    "a megabyte": "A" * 1_000_000,
    "deep": base64.b64encode(b"[" * 40_000).decode(),
    "another provider": principal(provider="google"),
    "nobody": encoded({"auth_typ": "aad", "claims": [{"typ": "name", "val": MARIA}]}),
    "an empty name": principal("  "),
    "control characters": principal(MARIA + "\n"),
}


@pytest.mark.parametrize("what", UNREADABLE)
def test_what_cannot_be_read_is_nobody(ports: Ports, chain: Chain, what: str) -> None:
    for last in (token_of(ports, chain), chain.id):
        answer = look(ports, last, UNREADABLE[what])
        assert answer.status == 403
        assert "You cannot be recognised" in answer.html


@given(st.text(max_size=200) | st.recursive(st.none() | st.booleans() | st.text(), st.lists).map(encoded))
def test_no_header_is_taken_for_a_person_that_it_does_not_name(header: str) -> None:
    settings = with_sign_in(memory_ports()).settings
    with pytest.raises(BusinessFailure):
        sign_in.person(settings, Request(principal=header))


@given(st.text(min_size=1, max_size=80))
def test_the_sign_in_never_leads_to_another_site(last: str) -> None:
    settings = memory_ports().settings
    try:
        address = sign_in.sign_in_address(settings, last)
    except UnicodeEncodeError:
        return
    back = parse_qs(urlsplit(address).query)["post_login_redirect_uri"]
    assert len(back) == 1
    assert back[0].startswith("/api/approvals/")
    assert "//" not in back[0]
    assert "\\" not in back[0]


# -------------------------------------------------------------------------------------------------------------- proof


def test_every_view_answer_and_refusal_leaves_a_line(
    ports: Ports, chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "genaiops.approvals")
    token = token_of(ports, chain)
    look(ports, token)
    post(ports, token, principal(MARIA))
    post(ports, token, principal(MARIA), "reject")
    look(ports, token, principal(JONAS))
    page.report(ports, token, Request(principal=principal(MARIA)))
    assert lines(ports, chain) == [
        ("sign-in", MARIA, None, "Nobody is signed in."),
        ("viewed", MARIA, MARIA, ""),
        ("approved", MARIA, MARIA, ""),
        ("viewed", MARIA, MARIA, ""),
        ("approved", MARIA, MARIA, "The first answer stays"),
        ("refused", MARIA, JONAS, "This link is somebody else's"),
        ("report", MARIA, MARIA, ""),
    ]
    assert len(caplog.messages) == 7
    assert not any(token in message or token[-20:] in message for message in caplog.messages)
    stored = ports.blobs.read("approvals", f"{chain.id}/audit.jsonl").decode()
    assert token[-20:] not in stored


def test_a_forged_link_leaves_a_line_in_the_log_alone(
    ports: Ports, chain: Chain, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "genaiops.approvals")
    forged = token_of(ports, chain)[:-4] + "AAAA"
    assert look(ports, forged, principal(MARIA)).status == 403
    assert list(ports.blobs.list("approvals")) == []
    assert "This link is not valid" in caplog.messages[-1]
    assert forged not in caplog.text


def test_a_page_that_keeps_itself_up_to_date_is_one_view(ports: Ports, chain: Chain) -> None:
    maria: Mapping[str, str] = {"principal": principal(MARIA), "user_agent": "Firefox " * 100}
    for by_script in (False, True, True):
        page.show(ports, chain.id, Request(by_script=by_script, **maria))  # type: ignore[arg-type]
    (line,) = audit.read(ports, chain.id)
    assert (line.outcome, line.method, line.status, len(line.agent)) == ("viewed", "GET", 200, 200)
    page.show(ports, chain.id, Request(by_script=True, principal=principal(JONAS)))
    assert len(list(audit.read(ports, chain.id))) == 2, "who only claims to be a script has looked as well"


def test_a_prefetching_scanner_decides_nothing_however_often_it_comes(ports: Ports, chain: Chain) -> None:
    for who in ("", principal(MARIA)):
        for last in (token_of(ports, chain), chain.id):
            for method in ("GET", "HEAD", "GET", "HEAD"):
                assert look(ports, last, who, method).status in (200, 303)
    assert sent_events(ports) == []
    assert load(ports.blobs, chain.id)[0].status is ChainStatus.AWAITING_APPROVAL

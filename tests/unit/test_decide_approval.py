"""Approvals are counted by people: how many are needed, who may not give one, and what one rejection does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.chain.approving import refuses_everybody, same_person
from shared.chain.decide import Decision, decide
from shared.chain.messages import ApprovalAnswered, ApprovalTimedOut, Verdict
from shared.chain.state import Chain, ChainStatus
from tests import samples

EVIDENCE = samples.sha("evidence")
TEAM = "team@example.org"


def waiting(required: int = 2, requester: str = "priya", *, may_approve: bool = False) -> Chain:
    """A chain that waits for ada, ben or a group, asked for by `requester`."""
    chain = samples.awaiting_approval(samples.sample_chain(), EVIDENCE, approvers=("ada", "ben", "Priya", TEAM))
    assert chain.approval is not None
    approval = chain.approval.model_copy(
        update={"required": required, "groups": {TEAM: "id"}, "requester_may_approve": may_approve}
    )
    request = chain.request.model_copy(update={"requester": requester})
    return chain.model_copy(update={"approval": approval, "request": request})


def answered(
    chain: Chain, approver: str, verdict: Verdict = Verdict.APPROVED, *, signed_in: str | None = None, comment: str = ""
) -> Decision:
    event = ApprovalAnswered(
        id="x", chain=chain.id, at=samples.NOW, approver=approver, signed_in=signed_in, verdict=verdict,
        comment=comment, evidence=EVIDENCE,
    )  # fmt: skip
    return decide(chain, event)


def after(chain: Chain, *answers: tuple[str, str | None]) -> Chain:
    for approver, signed_in in answers:
        told = answered(chain, approver, signed_in=signed_in).chain
        assert told is not None
        chain = told
    return chain


def test_the_second_of_two_approvals_decides_and_the_log_counts_them() -> None:
    first = answered(waiting(), "ada", comment="Looks good.").chain
    assert first is not None
    assert first.status is ChainStatus.AWAITING_APPROVAL
    assert first.journal[-1].text == "1 of 2 approvals: ada: Looks good."
    second = answered(first, "ben", comment="Go.")
    assert second.chain is not None
    assert second.chain.approval is not None
    assert second.chain.approval.verdict is Verdict.APPROVED
    assert second.chain.approval.decided_by == "ada and ben"
    assert [one.comment for one in second.chain.approval.given] == ["Looks good.", "Go."]
    assert "2 of 2 approvals: ben: Go." in [entry.text for entry in second.chain.journal]
    assert type(second.messages[0].message).__name__ == "Deploy"


def test_the_same_person_counts_once_however_the_name_is_written() -> None:
    once = after(waiting(), ("ada", None))
    assert answered(once, "ada").stale == "ada has approved already; approvals of 2 different people are needed"
    assert answered(once, TEAM, signed_in="ADA").stale.startswith("ADA has approved already")


def test_two_members_of_one_group_are_two_people() -> None:
    chain = after(waiting(), (TEAM, "cara@example.org"), (TEAM, "dan@example.org"))
    assert chain.approval is not None
    assert chain.approval.decided_by == "cara@example.org and dan@example.org"


def test_one_rejection_decides_whatever_was_approved_before() -> None:
    decision = answered(after(waiting(), ("ada", None)), "ben", Verdict.REJECTED, comment="No.")
    assert decision.chain is not None
    assert decision.chain.outcome is ChainStatus.REJECTED
    assert decision.chain.reason == "Rejected by ben: No."


@pytest.mark.parametrize(("approver", "signed_in"), [("Priya", None), (TEAM, "PRIYA"), ("ada", "priya")])
def test_whoever_asked_for_the_chain_may_not_approve_it(approver: str, signed_in: str | None) -> None:
    decision = answered(waiting(1), approver, signed_in=signed_in)
    assert decision.stale == f"{signed_in or approver} asked for this chain and may not approve it"


def test_whoever_asked_for_the_chain_may_reject_it() -> None:
    decision = answered(waiting(1), "Priya", Verdict.REJECTED)
    assert decision.chain is not None
    assert decision.chain.outcome is ChainStatus.REJECTED


def test_whoever_asked_for_the_chain_may_approve_it_where_the_use_case_says_so() -> None:
    chain = after(waiting(1, may_approve=True), ("Priya", None))
    assert chain.approval is not None
    assert chain.approval.verdict is Verdict.APPROVED


def test_too_few_approvals_in_time_are_a_rejection_that_says_how_many_came() -> None:
    chain = after(waiting(), ("ada", None))
    assert chain.approval is not None
    at = chain.approval.deadline
    timeout = decide(chain, ApprovalTimedOut(id="t", chain=chain.id, at=at, evidence=EVIDENCE)).chain
    assert timeout is not None
    assert timeout.outcome is ChainStatus.REJECTED
    assert timeout.reason == "Only 1 of 2 approvals came within 60 minutes, which counts as a rejection."


@pytest.mark.parametrize(
    ("people", "groups", "required", "requester", "may", "why"),
    [
        (("ada",), 0, 1, "ben", False, ""),
        (("ada",), 0, 1, "ADA", True, ""),
        (("ada",), 0, 1, None, False, ""),
        (("ada",), 1, 3, "ada", False, ""),
        (("ada",), 0, 1, "ADA", False, "it needs 1 approval, and ADA, who asked for it, may not give one: nobody else can"),
        (("ada", "ben"), 0, 2, "ben", False, "it needs 2 approvals of different people, and ben, who asked for it, may not give one: 1 else"),
        (("ada",), 0, 2, None, False, "only 1 can give one"),
        (("ada", "Ada "), 0, 2, None, False, "only 1 can give one"),
    ],
)  # fmt: skip
def test_a_chain_that_nobody_could_approve_is_known_beforehand(
    people: tuple[str, ...], groups: int, required: int, requester: str | None, may: bool, why: str
) -> None:
    said = refuses_everybody(people, groups, required, requester, requester_may_approve=may)
    assert (why in said) if why else said == ""


NAMES = st.sampled_from(["ada", "Ada", "ben", "cara@example.org", "CARA@example.org", "priya", "Priya", "dan"])


@given(
    st.integers(1, 3),
    st.booleans(),
    st.lists(
        st.tuples(
            st.sampled_from(["ada", "ben", "Priya", TEAM, "eve"]),
            st.none() | NAMES,
            st.sampled_from([Verdict.APPROVED] * 4 + [Verdict.REJECTED]),
            st.sampled_from([0, 0, 0, 0, 0, 2]),
        ),
        max_size=12,
    ),
)
def test_whatever_is_answered_only_enough_different_people_approve(
    required: int, may_approve: bool, answers: list[tuple[str, str | None, Verdict, int]]
) -> None:
    chain = waiting(required, may_approve=may_approve)
    counted: set[str] = set()
    rejected = False
    for approver, signed_in, verdict, hours in answers:
        event = ApprovalAnswered(
            id="x", chain=chain.id, at=samples.NOW + timedelta(hours=hours), approver=approver, signed_in=signed_in,
            verdict=verdict, evidence=EVIDENCE,
        )  # fmt: skip
        decision = decide(chain, event)
        person = (signed_in or approver).casefold()
        asked = "priya" in {person, approver.casefold()}
        counts = chain.status is ChainStatus.AWAITING_APPROVAL and approver != "eve" and not hours
        if counts and verdict is Verdict.APPROVED:
            counts = (may_approve or not asked) and person not in counted
        assert bool(decision.stale) is not counts, decision.stale
        if not counts:
            assert decision.chain is chain
            assert decision.messages == ()
            continue
        assert decision.chain is not None
        chain = decision.chain
        if verdict is Verdict.APPROVED:
            counted.add(person)
        else:
            rejected = True
        approval = chain.approval
        assert approval is not None
        assert {one.person.casefold() for one in approval.given} == counted
        if rejected:
            assert approval.verdict is Verdict.REJECTED
        else:
            assert (approval.verdict is Verdict.APPROVED) is (len(counted) == required)
        assert len(approval.given) <= required
        assert Chain.model_validate_json(chain.model_dump_json()) == chain


@given(NAMES, NAMES)
def test_two_names_are_one_persons_in_any_case(one: str, other: str) -> None:
    assert same_person(one, f" {other} ") is (one.lower() == other.lower())

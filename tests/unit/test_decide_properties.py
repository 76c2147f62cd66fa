"""`decide` is total and keeps its promises whatever it is told, in whatever order, however often."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.assets import AssetRef
from shared.chain.decide import decide
from shared.chain.describe import TRANSITIONS
from shared.chain.messages import (
    ANSWERS,
    COMMANDS,
    AnyEvent,
    ApprovalAnswered,
    ApprovalReminderDue,
    ApprovalTerms,
    ApprovalTimedOut,
    CancelRequested,
    Candidate,
    ChainKind,
    ChainRequest,
    ChainRequested,
    ChainSuperseded,
    Command,
    DatasetUpload,
    Event,
    Verdict,
)
from shared.chain.state import Chain, ChainStatus, StepStatus

T0 = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
DIGESTS = st.sampled_from(["a" * 64, "b" * 64])
ASSETS = st.builds(AssetRef, name=st.just("asset"), version=st.sampled_from(["1", "2"]))

FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "bundle": DIGESTS,
    "cells": st.integers(0, 4),
    "cells_in_flight": st.integers(1, 3),
    "has_gates": st.booleans(),
    "deploys": st.booleans(),
    "approval": st.builds(
        ApprovalTerms,
        approvers=st.just(("ada", "ben")),
        timeout_minutes=st.just(60.0),
        reminder_minutes=st.sampled_from([0.0, 30.0]),
        required=st.integers(1, 2),
    ),
    "evidence": DIGESTS,
    "flow": ASSETS,
    "notes": st.sampled_from([(), ("2 rows are duplicates",)]),
    "assets": st.tuples(ASSETS),
    "created": st.booleans(),
    "cell": st.integers(0, 3),
    "succeeded": st.booleans(),
    "passed": st.booleans(),
    "reason": st.just("why"),
    "detail": st.just("how"),
    "evaluators": st.sampled_from([(), ("a",), ("a", "b")]),
    "removed": st.sampled_from([(), ("v0",)]),
    "evaluator": st.sampled_from(["a", "b"]),
    "candidate": st.none() | st.builds(Candidate, label=st.just("default"), cell=st.just(0)),
    "missed": st.sampled_from([(), ("too low",)]),
    "regressions": st.sampled_from([(), ("worse",)]),
    "blob": st.just("c/report.html"),
    "endpoint": st.just("e"),
    "deployment": st.just("v2"),
    "traffic_before": st.sampled_from([{}, {"v1": 100}]),
    "traffic": st.sampled_from([{"v2": 100}, {"v1": 90, "v2": 10}]),
}


@st.composite
def requests(draw: st.DrawFn) -> ChainRequest:
    kind = draw(st.sampled_from(ChainKind))
    upload = DatasetUpload(name="web", blob="u/web/x.jsonl") if kind is ChainKind.DATASET else None
    return ChainRequest(
        request_id="r", kind=kind, use_case="u", pull_request=draw(st.sampled_from([None, 7])), dataset=upload
    )


def any_answer(draw: st.DrawFn, command: type[Command], cause: str, at: datetime) -> Event:
    event = draw(st.sampled_from(ANSWERS[command]))
    fields = {
        name: draw(st.tuples(ASSETS) if name == "created" and "assets" in event.model_fields else FIELDS[name])
        for name in event.model_fields
        if name in FIELDS
    }
    return event(id=f"{cause}/answer", chain="c", at=at, cause=cause, **fields)


def any_outside_event(draw: st.DrawFn, at: datetime) -> Event:
    event = draw(
        st.sampled_from([ApprovalAnswered, ApprovalReminderDue, ApprovalTimedOut, CancelRequested, ChainSuperseded])
    )
    common: dict[str, Any] = {
        "id": "x",
        "chain": "c",
        "at": at + draw(st.sampled_from([timedelta(), timedelta(hours=2)])),
    }
    if event is ApprovalAnswered:
        return ApprovalAnswered(
            **common,
            approver=draw(st.sampled_from(["ada", "ben", "eve"])),
            signed_in=draw(st.sampled_from([None, "ADA", "ben"])),
            verdict=draw(st.sampled_from(Verdict)),
            evidence=draw(DIGESTS),
        )
    if event is CancelRequested:
        return CancelRequested(**common, by="ada")
    if event is ChainSuperseded:
        return ChainSuperseded(**common, by="newer")
    return event(**common, evidence=draw(DIGESTS))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_every_chain_told_anything_keeps_its_promises_and_ends_once_all_is_answered(data: st.DataObject) -> None:
    draw = data.draw
    at = T0
    begin = ChainRequested(id="c/answer", chain="c", at=at, request=draw(requests()))
    chain = decide(None, begin).chain
    assert chain is not None
    sent: dict[str, str] = {}
    seen: list[AnyEvent] = [begin]
    moves = {("[*]", chain.status.value)}
    log_length = len(chain.journal)
    for _ in range(80):
        at += timedelta(seconds=1)
        choice = draw(st.integers(0, 9))
        event: Any
        if choice < 7 and chain.awaiting:  # the usual case: some command in flight is answered
            cause = draw(st.sampled_from(sorted(chain.awaiting)))
            event = any_answer(draw, COMMANDS[chain.awaiting[cause]], cause, at)
        elif choice == 7 and sent:  # an answer to anything that was ever ordered, of any type
            cause = draw(st.sampled_from(sorted(sent)))
            event = any_answer(draw, COMMANDS[draw(st.sampled_from(sorted(set(sent.values()))))], cause, at)
        elif choice == 8:  # a message that comes once more
            event = draw(st.sampled_from(seen))
        else:
            event = any_outside_event(draw, at)
        before: Chain = chain
        decision = decide(before, event)
        assert decision.chain is not None
        if decision.stale:
            assert decision.chain is before
            assert decision.messages == ()
            continue
        seen.append(event)
        chain = decision.chain
        if chain.status is not before.status:
            moves.add((before.status.value, chain.status.value))
        ids = [outgoing.message.id for outgoing in decision.messages]
        assert len(set(ids)) == len(ids)
        ordered = {m.message.id: type(m.message).__name__ for m in decision.messages if isinstance(m.message, Command)}
        assert not set(ordered) & set(sent), "a command id is never given twice"
        sent |= ordered
        assert set(chain.awaiting) <= set(sent), "only what was ordered is awaited"
        assert set(ordered) <= set(chain.awaiting), "whatever is ordered is awaited"
        if before.outcome is not None:
            assert chain.outcome is before.outcome, "the first outcome stays"
            assert chain.reason == before.reason
        assert chain.log_lines == log_length + len(chain.journal) - len(before.journal)
        log_length = chain.log_lines
        assert sum(s.status is StepStatus.RUNNING for s in chain.steps) == (0 if chain.status.is_final else 1)
        if chain.status.is_final:
            assert chain.awaiting == {}
            assert chain.step is None
            assert chain.ended_at == event.at
            assert chain.status is chain.outcome
            assert before.awaiting[event.cause] == "FinishTask", "whoever asked is told before the chain ends"
        else:
            waits = chain.awaiting or chain.status is ChainStatus.AWAITING_APPROVAL
            assert waits, "a chain that has not ended always waits for something"
        assert Chain.model_validate_json(chain.model_dump_json()) == chain
    assert moves <= {(before, after) for before, after, _ in TRANSITIONS}, "the docs' diagram knows every transition"


def test_an_event_for_a_chain_that_does_not_exist_changes_nothing() -> None:
    event = CancelRequested(id="x", chain="c", at=T0, by="ada")
    decision = decide(None, event)
    assert decision.chain is None
    assert decision.stale == "there is no chain c"

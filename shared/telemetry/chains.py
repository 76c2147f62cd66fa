"""What a change of a chain's state means to those who watch: steps that began and ended, ages, the chain's own span.

Read off the state before and after one decision, which is written once: so each is told once, however often a message
comes. (A crash between the write and here tells it never; the state itself has it all.)
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import datetime
from itertools import zip_longest

from shared.chain.state import Chain, ChainStatus, StepState, StepStatus
from shared.process_secrets import hidden
from shared.telemetry import pipe, trace
from shared.telemetry.handling import current
from shared.telemetry.names import Event, Metric
from shared.telemetry.signals import Happening, Levels, Measurement, Role, Span


def moved(before: Chain | None, after: Chain) -> None:
    """Tell what one decision changed."""
    out = pipe.active()
    if out is None:
        return
    about: dict[str, str | int | float] = {"kind": after.request.kind, "use_case": after.request.use_case}

    def happened(event: Event, at: datetime, **attributes: str | int | float) -> None:
        told = {"chain": after.id, **about, **attributes}
        root = trace.root_of(after.id)
        out.put(Happening(event, _ns(at), trace.trace_of(after.id), root, told))

    if before is None:
        happened(Event.CHAIN_STARTED, after.created_at)
    former = before.steps if before is not None else ()
    for step, was in zip_longest(after.steps, former[: len(after.steps)]):
        if step.started_at is not None and (was is None or was.started_at is None):
            happened(Event.STEP_STARTED, step.started_at, step=step.step)
        if not _has_ended(step) or (was is not None and _has_ended(was)):
            continue
        ended = step.ended_at or after.updated_at
        outcome = step.status.value
        age = _seconds(after.created_at, ended)
        happened(Event.STEP_ENDED, ended, step=step.step, outcome=outcome, age_s=age)
        took = _seconds(step.started_at or ended, ended)
        out.put(Measurement(Metric.STEP_DURATION, took, {**about, "step": step.step, "outcome": outcome}))
        out.put(Measurement(Metric.CHAIN_AGE, age, {**about, "step": step.step}))
    if after.ended_at is not None and (before is None or before.ended_at is None):
        age = _seconds(after.created_at, after.ended_at)
        outcome = after.status.value
        happened(Event.CHAIN_ENDED, after.ended_at, outcome=outcome, age_s=age, reason=hidden(after.reason)[:1_000])
        out.put(Measurement(Metric.CHAIN_DURATION, age, {**about, "outcome": outcome}))
        out.put(_span(after, after.ended_at, {"chain": after.id, **about, "outcome": outcome}))


def seen(chains: Iterable[Chain], now: datetime) -> None:
    """Tell of all chains that have not ended, by the step that they are in: housekeeping looks at them anyway."""
    out = pipe.active()
    if out is None:
        return
    lasting: dict[str, list[float]] = {}
    for chain in chains:
        if chain.ended_at is None and chain.step is not None:
            since = chain.step.started_at or chain.updated_at
            lasting.setdefault(chain.step.step, []).append(_seconds(since, now))
    out.put(Levels(Metric.OPEN_CHAINS, tuple((len(ages), {"step": step}) for step, ages in lasting.items())))
    out.put(Levels(Metric.OLDEST_STEP, tuple((max(ages), {"step": step}) for step, ages in lasting.items())))


def dead_lettered(identifier: str, queue: str, reason: str, chain: str | None) -> None:
    """Tell that nobody could handle a message."""
    out, one = pipe.active(), current()
    if out is None or one is None:
        return
    one.tell(chain=chain, dead_letter=identifier)
    told: dict[str, str | int | float] = {"dead_letter": identifier, "queue": queue, "reason": hidden(reason)[:200]}
    if chain is not None:
        told["chain"] = chain
    out.put(Happening(Event.DEAD_LETTERED, time.time_ns(), one.trace_id, one.span_id, told))
    one.measure(Metric.DEAD_LETTERS, 1, queue=queue, reason=hidden(reason)[:200])


def run_ended(*, succeeded: bool, prompt_tokens: int, completion_tokens: int) -> None:
    """Tell that a run or an evaluation ended, and what its model took."""
    one = current()
    if one is None:
        return
    command = one.attributes.get("command", "")
    one.measure(Metric.RUNS, 1, command=command, outcome="succeeded" if succeeded else "failed")
    for tokens, count in (("prompt", prompt_tokens), ("completion", completion_tokens)):
        if count:
            one.measure(Metric.TOKENS, count, tokens=tokens)


def _span(chain: Chain, ended: datetime, attributes: dict[str, str | int | float]) -> Span:
    return Span(
        name=f"chain {chain.request.kind} {chain.request.use_case}",
        role=Role.CHAIN,
        trace_id=trace.trace_of(chain.id),
        span_id=trace.root_of(chain.id),
        parent_id=None,
        links=(),
        started_ns=_ns(chain.created_at),
        ended_ns=_ns(ended),
        attributes=attributes,
        failure=None if chain.status is ChainStatus.SUCCEEDED else hidden(chain.reason or chain.status),
    )


def _has_ended(step: StepState) -> bool:
    return step.status in (StepStatus.DONE, StepStatus.FAILED)


def _seconds(begin: datetime, end: datetime) -> float:
    return max(0.0, (end - begin).total_seconds())


def _ns(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000_000)

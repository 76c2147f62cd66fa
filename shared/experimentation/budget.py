"""Budgets: a chain that would cost more than its use case allows is refused before anything is run."""

from __future__ import annotations

from shared.errors import BusinessFailure
from shared.experimentation.assembly import Preparation
from shared.experimentation.plan import Plan, counted
from shared.ports import BlobStore
from shared.use_case.model import Budget, UseCase


def check(use_case: UseCase, preparation: Preparation, blobs: BlobStore | None) -> None:
    """Refuse a matrix that is beyond the use case's budget; what is reused costs nothing.

    Raises:
        BusinessFailure: with every count that is too high, its limit, and what to do.
    """
    if use_case.budget != Budget():
        over = exceeded(use_case.budget, counted(preparation, use_case, blobs))
        if over:
            raise BusinessFailure(refusal(over))


def exceeded(budget: Budget, plan: Plan) -> tuple[str, ...]:
    """What of a plan is beyond the budget, each with count, limit and key; empty: nothing."""
    assumed = " (Python code is assumed to call its model once a line)" if plan.calls_assumed else ""
    counts = (
        ("max_runs", "runs", len(plan.runs), budget.max_runs, ""),
        ("max_model_calls", "model calls", plan.model_calls, budget.max_model_calls, assumed),
        ("max_tokens", "tokens (estimated)", plan.tokens, budget.max_tokens, ""),
    )
    return tuple(
        f"{count:,} {what}{note}, at most {limit:,} (`budget.{key}`)"
        for key, what, count, limit, note in counts
        if limit is not None and count > limit
    )


def refusal(over: tuple[str, ...]) -> str:
    """The sentence for what is beyond a budget."""
    return (
        f"The chain is beyond the use case's budget and was not begun: it would take {'; '.join(over)}. "
        f"Select fewer variants (`--variants`), use fewer rows (`max_rows`), or raise the budget in experiment.yaml."
    )

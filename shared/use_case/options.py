"""The optional blocks of `experiment.yaml`: gates, approval, and single values.

Each reader checks its block alone and against what the flow and the other blocks offer.
"""

from __future__ import annotations

import math
import re
from typing import Final

from shared.names import MAIL_ADDRESS
from shared.use_case.block import Block
from shared.use_case.model import Approval, Evaluator, Gate, Gates, Reuse, UseCase
from shared.use_case.problems import one_of

LONGEST_TIMEOUT_MINUTES = 7 * 24 * 60
MOST_APPROVALS: Final = 20
_OBJECT_ID: Final = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"


def gates(block: Block, evaluators: tuple[Evaluator, ...]) -> Gates:
    """`gates`: the metric that chooses the candidate, and the limits."""
    if block.value is None or block.mapping({"choose_by", "checks"}) is None:
        return Gates()
    chosen = block.text("choose_by")
    checks: list[Gate] = []
    for item in block.child("checks").items():
        if item.mapping({"metric", "dataset", "at_least", "at_most", "max_drop"}) is None:
            continue
        metric = item.text("metric", required=True)
        evaluator, name = _metric(item, "metric", metric, evaluators) if metric else ("", "")
        dataset = item.text("dataset")
        measured = {d.reference or d.name for e in evaluators if e.name == evaluator for d in e.datasets}
        if dataset is not None and measured and dataset not in measured:
            item.problem(one_of(dataset, measured, f"dataset that {evaluator!r} is run for"), "dataset")
        at_least = item.number("at_least", -math.inf)
        at_most = item.number("at_most", -math.inf)
        max_drop = item.number("max_drop", 0)
        if not {"at_least", "at_most", "max_drop"} & item.value.keys():
            item.problem("sets no limit; expected at_least, at_most or max_drop")
        if at_least is not None and at_most is not None and at_least > at_most:
            item.problem(f"at_least ({at_least:g}) is above at_most ({at_most:g}), so that nothing passes", "at_least")
        checks.append(Gate(evaluator, name, dataset, at_least, at_most, max_drop))
    choose_by = _metric(block, "choose_by", chosen, evaluators) if chosen else None
    return Gates(choose_by=choose_by, checks=tuple(checks))


def _metric(block: Block, key: str, written: str, evaluators: tuple[Evaluator, ...]) -> tuple[str, str]:
    evaluator, dot, metric = written.partition(".")
    if not dot or not metric:
        block.problem(f"is {written!r}; expected <evaluator>.<metric>, for example `classification.accuracy`", key)
    elif evaluator not in (names := [e.name for e in evaluators]):
        hint = "" if names else "; an overlay that empties `evaluators` must replace `gates` as well"
        block.problem(one_of(evaluator, names, "evaluator") + hint, key)
    return evaluator, metric


def approval(block: Block, *, after_merge: bool) -> Approval:
    """`approval`: who, and how long; `after_merge`: whether every merge asks for one."""
    default = Approval()
    if after_merge and not (isinstance(block.value, dict) and "approvers" in block):
        block.problem("names nobody, but with `deployment.after_ci` every merge asks for an approval", "approvers")
    known = {"approvers", "required", "requester_may_approve", "timeout_minutes", "reminder_minutes"}
    if block.value is None or block.mapping(known) is None:
        return default
    approvers, groups = _approvers(block.child("approvers"))
    if "approvers" in block and not block.child("approvers").value:
        block.problem("names nobody; expected one or more approvers", "approvers")
    required = block.integer("required", 1, MOST_APPROVALS) or default.required
    people = len(approvers or default.approvers)
    if required > people and not groups:
        block.problem(f"is {required}, but `approvers` names only {people}; name more, or a group", "required")
    timeout = block.number("timeout_minutes", 0.01, LONGEST_TIMEOUT_MINUTES) or default.timeout_minutes
    reminder = block.number("reminder_minutes", 0)
    if reminder is not None and reminder >= timeout:
        block.problem(f"is {reminder:g}, which is not before the timeout of {timeout:g} minutes", "reminder_minutes")
    return Approval(
        approvers=approvers or default.approvers,
        groups=groups,
        required=required,
        requester_may_approve=block.flag("requester_may_approve"),
        timeout_minutes=timeout,
        reminder_minutes=reminder if reminder is not None else min(default.reminder_minutes, timeout / 2),
    )


def _approvers(block: Block) -> tuple[tuple[str, ...], dict[str, str]]:
    """The approvers, groups by their address, and the object ids of the groups."""
    found: list[str] = []
    groups: dict[str, str] = {}
    for item in block.items():
        name: str | None
        if isinstance(item.value, dict):
            if item.mapping({"group", "mail"}) is None:
                continue
            group = item.text("group", required=True)
            name = item.text("mail", required=True, most=200)
            if group is not None and not re.fullmatch(_OBJECT_ID, group):
                item.problem(f"is {group[:80]!r}; expected the object id (a GUID) of a group in Entra ID", "group")
                continue
            if name is not None and not re.fullmatch(MAIL_ADDRESS, name):
                item.problem(f"is {name[:80]!r}; expected the mail address of the group", "mail")
                continue
        else:
            group, name = None, item.one_line()
        if name is None or (isinstance(item.value, dict) and group is None):
            continue
        if name.casefold() in (other.casefold() for other in found):
            # One person is one approver, however the address is written: approvals are counted by people.
            item.problem(f"{name!r} is there twice; remove one")
            continue
        found.append(name)
        if group is not None:
            groups[name] = group.lower()
    return tuple(found), groups


def reuse(block: Block) -> Reuse:
    """`reuse`: what of earlier chains may be taken."""
    if block.value is None:
        return UseCase.reuse
    try:
        return Reuse(str(block.value))
    except ValueError:
        block.problem(one_of(block.value, [r.value for r in Reuse], "kind of reuse"))
        return UseCase.reuse

"""What the texts of notification speak of, read once: the chain, its evidence, its log, and lines that changed.

Reading is here, and only here; every text is a pure function of what this returns, so that the same chain tells the
same.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared import chain_store, reporting
from shared.chain.state import Chain, ChainStatus, LogEntry, Step
from shared.deployment.registered import registered, settings_of
from shared.errors import BusinessFailure, NotFound
from shared.pages.words import status_tone, status_word, step_word
from shared.ports import AssetKind, Ports
from shared.reporting import changes, evidence, facts
from shared.reporting.changes import Changes

_AFTER_ALL: Final = frozenset({Step.COMMENT, Step.ALERT, Step.RESULT})
"""Steps that tell people: by then everything else has ended."""


@dataclass(frozen=True)
class Told:
    """What there is to tell of a chain."""

    chain: Chain
    functions_url: str
    evidence: Mapping[str, Any] | None = None
    """None: there is no report, or not the one that an approval was asked for."""
    registered: Mapping[str, str] = field(default_factory=dict)
    """Of a release without a report of its own: the tags of the registered version."""
    log: tuple[LogEntry, ...] = ()
    changes: Changes | None = None
    """None: lines were not compared."""
    endpoint: str = ""
    """Where an approval would deploy to; empty where it is not known."""
    traffic: int | None = None
    """Percent that the new deployment is to get there."""

    @property
    def chain_address(self) -> str:
        """The chain's page."""
        return f"{self.functions_url}/api/chains/{self.chain.id}"

    @property
    def report_address(self) -> str | None:
        """The report, where there is one."""
        return f"{self.chain_address}/files/report.html" if self.chain.report else None


@dataclass(frozen=True)
class Ending:
    """How a chain ends, or that it has not yet."""

    outcome: ChainStatus | None
    """None: it is under way."""
    word: str
    """`Succeeded`, `Gates missed`, `Running: evaluation`."""
    tone: str
    """As `words.sign` takes it."""


def read(ports: Ports, chain: Chain, *, log: bool = False, lines: bool = False, place: bool = False) -> Told:
    """Read what there is.

    Args:
        ports: where from.
        chain: the chain as it is now.
        log: whether its log is wanted.
        lines: whether its lines are to be compared with those of the registered version, which reads all of them.
        place: whether it is wanted where the chain deploys to, which opens the use case.
    """
    document = _evidence(ports, chain)
    endpoint, traffic = _place(ports, chain) if place else ("", None)
    return Told(
        chain=chain,
        functions_url=ports.settings.functions_url,
        evidence=document,
        registered=_registered(ports, chain) if document is None else {},
        log=_log(ports, chain) if log else (),
        changes=_changes(ports, chain) if lines and document is not None else None,
        endpoint=endpoint,
        traffic=traffic,
    )


def ending(chain: Chain) -> Ending:
    """How the chain ends, as far as it is known: a failure before its last steps, a success at the last of them."""
    outcome = chain.outcome or (chain.status if chain.status.is_final else None)
    if outcome is None and (chain.step is None or chain.step.step in _AFTER_ALL):
        outcome = ChainStatus.SUCCEEDED
    if outcome is ChainStatus.FAILED and chain.missed_gates:
        return Ending(outcome, "Gates missed", "bad")
    if outcome is not None:
        return Ending(outcome, status_word(outcome), status_tone(outcome))
    word = status_word(chain.status)
    if chain.status is ChainStatus.RUNNING and chain.step is not None:
        word = f"{word}: {step_word(chain.step.step).lower()}"
    return Ending(None, word, status_tone(chain.status))


def _evidence(ports: Ports, chain: Chain) -> Mapping[str, Any] | None:
    try:
        content = ports.blobs.read(reporting.CONTAINER, f"{chain.id}/{evidence.BLOB}")
    except NotFound:
        return None
    if chain.approval is not None and evidence.digest(content) != chain.approval.evidence:
        return None  # an approver must not be shown what the link does not approve
    document: dict[str, Any] = json.loads(content)
    return document


def _registered(ports: Ports, chain: Chain) -> Mapping[str, str]:
    if chain.flow is None:
        return {}
    try:
        return ports.registry.get(AssetKind.MODEL, chain.flow.name, chain.flow.version).tags
    except NotFound:
        return {}


def _place(ports: Ports, chain: Chain) -> tuple[str, int | None]:
    try:
        _, use_case = registered(ports, chain)
        deployment = settings_of(use_case)
    except (NotFound, BusinessFailure):
        return "", None  # the deployment itself will say what is missing
    asked = chain.request.traffic
    return deployment.endpoint, deployment.traffic if asked is None else asked


def _log(ports: Ports, chain: Chain) -> tuple[LogEntry, ...]:
    """The stored lines, and those that the state has but the log not yet."""
    entries = {entry.number: entry for entry in (*chain_store.read_log(ports.blobs, chain.id), *chain.journal)}
    return tuple(entries[number] for number in sorted(entries))


def _changes(ports: Ports, chain: Chain) -> Changes | None:
    try:
        return changes.find(ports.blobs, facts.read(ports.blobs, chain))
    except NotFound:
        return None  # results were removed since

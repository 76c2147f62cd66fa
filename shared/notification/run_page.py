"""What a pipeline's run and a pull request's status say of a chain: a summary in Markdown, one line, and tags."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from shared.chain.state import Chain, ChainStatus, Step, StepStatus
from shared.notification import sections
from shared.notification.comment import verdict
from shared.notification.markdown import bounded, escaped, one_line, table
from shared.notification.told import Told, ending, read
from shared.pages.words import duration, plural, sign, step_status_tone, step_status_word, step_word
from shared.ports import Ports

LIMIT: Final = 48_000
STATUS_CHARACTERS: Final = 140
"""Of a status: more is cut off where pull requests list their checks."""
_UNTAGGED: Final = re.compile(r"[^A-Za-z0-9._-]+")
_TAG_CHARACTERS: Final = 100


def run_summary(ports: Ports, chain: Chain) -> str:
    """The chain for the run's page, in Markdown: verdict, metrics, gates, steps, links."""
    return rendered(read(ports, chain))


def rendered(told: Told) -> str:
    """The summary from what was read."""
    return bounded(_sections(told), LIMIT, f"The rest is left out for its length. {sections.links(told)}")


def status_line(chain: Chain) -> str:
    """The chain in one line of plain text: `Gates missed: exact.accuracy of … is 0.5; it must be at least 0.9`."""
    end = ending(chain)
    if chain.missed_gates and end.outcome is ChainStatus.FAILED:
        more = len(chain.missed_gates) - 1
        text = f"{plural(len(chain.missed_gates), 'gate')} missed" + (", first of all: " if more else ": ")
        return one_line(text + chain.missed_gates[0], STATUS_CHARACTERS)
    said = chain.reason or _progress(chain, end.outcome)
    return one_line(f"{end.word}: {said}" if said else end.word, STATUS_CHARACTERS)


def tags(chain: Chain) -> tuple[str, ...]:
    """Tags of the run: how the chain ended, what it was, and what came of it; of the characters `A-Za-z0-9._-` alone.

    A tag must hold no colon: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
    """
    outcome = ending(chain).outcome
    request = chain.request
    found = [
        f"genaiops-{outcome.value if outcome else 'running'}",
        f"{request.use_case}-{request.kind.value}",
        f"{request.use_case}-{request.environment}",
    ]
    if chain.missed_gates:
        found.append("gates-missed")
    if chain.flow is not None:
        found.append(f"{chain.flow.name}-version-{chain.flow.version}")
    if chain.deployment is not None and outcome is ChainStatus.SUCCEEDED:
        found.append(f"deployed-{chain.deployment.endpoint}")
    return tuple(dict.fromkeys(_UNTAGGED.sub("-", tag)[:_TAG_CHARACTERS] for tag in found))


def _progress(chain: Chain, outcome: ChainStatus | None) -> str:
    """What is known before the end, or of a good one."""
    if outcome is ChainStatus.SUCCEEDED:
        parts = []
        if chain.has_gates and chain.candidate is not None:
            parts.append("all gates met")
        if chain.candidate is not None:
            parts.append(f"the candidate is {chain.candidate.label}")
        if chain.flow is not None:
            parts.append(f"version {chain.flow.version}" + (" is deployed" if chain.deployment else ""))
        return ", ".join(parts)
    progress = chain.progress
    step = chain.step.step if chain.step else None
    if step in (Step.EXPERIMENTATION, Step.LOG_IMPORT):
        return f"{progress.runs_completed + progress.runs_failed} of {plural(progress.cells, 'run')}"
    if step is Step.EVALUATION:
        done = progress.evaluations_completed + progress.evaluations_failed
        return f"{done} of {plural(progress.evaluations_started, 'evaluation')}"
    return ""


def _sections(told: Told) -> Iterator[str]:
    yield verdict(told)
    yield sections.about(told)
    yield sections.links(told)
    evidence = told.evidence
    if evidence is not None and evidence["cells"]:
        if note := sections.stand_in(evidence):
            yield f"> {note}"
        yield "#### Metrics"
        yield from sections.metrics(evidence)
        if evidence["candidate"]:
            yield f"#### Gates\n\n{sections.gates(evidence)}"
        yield f"#### Against the baseline\n\n{sections.baseline(told)}"
    elif known := sections.registered_metrics(told):
        yield f"#### Metrics\n\n{known}"
    yield f"#### Steps\n\n{_steps(told.chain)}"


def _steps(chain: Chain) -> str:
    rows = []
    for step in chain.steps:
        if step.status is StepStatus.SKIPPED:
            continue
        took = ""
        if step.started_at is not None and step.ended_at is not None:
            took = duration((step.ended_at - step.started_at).total_seconds())
        mark = f"{sign(step_status_tone(step.status))} {step_status_word(step.status)}"
        rows.append((step_word(step.step), mark, took, escaped(step.detail, 300) if step.detail else ""))
    return table(("Step", "", "Took", ""), rows, numbers=(2,))

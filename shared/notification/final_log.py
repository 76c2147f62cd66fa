"""The log of a pipeline's task: the chain's lines with their time, the metrics as a table, the verdict, links.

Only our own lines use the formatting commands of Azure Pipelines; what data, models and requesters wrote can give none.
Source: https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from shared.chain.state import Chain, LogEntry
from shared.notification.figures import DatasetFigures, against_baseline, by_dataset
from shared.notification.markdown import one_line
from shared.notification.told import Told, ending, read
from shared.pages.words import clock_time, difference, kind_word, number, plural, when
from shared.ports import Ports

_LINE_CHARACTERS: Final = 2_000
_LOG_LINES: Final = 5_000
_CHOICES: Final = 20
_METRICS: Final = 8
_LABEL: Final = 48
_PREFIX: Final = {"info": "", "warning": "##[warning]", "error": "##[error]"}


def final_log(ports: Ports, chain: Chain) -> str:
    """The whole log as plain text, one line each."""
    return rendered(read(ports, chain, log=True))


def rendered(told: Told) -> str:
    """The log from what was read."""
    return "\n".join(_lines(told)) + "\n"


def log_line(entry: LogEntry) -> str:
    """One line of the chain's log, as the task's log shows it while the chain moves and at its end."""
    return f"{_PREFIX[entry.level]}{clock_time(entry.at)} {plain(entry.text, _LINE_CHARACTERS)}"


def plain(value: object, limit: int = 200) -> str:
    """A value on one line in which no logging command is found: those begin with `##[` or `##vso[` anywhere in it."""
    return re.sub("#(?=#)", "# ", one_line(value, limit))


def _lines(told: Told) -> Iterator[str]:
    chain = told.chain
    request = chain.request
    yield f"##[section]{kind_word(request.kind)} chain of {plain(request.use_case)}: {plain(chain.id)}"
    entries = told.log
    if len(entries) > _LOG_LINES:
        yield f"… {len(entries) - _LOG_LINES:,} earlier lines are on the chain's page"
    yield from map(log_line, entries[-_LOG_LINES:])
    if told.evidence is not None and told.evidence["cells"]:
        yield "##[section]Metrics"
        for figures in by_dataset(told.evidence):
            yield from _metrics(figures)
        yield from _baseline(told.evidence)
    end = ending(chain)
    yield f"##[section]{end.word}"
    level = {"bad": "error", "warn": "warning", "off": "warning"}.get(end.tone, "info")
    for sentence in chain.missed_gates:
        yield f"{_PREFIX['error']}Gate missed: {plain(sentence, _LINE_CHARACTERS)}"
    if chain.reason:
        yield f"{_PREFIX[level]}Why: {plain(chain.reason, _LINE_CHARACTERS)}"
    if chain.flow is not None:
        yield f"Registered: {plain(chain.flow.name)} version {plain(chain.flow.version)}"
    if chain.deployment is not None:
        yield f"Deployment: {plain(chain.deployment.deployment)} on {plain(chain.deployment.endpoint)}"
    if told.report_address:
        yield f"Report: {told.report_address}"
    yield f"Chain:  {told.chain_address}"
    yield f"Time:   {when(chain.ended_at or chain.updated_at)}"


def _metrics(figures: DatasetFigures) -> Iterator[str]:
    rows = "" if figures.rows is None else f" ({plural(figures.rows, 'row')})"
    yield f"Dataset {plain(figures.dataset)}{rows}"
    shown = figures.metrics[:_METRICS]
    header = ("choice", *(plain(f"{evaluator}.{metric}", 40) for evaluator, metric in shown))
    body = []
    for choice in figures.choices[:_CHOICES]:
        marks = [word for word, said in (("candidate", choice.is_candidate), ("default", choice.is_default)) if said]
        name = plain(choice.label, _LABEL) + (f" ({', '.join(marks)})" if marks else "")
        body.append((name, *(number(choice.values.get(metric)) for metric in shown)))
    yield from _table(header, body)
    hidden = len(figures.choices) - _CHOICES
    if hidden > 0:
        yield f"  … and {plural(hidden, 'more choice')} in the report"
    if len(figures.metrics) > _METRICS:
        yield f"  … and {plural(len(figures.metrics) - _METRICS, 'more metric')} in the report"


def _baseline(evidence: Any) -> Iterator[str]:
    changes = against_baseline(evidence)
    if not changes:
        return
    known = evidence["baseline"]
    yield f"Against the baseline, {plain(known['name'])} version {plain(known['version'])}"
    body = [
        (
            plain(f"{'.'.join(change.metric)} on {change.dataset}", 80),
            number(change.baseline),
            number(change.now),
            difference(change.difference),
            change.word + (", measured on other data" if change.other_data else ""),
        )
        for change in changes[:_CHOICES]
    ]
    yield from _table(("metric", "baseline", "now", "difference", ""), body)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Columns under each other; the first one to the left, figures to the right."""
    lines = [tuple(header), *map(tuple, rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    for line in lines:
        cells = [
            line[0].ljust(widths[0]),
            *(text.rjust(width) for text, width in zip(line[1:], widths[1:], strict=True)),
        ]
        yield "  " + "  ".join(cells).rstrip()

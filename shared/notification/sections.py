"""Parts of which the Markdown texts are made: who and what, metrics, gates, baseline, changed lines, links. Pure.

Everything that is not a word of ours goes through `escaped`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from shared.notification.figures import Change, Choice, DatasetFigures, Metric, against_baseline, best, by_dataset
from shared.notification.markdown import escaped, link, table
from shared.notification.told import Told
from shared.pages.words import difference, kind_word, number, plural, text_of, when
from shared.reporting.changes import ChangedLine, Changes

_DATASETS: Final = 6
_CHOICES: Final = 10
_METRICS: Final = 6
_GATES: Final = 12
_DIFFERENCES: Final = 12
SENTENCE: Final = 600
"""Characters of a reason."""


def about(told: Told) -> str:
    """Use case, commit, requester, time: one line."""
    request = told.chain.request
    parts = [f"{kind_word(request.kind)} of **{escaped(request.use_case)}** in {escaped(request.environment)}"]
    if request.commit:
        parts.append(f"commit {escaped(request.commit[:12])}")
    if request.branch:
        parts.append(f"branch {escaped(request.branch)}")
    if request.build_id:
        parts.append(f"build {escaped(request.build_id)}")
    if request.requester:
        parts.append(f"by {escaped(request.requester)}")
    parts.append(when(told.chain.ended_at or told.chain.updated_at))
    return " · ".join(parts)


def links(told: Told) -> str:
    """To the report and the chain."""
    found = [link("Report", told.report_address)] if told.report_address else []
    return " · ".join([*found, link("Chain", told.chain_address)])


def sentences(texts: Iterable[str], most: int = 10) -> str:
    """A list of sentences."""
    known = list(texts)
    lines = [f"- {escaped(text, SENTENCE)}" for text in known[:most]]
    if len(known) > most:
        lines.append(f"- … and {plural(len(known) - most, 'more', 'more')}")
    return "\n".join(lines)


def stand_in(evidence: Mapping[str, Any]) -> str:
    """A warning where no real model answered."""
    if not any("stand-in" in str(model) for model in evidence["models"]):
        return ""
    return "The stand-in model answered: these figures show that the chain works, not how good the flow is."


def metrics(evidence: Mapping[str, Any], *, few: bool = False) -> Iterable[str]:
    """A table for each dataset. `few`: only the candidate and the default."""
    found = by_dataset(evidence)
    for figures in found[:_DATASETS]:
        yield _metrics(figures, evidence, few=few)
    if len(found) > _DATASETS:
        yield f"… and {plural(len(found) - _DATASETS, 'more dataset')} in the report"


def gates(evidence: Mapping[str, Any]) -> str:
    """The candidate's gates, those that it missed first."""
    known = sorted(evidence["gates"], key=lambda gate: bool(gate["passed"]))
    if not known:
        return "No gate is configured."
    rows = [
        (
            "✓ met" if gate["passed"] else "✕ **missed**",
            escaped(f"{gate['metric']} of {gate['evaluator']}"),
            escaped(gate["dataset"]),
            number(gate["value"]),
            escaped(gate["limit"]),
            number(gate["baseline"]),
        )
        for gate in known[:_GATES]
    ]
    text = table(("Gate", "Metric", "Dataset", "Value", "Must be", "Baseline"), rows, numbers=(3, 5))
    return _more(text, len(known) - _GATES, "gate")


def baseline(told: Told) -> str:
    """The candidate's differences from the registered version, or why there are none."""
    evidence = told.evidence
    if evidence is None:
        return ""
    if "baseline" not in evidence:
        return "This report was made before reports kept the baseline: it names no differences."
    known = evidence["baseline"]
    if known is None:
        if not evidence["candidate"]:
            return "Not compared with a baseline: the gates were not checked."
        return "There is no baseline yet: no version of this flow was registered before."
    lines = [_whose(told, known)]
    changes = against_baseline(evidence)
    if not changes:
        return f"{lines[0]} It has none of these metrics on these datasets, so that nothing can be compared."
    if other := sorted({name for change in changes for name in change.other_data}):
        named = ", ".join(escaped(name) for name in other)
        lines.append(f"It was measured on other content of {named}: part of a difference may come from the data.")
    rows = [_difference(change) for change in changes[:_DIFFERENCES]]
    header = ("Metric", "Dataset", "Baseline", "Now", "Difference", "")
    return "\n\n".join([*lines, _more(table(header, rows, numbers=(2, 3, 4)), len(changes) - _DIFFERENCES, "metric")])


def changed_lines(changes: Changes) -> str:
    """The worst changed lines, or that there are none."""
    if not changes.against:
        return ""
    against = " and ".join(escaped(name) for name in changes.against)
    if not changes.compared:
        return f"No line could be compared with {against}."
    how = f"{changes.worse:,} worse, {changes.better:,} better"
    text = f"{plural(changes.compared, 'line')} compared with {against}: {how}."
    if not changes.worst:
        return text
    header = ("Line", "Input", "Expected", "Before", "Now", "Score")
    return f"{text}\n\n{table(header, map(_changed_line, changes.worst))}"


def registered_metrics(told: Told) -> str:
    """What the registry knows of a version's metrics, for a release without a report of its own."""
    try:
        known = json.loads(told.registered.get("metrics", "{}"))
    except ValueError:
        return ""
    rows = [
        (escaped(name), escaped(dataset), number(value))
        for dataset, values in known.items()
        for name, value in values.items()
    ][: _DIFFERENCES * 2]
    if not rows:
        return ""
    return "As measured when it was registered:\n\n" + table(("Metric", "Dataset", "Value"), rows, numbers=(2,))


def _metrics(figures: DatasetFigures, evidence: Mapping[str, Any], *, few: bool) -> str:
    shown = figures.metrics[:_METRICS]
    choices = [c for c in figures.choices if c.is_candidate or c.is_default] if few else list(figures.choices)
    tops = {metric: best(figures, metric, evidence) for metric in shown}
    header = ("Choice", *(escaped(_metric(metric, figures.metrics)) for metric in shown))
    rows = [
        (_called(choice), *(_value(choice, metric, None if few else tops[metric]) for metric in shown))
        for choice in choices[:_CHOICES]
    ]
    size = "" if figures.rows is None else f" ({plural(figures.rows, 'row')})"
    text = f"**{escaped(figures.dataset)}**{size}\n\n{table(header, rows, numbers=range(1, len(header)))}"
    text = _more(text, len(choices) - _CHOICES, "choice")
    return _more(text, len(figures.metrics) - _METRICS, "metric")


def _metric(metric: Metric, known: Iterable[Metric]) -> str:
    """A metric's name, with its evaluator where several have one of that name."""
    evaluator, name = metric
    alike = sum(other == name for _, other in known) > 1
    return f"{name} of {evaluator}" if alike else name


def _called(choice: Choice) -> str:
    marks = [word for word, said in (("candidate", choice.is_candidate), ("default", choice.is_default)) if said]
    name = escaped(choice.label)
    name = f"**{name}**" if choice.is_candidate else name
    note = f" ({', '.join(marks)})" if marks else ""
    return f"{'◆ ' if choice.is_candidate else ''}{name}{note}{' ✕ a run failed' if choice.failed else ''}"


def _value(choice: Choice, metric: Metric, top: float | None) -> str:
    value = choice.values.get(metric)
    return number(value) + (" ★" if value is not None and value == top else "")


def _difference(change: Change) -> tuple[str, ...]:
    evaluator, name = change.metric
    word = f"**{change.word}**" if change.word == "worse" else change.word
    return (
        escaped(f"{name} of {evaluator}"),
        escaped(change.dataset) + (" (other data)" if change.other_data else ""),
        number(change.baseline),
        number(change.now),
        difference(change.difference),
        word,
    )


def _whose(told: Told, known: Mapping[str, Any]) -> str:
    """Which version the baseline is, and whether it comes from the branch into which is merged."""
    text = f"The baseline is version {escaped(known['version'])} of {escaped(known['name'])}"
    if known["label"]:
        text += f" ({escaped(known['label'])})"
    if known["branch"]:
        text += f", registered from {escaped(known['branch'])}"
    place = told.chain.request.azure_devops
    target = _branch(place.target_branch) if place is not None and place.target_branch else ""
    if target and known["branch"] and _branch(known["branch"]) != target:
        text += f", not from {escaped(target)}, into which this is to be merged"
    return text + "."


def _branch(name: str) -> str:
    return name.removeprefix("refs/heads/")


def _changed_line(line: ChangedLine) -> tuple[str, ...]:
    differing = {
        key: value for key, value in line.now.items() if key not in line.before or repr(line.before[key]) != repr(value)
    } or line.now
    return (
        f"{line.line:,} of {escaped(line.dataset)}",
        _values(line.inputs),
        _values(line.expected),
        _values({key: value for key, value in line.before.items() if key in differing} or line.before),
        escaped(f"failed: {line.error}") if line.score_now is None else _values(differing),
        f"{number(line.score_before)} → {number(line.score_now)}",
    )


def _values(values: Mapping[str, object]) -> str:
    """Values with their names, but for a single one."""
    if len(values) == 1:
        return escaped(next(iter(values.values())))
    return escaped(", ".join(f"{key}: {text_of(value)[:400]}" for key, value in list(values.items())[:8])) or "–"


def _more(text: str, count: int, noun: str) -> str:
    return f"{text}\n\n… and {plural(count, f'more {noun}')} in the report" if count > 0 else text

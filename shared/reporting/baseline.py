"""The baseline in the evidence: what the registered version was worth, and whether it was measured on the same data.

It comes from what the gates' check stored, not from the registry, whose tags change as soon as this chain registers.
"""

from __future__ import annotations

from shared.reporting.facts import Facts


def as_evidence(facts: Facts) -> dict[str, object] | None:
    """The baseline with its metrics; None where the chain's gates met none.

    `other_data` names, for each experiment dataset, the data that it was not measured on: the dataset itself, or one
    with the truth for it.
    """
    baseline = facts.gates.baseline if facts.gates else None
    if baseline is None:
        return None
    now = {dataset.name: dataset.content_hash for dataset in facts.prepared.datasets}
    other = {}
    for dataset in dict.fromkeys(facts.cell.dataset for facts in facts.cells):
        truths = (evaluator.truth_dataset for evaluator in facts.prepared.evaluators_of(dataset))
        used = dict.fromkeys((dataset, *truths))
        if changed := [name for name in used if baseline.datasets.get(name) != now.get(name)]:
            other[dataset] = changed
    return {
        **baseline.model_dump(mode="json", exclude={"datasets"}),
        "other_data": other,
    }

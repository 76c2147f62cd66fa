"""From a valid use case to what a chain runs: the run matrix with digests, the frozen datasets, the evaluations.

The chain's preparation and the command line's `plan` both come through here, so that a plan is what is run. Files are
read (to name their contents), nothing is written: the caller stores the files of `freeze`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from shared.datasets.facts import DatasetFacts
from shared.datasets.mapping import reference
from shared.digests import json_digest
from shared.errors import BusinessFailure
from shared.experimentation.choices import Choice, choices
from shared.experimentation.frozen import FrozenDatasets, Upload
from shared.experimentation.inputs import mapped
from shared.experimentation.matrix import Cell, PreparedChain, PreparedDataset, PreparedEvaluator
from shared.experimentation.surroundings import Surroundings
from shared.use_case.content import FlowContent
from shared.use_case.flow_facts import flow_facts
from shared.use_case.model import Dataset, Evaluator, Reuse, UseCase
from shared.use_case.problems import one_of

LOG: Final = "log"
"""The label of the one cell of a production log, whose flow has run already."""
MOST_CELLS: Final = 99_999
"""A cell's name has five digits."""


@dataclass(frozen=True)
class Preparation:
    """What a chain runs, and the files that must be stored for it."""

    chain: PreparedChain
    freeze: Mapping[str, Path] = field(default_factory=dict)
    """Blob in the container `bundles` → the file with its content."""
    local: Mapping[str, Path] = field(default_factory=dict)
    """Dataset → the file that its rows can be read from now."""
    notes: tuple[str, ...] = ()
    """Sentences for the chain's log: duplicate rows, evaluators that are left out."""


def build_cells(
    chosen: Sequence[Choice],
    datasets: Sequence[PreparedDataset],
    configuration_of: Callable[[Choice, int], str],
    repeat: int = 1,
) -> tuple[Cell, ...]:
    """Every choice on every dataset, so often as it is repeated, dataset by dataset. Pure.

    `configuration_of` gives the digest of a choice's configuration and repetition.

    Raises:
        BusinessFailure: there are too many cells.
    """
    count = len(chosen) * len(datasets) * repeat
    if count > MOST_CELLS:
        raise BusinessFailure(f"{count:,} runs are too many: at most {MOST_CELLS:,}. Select fewer.")
    configured = [
        (choice, repetition, configuration_of(choice, repetition)) for choice in chosen for repetition in range(repeat)
    ]
    planned = [(dataset, *one) for dataset in datasets for one in configured]
    return tuple(_cell(index, *one) for index, one in enumerate(planned))


def _cell(index: int, dataset: PreparedDataset, choice: Choice, repetition: int, configured: str) -> Cell:
    what_it_is = {
        "configuration": configured,
        "data": dataset.content_hash,
        "rows": dataset.rows,
        "mappings": mapped(dataset.mappings, choice.parameters),
    }
    return Cell(
        index=index,
        dataset=dataset.name,
        label=choice.label,
        is_default=choice.is_default,
        variants=choice.variants,
        parameters=choice.parameters,
        digest=json_digest(what_it_is),
        configuration=configured,
        repetition=repetition,
    )


def prepare(
    use_case: UseCase,
    bundle: str,
    surroundings: Surroundings,
    *,
    selection: str = "*",
    upload: Upload | None = None,
    fresh: bool = False,
) -> Preparation:
    """Freeze what a chain of kind pr, ci or dataset runs.

    Args:
        use_case: valid, from the unpacked bundle.
        bundle: the bundle's digest.
        surroundings: what the installation adds.
        selection: `*`, `defaults`, or a list of labels (see `choices`).
        upload: for kind dataset: takes the place of the use case's dataset of that name, and only the experiment
            datasets that it touches are run.
        fresh: whether everything is run, whatever the use case says about reuse.

    Raises:
        BusinessFailure: the selection or the upload names nothing that the use case has, the upload lacks columns, or
            there is no such data asset.
        Malformed: the upload cannot be read: names the line.
    """
    whole = use_case  # what is left out is still no content of a flow: a dataset that is not run stays a dataset
    if upload is not None:
        use_case = _narrowed(use_case, upload.name)
    data = FrozenDatasets(upload, surroundings.fetch)
    experiment = tuple(data.add(dataset, dataset.mappings) for dataset in use_case.datasets)
    evaluators = [(e, d) for e in use_case.evaluators for d in e.datasets]
    for _, dataset in evaluators:
        data.add(dataset, {})
        data.check_columns(dataset.name, dataset.mappings)
        data.check_rows(dataset.name, dataset.reference or dataset.name)
    content = _content(whole, use_case)
    judging = {e.name: _content(whole, e) for e in use_case.evaluators}

    def configuration_of(choice: Choice, repetition: int) -> str:
        return surroundings.configured(content, choice.variants, choice.parameters, repetition)

    chosen = choices(content.facts, use_case.parameters, selection, use_case.strategy, use_case.choices)
    chain = PreparedChain(
        use_case=use_case.name,
        environment=use_case.environment,
        bundle=bundle,
        flow_digest=content.whole,
        datasets=tuple(data.prepared.values()),
        cells=build_cells(chosen, experiment, configuration_of, use_case.repeat),
        evaluators=tuple(
            _prepared(judging[e.name], surroundings, e, d, d.reference or d.name, d.name) for e, d in evaluators
        ),
        models=surroundings.models([content, *judging.values()], use_case.parameters),
        reuse=Reuse.NONE if fresh else use_case.reuse,
    )
    return Preparation(chain=chain, freeze=data.freeze, local=data.local, notes=tuple(data.notes))


def prepare_log(
    use_case: UseCase, bundle: str, surroundings: Surroundings, log: Upload, *, fresh: bool = False
) -> Preparation:
    """Freeze what a chain of kind post_production evaluates: a log whose columns are the flow's inputs and outputs.

    An evaluator reads `${data.…}`, `${run.inputs.…}` and `${run.outputs.…}` from the log's columns; one whose columns
    are not there (ground truth, as a rule) is left out, and a note says so.

    Raises:
        BusinessFailure: no evaluator can read the log; says which columns each one misses.
        Malformed: the log cannot be read: names the line.
    """
    data = FrozenDatasets(log)
    data.add(Dataset(log.name, log.path.name, log.path, "production log", {}), {})
    facts = data.facts[log.name]
    content = _content(use_case, use_case)
    judging = {e.name: _content(use_case, e) for e in use_case.evaluators}
    evaluators: list[PreparedEvaluator] = []
    missed: list[str] = []
    for evaluator in use_case.evaluators:
        fitting, missing = _for_log(evaluator, log.name, facts)
        if fitting is not None:
            evaluators.append(_prepared(judging[evaluator.name], surroundings, evaluator, fitting, log.name, log.name))
        else:
            missed.append(f"The evaluator {evaluator.name} is left out: {log.name} has no {', '.join(missing)}.")
    if not evaluators:
        there = ", ".join(facts.columns[:30])
        raise BusinessFailure(
            f"No evaluator can read the log {log.path.name} (columns: {there}). {' '.join(missed)}".strip()
        )
    cell = Cell(
        index=0,
        dataset=log.name,
        label=LOG,
        is_default=True,
        variants={},
        parameters={},
        digest=json_digest({"log": facts.content_hash}),
    )
    chain = PreparedChain(
        use_case=use_case.name,
        environment=use_case.environment,
        bundle=bundle,
        flow_digest=content.whole,
        datasets=(data.prepared[log.name],),
        cells=(cell,),
        evaluators=tuple(evaluators),
        models=surroundings.models([content, *judging.values()], use_case.parameters),
        reuse=Reuse.NONE if fresh else use_case.reuse,
    )
    return Preparation(chain=chain, local=data.local, notes=(*data.notes, *missed))


def _for_log(evaluator: Evaluator, log: str, facts: DatasetFacts) -> tuple[Dataset | None, list[str]]:
    """The dataset block whose mappings suit the log (its own block if it has one), else the columns that it misses."""
    own = [d for d in evaluator.datasets if log in (d.name, d.reference)]
    missing: list[str] = []
    for dataset in own or evaluator.datasets:
        found = [reference(mapping) for mapping in dataset.mappings.values()]
        missing = [r.name for r in found if r and (r.name not in facts.columns or facts.gap(r.name, facts.rows))]
        if not missing:
            return dataset, []
    return None, missing


def _narrowed(use_case: UseCase, name: str) -> UseCase:
    """The use case with only the experiment datasets that the dataset `name` touches."""
    touched = {d.name for d in use_case.datasets if d.name == name}
    touched |= {d.reference for e in use_case.evaluators for d in e.datasets if d.name == name and d.reference}
    if not touched:
        known = {d.name for d in use_case.datasets} | {d.name for e in use_case.evaluators for d in e.datasets}
        raise BusinessFailure(
            f"The uploaded dataset cannot be used: {one_of(name, known, f'dataset of {use_case.name}')}."
        )
    evaluators = tuple(
        replace(e, datasets=tuple(d for d in e.datasets if (d.reference or d.name) in touched))
        for e in use_case.evaluators
    )
    datasets = tuple(d for d in use_case.datasets if d.name in touched)
    return replace(use_case, datasets=datasets, evaluators=tuple(e for e in evaluators if e.datasets))


def _prepared(
    content: FlowContent,
    surroundings: Surroundings,
    evaluator: Evaluator,
    dataset: Dataset,
    experiment: str,
    truth: str,
) -> PreparedEvaluator:
    return PreparedEvaluator(
        evaluator=evaluator.name,
        experiment_dataset=experiment,
        truth_dataset=truth,
        mappings=dataset.mappings,
        flow_digest=content.whole,
        configuration=surroundings.configured(content, {}, {}),
    )


def _content(use_case: UseCase, flow: UseCase | Evaluator) -> FlowContent:
    return FlowContent(use_case, flow.flow, flow.flow_file, flow_facts(flow.flow, flow.flow_file))

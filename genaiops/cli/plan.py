"""What `plan` shows: the run matrix of a chain of any kind, counted by the very code that freezes it for the chain.

Lines that the chain would reuse are looked for where this installation keeps its results; without one nothing is found.
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from genaiops.cli.checking import refuse_what_is_unset, registered_assets
from genaiops.cli.outcome import Refused, WrongUsage
from shared.chain.messages import ChainKind
from shared.chain.plans import DEPLOYING, PLANS
from shared.chain.state import Step
from shared.use_case.model import Budget

if TYPE_CHECKING:
    from shared.experimentation.frozen import Upload
    from shared.experimentation.plan import Plan, PlannedRun
    from shared.experimentation.surroundings import Surroundings
    from shared.ports import Ports
    from shared.settings import Settings
    from shared.use_case.model import UseCase


@dataclass(frozen=True)
class Asked:
    """Which chain is meant."""

    kind: ChainKind
    environment: str
    variants: str = "*"
    dataset: str | None = None
    """For kind dataset and post_production: the dataset that would be uploaded."""
    file: Path | None = None
    """What would be uploaded; for kind dataset by default the use case's own file of that dataset."""
    fresh: bool = False
    """Whether everything would be run, whatever earlier chains have run already."""


@dataclass(frozen=True)
class Planned:
    """What a chain would do if all goes well."""

    use_case: str
    steps: tuple[str, ...]
    plan: Plan | None
    """None for a kind that runs nothing."""
    budget: Budget = field(default_factory=Budget)

    @property
    def over_budget(self) -> tuple[str, ...]:
        """What is beyond the budget, each with count and limit; empty: nothing."""
        from shared.experimentation.budget import exceeded

        return exceeded(self.budget, self.plan) if self.plan else ()

    def counts(self) -> dict[str, int]:
        """Of runs, evaluations, lines, model calls and tokens."""
        plan = self.plan
        return {
            "runs": len(plan.runs) if plan else 0,
            "evaluations": plan.evaluations if plan else 0,
            "lines": plan.lines if plan else 0,
            "evaluation_lines": plan.evaluation_lines if plan else 0,
            "reused": plan.reused if plan else 0,
            "model_calls": plan.model_calls if plan else 0,
            "tokens": plan.tokens if plan else 0,
        }

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "use_case": self.use_case,
            "steps": self.steps,
            "counts": self.counts(),
            "calls_assumed": self.plan is not None and self.plan.calls_assumed,
            "budget": {**asdict(self.budget), "within": not self.over_budget, "over": self.over_budget},
            "runs": [_run(run) for run in (self.plan.runs if self.plan else ())],
        }


def _run(run: PlannedRun) -> dict[str, Any]:
    return {
        "name": run.cell.name,
        "dataset": run.cell.dataset,
        "label": run.cell.label,
        "repetition": run.cell.repetition,
        "variants": dict(run.cell.variants),
        "parameters": dict(run.cell.parameters),
        "lines": run.lines,
        "reused": run.reused,
        "model_calls": run.model_calls,
        "tokens": run.tokens,
        "evaluations": [asdict(evaluation) for evaluation in run.evaluations],
    }


def planned(folder: Path, asked: Asked, settings: Settings, ports: Ports | None = None) -> Planned:
    """Count what a chain of the use case in `folder` would run.

    Args:
        folder: the use case.
        asked: the chain.
        settings: of this installation.
        ports: where results of earlier chains and data assets lie; None: nowhere, so that nothing is reused.

    Raises:
        InvalidUseCase, BusinessFailure, Malformed: the use case, the selection or the file is not valid.
        Refused: this environment lacks a variable of the use case.
        WrongUsage: the kind needs a dataset or a file that was not given.
    """
    from shared.use_case.load import load

    with registered_assets(ports) as assets:
        use_case = load(folder, asked.environment, data=settings.data, assets=assets)
    if asked.kind is not ChainKind.CD:
        refuse_what_is_unset(use_case, settings)
    with tempfile.TemporaryDirectory(prefix="genaiops-") as scratch:
        plan = _plan(use_case, asked, settings, ports, Path(scratch))
    return Planned(use_case.name, _steps(use_case, asked.kind), plan, use_case.budget)


def refuse_what_cannot_be_prepared(folder: Path, asked: Asked, ports: Ports) -> None:
    """Refuse a chain that its own preparation would refuse; `asked.dataset` is an upload's blob.

    Raises:
        Refused: with every count that is beyond the budget.
        BusinessFailure: the selection names no variant.
    """
    from shared.experimentation.budget import refusal

    if asked.kind is ChainKind.CD:
        return
    use_case = refuse_what_names_nothing(folder, asked, ports.settings)
    if use_case.budget == Budget():
        return
    with tempfile.TemporaryDirectory(prefix="genaiops-") as scratch:
        over = planned(folder, _fetched(asked, ports, Path(scratch)), ports.settings, ports).over_budget
    if over:
        raise Refused(refusal(over))


def refuse_what_names_nothing(folder: Path, asked: Asked, settings: Settings) -> UseCase:
    """Refuse a selection that names no variant, by the folder's files alone; returns the use case as it was read.

    Raises:
        BusinessFailure: the selection names no variant.
    """
    from shared.experimentation.choices import choices
    from shared.use_case.flow_facts import flow_facts
    from shared.use_case.load import load

    use_case = load(folder, asked.environment, data=settings.data)
    if asked.kind is not ChainKind.POST_PRODUCTION:  # which runs no flow
        facts = flow_facts(use_case.flow, use_case.flow_file)
        choices(facts, use_case.parameters, asked.variants, use_case.strategy, use_case.choices)
    return use_case


def _fetched(asked: Asked, ports: Ports, scratch: Path) -> Asked:
    """The same, with a copy of the upload to read."""
    if asked.dataset is None:
        return asked
    from shared.datasets.uploads import DATASETS, LOGS, parsed

    container = LOGS if asked.kind is ChainKind.POST_PRODUCTION else DATASETS
    path = scratch / PurePosixPath(asked.dataset).name
    with ports.blobs.open(container, asked.dataset) as source, path.open("wb") as copy:
        shutil.copyfileobj(source, copy)
    return replace(asked, dataset=parsed(asked.dataset)[1], file=path)


def _plan(use_case: UseCase, asked: Asked, settings: Settings, ports: Ports | None, scratch: Path) -> Plan | None:
    from shared.experimentation.assembly import prepare, prepare_log
    from shared.experimentation.plan import NO_BUNDLE, counted, plan

    around = _surroundings(use_case, settings, ports, scratch)
    blobs = ports.blobs if ports else None
    match asked.kind:
        case ChainKind.PR | ChainKind.CI:
            return plan(use_case, asked.variants, around, blobs, fresh=asked.fresh)
        case ChainKind.CD:
            return None
        case ChainKind.DATASET:
            upload = _upload(use_case, asked)
            preparation = prepare(
                use_case, NO_BUNDLE, around, selection=asked.variants, upload=upload, fresh=asked.fresh
            )
        case ChainKind.POST_PRODUCTION:
            preparation = prepare_log(use_case, NO_BUNDLE, around, _upload(use_case, asked), fresh=asked.fresh)
    return counted(preparation, use_case, blobs)


def _surroundings(use_case: UseCase, settings: Settings, ports: Ports | None, scratch: Path) -> Surroundings:
    from shared import model_connections
    from shared.experimentation import prepare
    from shared.experimentation.surroundings import Surroundings

    if ports is not None:
        return prepare.surroundings(ports, use_case, scratch)
    return Surroundings(
        connections=model_connections.planned(settings, use_case.connections),
        variables=model_connections.variables_of(settings, use_case),
    )


def _upload(use_case: UseCase, asked: Asked) -> Upload:
    from shared.experimentation.frozen import Upload

    if asked.dataset is None:
        raise WrongUsage(f"A {asked.kind} chain speaks of one dataset: name it with --dataset.")
    own = {d.name: d.path for d in (*use_case.datasets, *(d for e in use_case.evaluators for d in e.datasets))}
    file = asked.file or own.get(asked.dataset)
    if file is None:
        raise WrongUsage(f"{use_case.name} has no file for {asked.dataset!r}: give one with --file.")
    return Upload(asked.dataset, file, "datasets", f"{use_case.name}/{asked.dataset}/{file.name}")


def _steps(use_case: UseCase, kind: ChainKind) -> tuple[str, ...]:
    """The plan's steps if all goes well: without those that answer a failure, a cancellation or a regression."""
    deploys = kind is ChainKind.CD or (use_case.deployment is not None and use_case.deployment.after_ci)
    left_out = {Step.CANCELLATION, Step.ROLLBACK, Step.ALERT} | (set() if deploys else set(DEPLOYING))
    return tuple(step.replace("_", " ") for step in PLANS[kind] if step not in left_out)

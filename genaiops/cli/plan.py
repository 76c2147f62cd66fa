"""What `plan` shows: the run matrix of a chain of any kind, counted by the very code that freezes it for the chain."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.cli.outcome import WrongUsage
from shared.chain.messages import ChainKind
from shared.chain.plans import DEPLOYING, PLANS
from shared.chain.state import Step

if TYPE_CHECKING:
    from shared.experimentation.frozen import Upload
    from shared.experimentation.plan import Plan
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


@dataclass(frozen=True)
class Planned:
    """What a chain would do if all goes well."""

    use_case: str
    steps: tuple[str, ...]
    plan: Plan | None
    """None for a kind that runs nothing."""

    def counts(self) -> dict[str, int]:
        """Of runs, evaluations, lines and model calls."""
        plan = self.plan
        return {
            "runs": len(plan.runs) if plan else 0,
            "evaluations": plan.evaluations if plan else 0,
            "lines": plan.lines if plan else 0,
            "evaluation_lines": plan.evaluation_lines if plan else 0,
            "model_calls": plan.model_calls if plan else 0,
        }

    def as_json(self) -> dict[str, Any]:
        """For scripts."""
        runs = [
            {
                "name": run.cell.name,
                "dataset": run.cell.dataset,
                "label": run.cell.label,
                "variants": dict(run.cell.variants),
                "parameters": dict(run.cell.parameters),
                "lines": run.lines,
                "model_calls": run.model_calls,
                "evaluations": [
                    {"evaluator": e.evaluator, "lines": e.lines, "model_calls": e.model_calls} for e in run.evaluations
                ],
            }
            for run in (self.plan.runs if self.plan else ())
        ]
        return {"use_case": self.use_case, "steps": self.steps, "counts": self.counts(), "runs": runs}


def planned(folder: Path, asked: Asked, settings: Settings) -> Planned:
    """Count what a chain of the use case in `folder` would run.

    Raises:
        InvalidUseCase, BusinessFailure, Malformed: the use case, the selection or the file is not valid.
        WrongUsage: the kind needs a dataset or a file that was not given.
    """
    from shared.use_case.load import load

    use_case = load(folder, asked.environment, data=settings.data)
    return Planned(use_case.name, _steps(use_case, asked.kind), _plan(use_case, asked))


def _plan(use_case: UseCase, asked: Asked) -> Plan | None:
    from shared.experimentation.assembly import prepare, prepare_log
    from shared.experimentation.plan import NO_BUNDLE, counted, plan

    match asked.kind:
        case ChainKind.PR | ChainKind.CI:
            return plan(use_case, asked.variants)
        case ChainKind.CD:
            return None
        case ChainKind.DATASET:
            upload = _upload(use_case, asked)
            return counted(prepare(use_case, NO_BUNDLE, (), selection=asked.variants, upload=upload).chain, use_case)
        case ChainKind.POST_PRODUCTION:
            return counted(prepare_log(use_case, NO_BUNDLE, (), _upload(use_case, asked)).chain, use_case)


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

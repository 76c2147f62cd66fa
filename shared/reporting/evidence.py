"""The evidence: one canonical JSON document of everything that the verdict rests on, whose digest an approver approves.

The same results always give the same bytes: keys are sorted, and no latency, attempt count or time of its making is in
it; the times of runs from which lines were reused are part of the results.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from shared.reporting import baseline
from shared.reporting.facts import CellFacts, Facts
from shared.reporting.reuse import ReuseReport
from shared.reporting.scores import Table
from shared.reporting.verdict import Reading
from shared.results import RunRecord

BLOB = "evidence.json"


def document(
    facts: Facts, verdict: Reading, outputs: Mapping[str, str], reuse: ReuseReport, tables: Sequence[Table]
) -> dict[str, object]:
    """The evidence as a value. `outputs`: cell name → digest of its lines' outputs and scores."""
    chain, prepared = facts.chain, facts.prepared
    return {
        "version": 1,
        "chain": chain.id,
        "kind": chain.request.kind.value,
        "use_case": prepared.use_case,
        "environment": prepared.environment,
        "commit": chain.request.commit,
        "code": {"bundle": prepared.bundle, "flow": prepared.flow_digest},
        "settings": digest(canonical(prepared.model_dump(mode="json", exclude={"models"}))),
        "data": [
            {"name": d.name, "content": d.content_hash, "rows": d.rows, "source": d.source} for d in prepared.datasets
        ],
        "models": list(facts.models),
        "reuse": reuse.as_evidence(facts),
        "repetitions": facts.repetitions,
        "metrics": [_metrics(table) for table in tables] if facts.repetitions > 1 else [],
        "cells": [_cell(c, outputs.get(c.cell.name)) for c in facts.cells],
        "candidate": facts.candidate,
        "gates": [
            gate.model_dump(
                mode="json",
                include={
                    "evaluator",
                    "metric",
                    "dataset",
                    "value",
                    "limit",
                    "lower_is_better",
                    "baseline",
                    "passed",
                    "spread",
                },
            )
            for gate in facts.candidate_gates
        ],
        "regressions": list(facts.gates.regressions) if facts.gates else [],
        "baseline": baseline.as_evidence(facts),
        "verdict": {"tone": verdict.tone, "headline": verdict.headline, "reasons": list(verdict.reasons)},
    }


def canonical(value: object) -> bytes:
    """JSON with sorted keys and no spaces, in ASCII: equal values are equal bytes."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def _cell(facts: CellFacts, outputs: str | None) -> dict[str, object]:
    return {
        "name": facts.cell.name,
        "label": facts.cell.label,
        "is_default": facts.cell.is_default,
        "repetition": facts.cell.repetition,
        "dataset": facts.cell.dataset,
        "digest": facts.cell.digest,
        "run": _run(facts.run),
        "outputs": outputs,
        "evaluations": {name: _run(run) for name, run in facts.evaluations.items()},
    }


def _run(run: RunRecord | None) -> dict[str, object] | None:
    if run is None:
        return None
    return {
        "succeeded": run.succeeded,
        "lines": run.lines,
        "failed_lines": run.failed_lines,
        "metrics": dict(run.metrics),
        "engine": run.engine,
        "model_calls": run.model_calls,
        "reused_lines": run.reused_lines,
        "origins": [origin.model_dump(mode="json") for origin in run.origins],
    }


def _metrics(table: Table) -> dict[str, object]:
    """Of repeated runs, what each metric is and how far its repetitions lie apart."""
    return {
        "dataset": table.dataset,
        "evaluator": table.evaluator,
        "choices": {
            row.label: {
                metric: score.spread.model_dump(mode="json")
                for metric, score in zip(table.metrics, row.scores, strict=True)
                if score.spread is not None
            }
            for row in table.rows
        },
    }

"""Sample chains with results, laid out as a chain leaves them: for tests of everything that reads results."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from shared import chain_store, results
from shared.assets import AssetRef
from shared.chain.messages import Candidate, ChainKind, ChainRequest, Verdict
from shared.chain.state import (
    ApprovalState,
    Chain,
    ChainStatus,
    DeploymentRecord,
    LogEntry,
    Progress,
    Step,
    StepState,
    StepStatus,
)
from shared.evaluation.gates_model import GateResult, GatesDocument, write_gates
from shared.experimentation.matrix import Cell, PreparedChain, PreparedDataset, PreparedEvaluator
from shared.names import chain_id
from shared.ports import BlobStore
from shared.results import Latency, LineRecord, LineStatus, RunRecord, Tokens

NOW = datetime(2026, 11, 23, 9, 30, tzinfo=UTC)
STAND_IN = "aoai: stand-in model (rules, not an LLM)"
HOSTILE = (
    "<img src=x onerror=\"window.hacked='img'\">",
    "</script><script>window.hacked='script'</script>",
    "</style><svg onload=\"window.hacked='svg'\">",
    '"><iframe srcdoc="<script>parent.hacked=1</script>"></iframe>',
    "=cmd|'/c calc'!A0",
    "\u202edetcejer\u202c {{ 7 * 7 }} {% raw %}",
    "javascript:alert(1)",
    "A" * 60_000,
)
TICKETS = (
    ("Meine Rechnung stimmt nicht, bitte prüfen Sie den Betrag.", "billing"),
    ("The app crashes when I open the settings page.", "technical"),
    ("¿Cómo puedo cambiar la dirección de envío?", "delivery"),
    ("パスワードを忘れました。", "account"),
    ("I want my money back. Now.", "billing"),
    ("Where is my parcel? It should have come on Monday.", "delivery"),
    ("", "other"),
    ("لا أستطيع تسجيل الدخول إلى حسابي", "account"),
)
LABELS: Mapping[str, tuple[float, Mapping[str, str], Mapping[str, object]]] = {
    "default": (0.74, {"classify": "detailed", "reply": "friendly"}, {"classify.temperature": 0.0}),
    "classify.terse": (0.66, {"classify": "terse", "reply": "friendly"}, {"classify.temperature": 0.0}),
    "classify.examples": (0.88, {"classify": "examples", "reply": "friendly"}, {"classify.temperature": 0.0}),
    "reply.formal": (0.74, {"classify": "detailed", "reply": "formal"}, {"classify.temperature": 0.0}),
    "classify.temperature=0.7": (0.7, {"classify": "detailed", "reply": "friendly"}, {"classify.temperature": 0.7}),
}
"""Label → (share of lines that it gets right, variants, parameters)."""
SPREAD = 0.02
"""By how much each repetition is better than the one before."""


def sha(text: str) -> str:
    """A digest for a fixture."""
    return hashlib.sha256(text.encode()).hexdigest()


def sample_chain(
    kind: ChainKind = ChainKind.CI,
    status: ChainStatus = ChainStatus.RUNNING,
    *,
    request_id: str = "build-20261123.4",
    use_case: str = "ticket_triage",
    **fields: object,
) -> Chain:
    """A ci chain in the middle of its report, unless told otherwise."""
    id_ = chain_id(use_case, kind.value, request_id)
    at = NOW - timedelta(minutes=4)
    chain = Chain(
        id=id_,
        request=ChainRequest(
            request_id=request_id,
            kind=kind,
            use_case=use_case,
            commit="3f2a9c417d0e",
            branch="main",
            build_id="20261123.4",
            requester="Priya Natarajan",
        ),
        status=status,
        steps=(
            _step(Step.PREPARATION, at, 2, "10 runs planned"),
            _step(Step.DATA_REGISTRATION, at, 4, "2 datasets, 1 new"),
            _step(Step.EXPERIMENTATION, at, 31, "10 runs, 0 failed"),
            _step(Step.EVALUATION, at, 42, "20 evaluations, 0 failed"),
            _step(Step.GATES, at, 43, "3 of 3 gates met"),
            StepState(step=Step.REPORT, status=StepStatus.RUNNING, started_at=at + timedelta(seconds=43)),
            StepState(step=Step.FLOW_REGISTRATION),
            StepState(step=Step.APPROVAL),
            StepState(step=Step.DEPLOYMENT),
        ),
        current=5,
        created_at=at,
        updated_at=NOW,
        bundle=sha("bundle"),
        has_gates=True,
        deploys=True,
        progress=Progress(
            cells=10,
            next_cell=10,
            cells_in_flight=8,
            runs_completed=10,
            evaluations_started=20,
            evaluations_completed=20,
        ),
        data=(AssetRef(name="tickets_mixed", version="3"),),
        candidate=Candidate(label="classify.examples", cell=2),
    )
    return chain.model_copy(update=fields)


def awaiting_approval(
    chain: Chain,
    evidence: str,
    *,
    approvers: Sequence[str] = ("maria@example.org", "jonas@example.org"),
    at: datetime = NOW,
    minutes: float = 60,
    required: int = 1,
    groups: Mapping[str, str] | None = None,
) -> Chain:
    """The chain as it waits for an answer about `evidence`."""
    return chain.model_copy(
        update={
            "status": ChainStatus.AWAITING_APPROVAL,
            "current": 7,
            "steps": tuple(
                s.model_copy(update={"status": StepStatus.DONE, "started_at": at, "ended_at": at}) if i < 7
                else s.model_copy(update={"status": StepStatus.RUNNING, "started_at": at}) if i == 7
                else s
                for i, s in enumerate(chain.steps)
            ),
            "evidence": evidence,
            "report": f"{chain.id}/report.html",
            "flow": AssetRef(name=chain.request.use_case, version="4"),
            "approval": ApprovalState(
                evidence=evidence,
                approvers=tuple(approvers),
                required=required,
                groups=dict(groups or {}),
                requested_at=at,
                deadline=at + timedelta(minutes=minutes),
            ),
        }
    )  # fmt: skip


def decided(chain: Chain, verdict: Verdict, by: str, comment: str = "", at: datetime = NOW) -> Chain:
    """The chain after its approval was decided."""
    assert chain.approval is not None
    approved = verdict is Verdict.APPROVED
    return chain.model_copy(
        update={
            "status": ChainStatus.RUNNING if approved else ChainStatus.REJECTED,
            "approval": chain.approval.model_copy(
                update={"verdict": verdict, "decided_by": by, "decided_at": at, "comment": comment}
            ),
        }
    )


def deployed(chain: Chain) -> Chain:
    """The chain at its end: approved, deployed behind an endpoint with a former deployment."""
    return decided(chain, Verdict.APPROVED, "maria@example.org", "Examples help. Go.").model_copy(
        update={
            "status": ChainStatus.SUCCEEDED,
            "current": len(chain.steps),
            "ended_at": NOW + timedelta(minutes=3),
            "steps": tuple(
                s.model_copy(
                    update={"status": StepStatus.DONE, "started_at": NOW, "ended_at": NOW + timedelta(seconds=9)}
                )
                for s in chain.steps
            ),
            "deployment": DeploymentRecord(
                endpoint="ticket-triage",
                deployment="d-91ac22be",
                created=True,
                traffic_before={"d-0f31aa07": 100},
                traffic={"d-0f31aa07": 90, "d-91ac22be": 10},
            ),
        }
    )


def sample_prepared(
    chain: Chain, datasets: Sequence[str] = ("tickets_mixed", "tickets_hard"), rows: int = 8, repeat: int = 1
) -> PreparedChain:
    """Five choices on each dataset, with two evaluators, each run so often as it is repeated."""
    cells: list[Cell] = []
    for dataset in datasets:
        for label, (_, variants, parameters) in LABELS.items():
            cells += [
                Cell(
                    index=len(cells) + repetition,
                    dataset=dataset,
                    label=label,
                    is_default=label == "default",
                    variants=variants,
                    parameters=parameters,
                    digest=sha(f"{dataset} {label}" + (f" {repetition}" if repetition else "")),
                    repetition=repetition,
                )
                for repetition in range(repeat)
            ]
    return PreparedChain(
        use_case=chain.request.use_case,
        environment="dev",
        bundle=sha("bundle"),
        flow_digest=sha("flow"),
        datasets=tuple(
            PreparedDataset(
                name=name, container="bundles", blob=f"datasets/{sha(name)}", content_hash=sha(name), rows=rows,
                source=f"{name}.jsonl",
            )
            for name in datasets
        ),
        cells=tuple(cells),
        evaluators=tuple(
            PreparedEvaluator(
                evaluator=evaluator,
                experiment_dataset=dataset,
                truth_dataset=dataset,
                mappings={"category": "${run.outputs.category}", "truth": "${data.truth}", "ticket": "${data.ticket}"},
                flow_digest=sha(evaluator),
            )
            for evaluator in ("classification", "reply_quality")
            for dataset in datasets
        ),
        models=(STAND_IN,),
    )  # fmt: skip


def write_results(
    blobs: BlobStore,
    chain: Chain,
    prepared: PreparedChain | None = None,
    *,
    outputs: Sequence[str] = (),
    failing_line: int | None = 6,
) -> PreparedChain:
    """Store the matrix, every run, every evaluation, the gates and a log. `outputs` are replies used in turn."""
    prepared = prepared or sample_prepared(chain)
    chain_store.freeze_prepared(blobs, chain.id, prepared)
    for cell in prepared.cells:
        _write_cell(blobs, chain, prepared, cell, outputs=outputs, failing=failing_line)
    write_gates(blobs, chain.id, sample_gates(prepared))
    chain_store.append_log(
        blobs,
        chain.id,
        (
            LogEntry(number=1, at=chain.created_at, level="info", text="Chain started by Priya Natarajan."),
            LogEntry(number=2, at=NOW, level="warning", text="1 line failed on every run, within the tolerated share."),
        ),
    )
    return prepared


def sample_gates(prepared: PreparedChain, *, missed: bool = False) -> GatesDocument:
    """Three gates for every choice; the candidate is the one with examples."""
    candidate = "classify.examples"
    gates = []
    for cell in (cell for cell in prepared.cells if cell.repetition == 0):
        share = LABELS[cell.label][0] if cell.label in LABELS else 0.5
        gates += [
            GateResult(
                evaluator="classification", metric="accuracy", dataset=cell.dataset, label=cell.label, value=share,
                limit="at least 0.95" if missed else "at least 0.8", baseline=0.81,
                passed=share >= (0.95 if missed else 0.8), is_candidate=cell.label == candidate,
            ),
            GateResult(
                evaluator="reply_quality", metric="forbidden_promises", dataset=cell.dataset, label=cell.label, value=0.0,
                limit="at most 0", baseline=None, passed=True, lower_is_better=True, is_candidate=cell.label == candidate,
            ),
        ]  # fmt: skip
    return GatesDocument(
        candidate_label=candidate, choose_by=("classification", "accuracy"), results=tuple(gates), regressions=()
    )


def _write_cell(
    blobs: BlobStore, chain: Chain, prepared: PreparedChain, cell: Cell, *, outputs: Sequence[str], failing: int | None
) -> None:
    share = (LABELS[cell.label][0] if cell.label in LABELS else 0.5) + SPREAD * cell.repetition
    rows = prepared.dataset(cell.dataset).rows
    lines, said = [], []
    for n in range(rows):
        ticket, truth = TICKETS[n % len(TICKETS)]
        reply = outputs[n % len(outputs)] if outputs else f"Thank you for writing to us about your {truth} question."
        right = (n * 37 % 100) / 100 < share
        category = truth if right else "other"
        tokens = Tokens(prompt=180 + 4 * n + (160 if "examples" in cell.label else 0), completion=24 + n % 5)
        if n == failing:
            lines.append(
                LineRecord(
                    line=n, status=LineStatus.FAILED, inputs={"ticket": ticket}, attempts=3, latency_ms=2_400,
                    error="The model answered 429 three times; the last one asked for a pause of 20 s.",
                )
            )  # fmt: skip
            continue
        lines.append(
            LineRecord(
                line=n, status=LineStatus.COMPLETED, inputs={"ticket": ticket}, latency_ms=210.0 + 7 * n, tokens=tokens,
                outputs={"category": category, "urgency": "high" if n % 3 == 0 else "normal", "reply": reply},
            )
        )  # fmt: skip
        said.append(
            LineRecord(
                line=n, status=LineStatus.COMPLETED, outputs={"correct": 1.0 if right else 0.0},
                inputs={"category": category, "truth": truth, "ticket": ticket},
            )
        )  # fmt: skip
    done = len(said)
    run = RunRecord(
        name=f"{chain.id}-{cell.name}", succeeded=True, reason="" if done == rows else "1 line failed, within the tolerated share",
        lines=rows, failed_lines=rows - done, tokens=sum((line.tokens for line in lines), Tokens()), retries=2,
        latency=Latency(p50_ms=230, p95_ms=262 + cell.index * 3, max_ms=2_400), started_at=NOW, ended_at=NOW,
        engine="promptflow 1.18.5", models=(STAND_IN,),
    )  # fmt: skip
    _write(blobs, results.cell_folder(chain.id, cell.name), lines, run)
    for evaluator, metrics in (
        (
            "classification",
            {"accuracy": share, "macro_f1": round(share * 0.96, 4), "f1.billing": round(share * 1.04, 4)},
        ),
        ("reply_quality", {"format": 1.0, "length": 0.97, "forbidden_promises": 0.0}),
    ):
        record = run.model_copy(
            update={
                "name": f"{chain.id}-{cell.name}-{evaluator}", "lines": done, "failed_lines": 0, "metrics": metrics,
                "tokens": Tokens(), "retries": 0, "reason": "", "models": (),
            }
        )  # fmt: skip
        _write(blobs, results.evaluation_folder(chain.id, cell.name, evaluator), said, record)


def _write(blobs: BlobStore, folder: str, lines: Sequence[LineRecord], run: RunRecord) -> None:
    content = b"".join(line.model_dump_json().encode() + b"\n" for line in lines)
    blobs.write(results.CONTAINER, f"{folder}/lines.jsonl", content)
    blobs.write(results.CONTAINER, f"{folder}/run.json", run.model_dump_json().encode())


def _step(step: Step, start: datetime, seconds: float, detail: str) -> StepState:
    return StepState(
        step=step,
        status=StepStatus.DONE,
        started_at=start + timedelta(seconds=max(0.0, seconds - 11)),
        ended_at=start + timedelta(seconds=seconds),
        detail=detail,
    )

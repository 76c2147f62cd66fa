"""The report says what was taken from earlier runs, from when, and what that saved."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from shared import reporting
from shared.chain.messages import ChainKind
from shared.chain.state import Chain
from shared.experimentation.matrix import PreparedChain
from shared.ports import Ports
from shared.reporting.reuse import told
from shared.results import CONTAINER, LineRecord, Origin, RunRecord, cell_folder, evaluation_folder
from shared.use_case.model import Reuse
from tests import samples
from tests.unit.people import memory_ports
from tests.unit.reports import rows

BEFORE = datetime(2026, 11, 20, 14, 3, tzinfo=UTC)
LONG_BEFORE = datetime(2026, 11, 2, 8, 15, tzinfo=UTC)
EARLIER_RUN = "ticket_triage-ci-0badc0ffee00-00003-tickets_mixed-0a1b2c3d"


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


def reusing(ports: Ports, chain: Chain, policy: Reuse = Reuse.LINES) -> PreparedChain:
    prepared = samples.sample_prepared(chain).model_copy(update={"reuse": policy})
    return samples.write_results(ports.blobs, chain, prepared, failing_line=None)


def take(ports: Ports, folder: str, count: int, *, run: str = EARLIER_RUN) -> None:
    """Let the first lines of a run come from an earlier one, each of which made two model calls then."""
    record = RunRecord.model_validate_json(ports.blobs.read(CONTAINER, f"{folder}/run.json"))
    origin = Origin(run=run, ended_at=BEFORE)
    lines = [
        LineRecord.model_validate_json(line)
        for line in ports.blobs.read(CONTAINER, f"{folder}/lines.jsonl").splitlines()
    ]
    changed = [
        line.model_copy(update={"origin": origin, "model_calls": 2}) if line.line < count else line for line in lines
    ]
    content = b"".join(line.model_dump_json().encode() + b"\n" for line in changed)
    ports.blobs.write(CONTAINER, f"{folder}/lines.jsonl", content)
    update = {
        "reused_lines": count,
        "origins": (origin.model_copy(update={"lines": count}),),
        "model_calls": 2 * (record.lines - count),
    }
    ports.blobs.write(CONTAINER, f"{folder}/run.json", record.model_copy(update=update).model_dump_json().encode())


def built(ports: Ports, chain: Chain) -> str:
    return ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()


def evidence(ports: Ports, chain: Chain) -> dict[str, object]:
    document: dict[str, object] = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    return document


def test_lines_of_an_earlier_run_are_told_with_their_run_and_what_they_saved(ports: Ports, chain: Chain) -> None:
    prepared = reusing(ports, chain)
    take(ports, cell_folder(chain.id, prepared.cells[0].name), 6)
    html = built(ports, chain)
    top = html[html.index('id="reuse"') : html.index("Gates</h2>")]
    assert "Reused from earlier runs (the newest of 2026-11-20 14:03): 6 of 80 lines and 0 of 160 evaluation" in top
    assert "4 model calls were made, 12 saved." in top
    assert "tickets_mixed · default: 6 of 8 lines from the run of 2026-11-20 14:03 of chain " in top
    assert "of chain ticket_triage-ci-0badc0ffee00" in top
    lines = rows(ports, chain, "lines.csv")
    assert [line["reused_from"] for line in lines[:8]] == [EARLIER_RUN] * 6 + [""] * 2


def test_reused_evaluations_are_told_too(ports: Ports, chain: Chain) -> None:
    prepared = reusing(ports, chain)
    take(ports, evaluation_folder(chain.id, prepared.cells[0].name, "classification"), 8)
    html = built(ports, chain)
    assert "0 of 80 lines and 8 of 160 evaluation lines" in html
    assert "tickets_mixed · default · classification: all 8 lines from the run of 2026-11-20 14:03" in html


def test_a_chain_in_which_everything_was_reused_says_so(ports: Ports, chain: Chain) -> None:
    prepared = reusing(ports, chain)
    for cell in prepared.cells:
        take(ports, cell_folder(chain.id, cell.name), 8)
        for evaluator in ("classification", "reply_quality"):
            take(ports, evaluation_folder(chain.id, cell.name, evaluator), 8)
    html = built(ports, chain)
    assert "Everything was reused: all lines of 10 runs and 20 evaluations come from earlier ones." in html
    assert "0 model calls were made, 480 saved." in html
    said = evidence(ports, chain)["reuse"]
    assert said == {
        "policy": "lines",
        "fresh": False,
        "lines": 80,
        "lines_reused": 80,
        "evaluation_lines": 160,
        "evaluation_lines_reused": 160,
        "model_calls": 0,
        "model_calls_saved": 480,
    }


def test_where_nothing_was_reused_the_report_says_why(ports: Ports, chain: Chain) -> None:
    reusing(ports, chain)
    assert "since no earlier run had the same inputs under the same configuration." in built(ports, chain)
    as_configured = memory_ports()
    reusing(as_configured, chain, Reuse.NONE)
    assert "all lines were run for this chain, as `reuse: none` asks for." in built(as_configured, chain)
    fresh = chain.model_copy(update={"request": chain.request.model_copy(update={"fresh": True})})
    assert "Nothing was reused: fresh runs were asked for. 0 model calls were made." in built(as_configured, fresh)
    assert evidence(as_configured, fresh)["reuse"]["fresh"] is True  # type: ignore[index]


def test_a_production_log_counts_as_no_reuse(ports: Ports) -> None:
    logged = samples.sample_chain(ChainKind.POST_PRODUCTION)
    reusing(ports, logged)
    html = built(ports, logged)
    assert "The lines come from a production log. Nothing was reused: every evaluation was run for this chain" in html


def test_evidence_names_each_run_that_lines_come_from(ports: Ports, chain: Chain) -> None:
    prepared = reusing(ports, chain)
    take(ports, cell_folder(chain.id, prepared.cells[0].name), 6)
    built(ports, chain)
    first = evidence(ports, chain)["cells"][0]["run"]  # type: ignore[index]
    assert (first["reused_lines"], first["model_calls"]) == (6, 4)
    assert first["origins"] == [{"run": EARLIER_RUN, "ended_at": "2026-11-20T14:03:00Z", "lines": 6}]


def test_a_run_named_by_an_attacker_adds_no_element_to_the_page(ports: Ports, chain: Chain) -> None:
    prepared = reusing(ports, chain)
    take(ports, cell_folder(chain.id, prepared.cells[0].name), 6, run="<script>alert(1)</script>\u202e")
    html = built(ports, chain)
    assert "<script>" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;‹U+202E›" in html


def test_lines_of_many_runs_are_told_by_the_newest_ones() -> None:
    many = tuple(Origin(run=f"old-{n}", ended_at=LONG_BEFORE, lines=1) for n in range(7))
    origins = (Origin(run=EARLIER_RUN, ended_at=BEFORE, lines=30), *many)
    run = RunRecord(
        name="now", succeeded=True, lines=40, failed_lines=0, reused_lines=37, origins=origins,
        started_at=BEFORE, ended_at=BEFORE, engine="promptflow",
    )  # fmt: skip
    assert told(run) == (
        "37 of 40 lines: 30 from the run of 2026-11-20 14:03 of chain ticket_triage-ci-0badc0ffee00; "
        "1 from the run of 2026-11-02 08:15 old-0; 1 from the run of 2026-11-02 08:15 old-1; 5 from 5 older runs"
    )


def test_runs_of_one_chain_that_ended_together_are_told_together() -> None:
    chain = "ticket_triage-ci-0badc0ffee00"
    origins = tuple(
        Origin(run=f"{chain}-0000{n}-tickets_mixed-0a1b2c3d", ended_at=BEFORE, lines=10 * (n + 1)) for n in range(2)
    )
    run = RunRecord(
        name="now", succeeded=True, lines=30, failed_lines=0, reused_lines=30, origins=origins,
        started_at=BEFORE, ended_at=BEFORE, engine="promptflow",
    )  # fmt: skip
    assert told(run) == f"all 30 lines from 2 runs of 2026-11-20 14:03 of chain {chain}"

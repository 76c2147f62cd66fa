"""The report: its verdict, its proof, and what it says of releases and of chains that ended otherwise."""

from __future__ import annotations

import json

import pytest

from shared import chain_store, reporting
from shared.chain.messages import ChainKind
from shared.chain.state import Chain, ChainStatus, Step, StepState, StepStatus
from shared.evaluation.gates_model import GatesDocument, write_gates
from shared.ports import Ports
from shared.results import CONTAINER, cell_folder
from tests import samples
from tests.unit.people import clock_of, memory_ports
from tests.unit.reports import build, rows


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


def test_the_verdict_comes_first_and_names_the_candidate_and_why(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    first = html[html.index("<main") : html.index("Gates</h2>")]
    assert "Good: classify.examples meets all 4 gates" in first
    assert "was chosen by accuracy of classification: 0.88 on average" in first
    assert "+0.14 against the default" in first


def test_a_missed_gate_is_the_verdict_with_value_and_limit(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    write_gates(ports.blobs, chain.id, samples.sample_gates(prepared, missed=True))
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Not good enough: classify.examples misses 2 of 4 gates" in html
    assert "accuracy of classification on tickets_mixed is 0.88; it must be at least 0.95" in html


def test_a_regression_against_the_baseline_is_the_verdict(ports: Ports) -> None:
    chain = samples.sample_chain(ChainKind.DATASET)
    samples.write_results(ports.blobs, chain)
    regression = "accuracy of classification on tickets_mixed fell from 0.91 to 0.88."
    write_gates(ports.blobs, chain.id, GatesDocument(candidate_label="default", regressions=(regression,)))
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Worse than the registered baseline" in html
    assert regression in html


def test_a_run_that_left_nothing_makes_the_report_incomplete_and_is_named(ports: Ports, chain: Chain) -> None:
    prepared = samples.write_results(ports.blobs, chain)
    lost = prepared.cells[3]
    ports.blobs.delete(CONTAINER, f"{cell_folder(chain.id, lost.name)}/run.json")
    ports.blobs.delete(CONTAINER, f"{cell_folder(chain.id, lost.name)}/lines.jsonl")
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    assert "Incomplete: 1 of 10 runs failed" in html
    assert "reply.formal on tickets_mixed: no results" in html


def test_a_release_without_experiments_has_a_report_too(ports: Ports) -> None:
    chain = samples.sample_chain(ChainKind.CD)
    prepared = samples.sample_prepared(chain).model_copy(update={"cells": (), "evaluators": ()})
    chain_store.freeze_prepared(ports.blobs, chain.id, prepared)
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=True).blob).decode()
    assert "Deployment of the latest registered version of ticket_triage" in html
    assert "Nothing was run for this chain." in html


def release_of(ports: Ports, chain: Chain, **fields: object) -> Chain:
    """A release of what `chain` registered, prepared as preparation leaves it: with that chain's report."""
    built = reporting.build(ports, chain, final=False)
    release = samples.deployed(samples.awaiting_approval(samples.sample_chain(ChainKind.CD), built.evidence))
    prepared = samples.sample_prepared(release).model_copy(update={"cells": (), "evaluators": (), "datasets": ()})
    chain_store.freeze_prepared(ports.blobs, release.id, prepared)
    for name in reporting.FILES:
        ports.blobs.write("reports", f"{release.id}/{name}", ports.blobs.read("reports", f"{chain.id}/{name}"))
    return release.model_copy(update=fields)


def test_publishing_a_release_keeps_the_evidence_that_was_approved(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    release = release_of(ports, chain)
    before = ports.blobs.read("reports", f"{release.id}/evidence.json"), rows(ports, release, "lines.csv")
    built = reporting.build(ports, release, final=True)
    assert built.evidence == release.evidence
    assert (ports.blobs.read("reports", f"{release.id}/evidence.json"), rows(ports, release, "lines.csv")) == before
    html = ports.blobs.read("reports", built.blob).decode()
    assert "Deployed: ticket_triage version 4" in html
    assert f"The approved results (chain {chain.id}): Good: classify.examples meets all 4 gates." in html


def test_a_release_that_was_rolled_back_says_so_first(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    reason = "The integration test failed: 2 of 5 calls answered 500."
    release = release_of(ports, chain, outcome=ChainStatus.FAILED, reason=reason)
    html = ports.blobs.read("reports", reporting.build(ports, release, final=True).blob).decode()
    assert "Not deployed: ticket_triage version 4" in html[: html.index("What happened since")]
    assert reason in html[: html.index("What happened since")]


def test_good_results_of_a_chain_that_was_rejected_say_so(ports: Ports, chain: Chain) -> None:
    samples.write_results(ports.blobs, chain)
    rejected = chain.model_copy(update={"outcome": ChainStatus.REJECTED, "reason": "Rejected by maria@example.org."})
    html = ports.blobs.read("reports", reporting.build(ports, rejected, final=True).blob).decode()
    assert "The chain ended as rejected." in html
    assert "Rejected by maria@example.org." in html


def test_the_published_report_tells_no_step_that_comes_after_it(ports: Ports, chain: Chain) -> None:
    publishing = (StepState(step=Step.REPORT_PUBLISHING, status=StepStatus.RUNNING), StepState(step=Step.RESULT))
    ended = samples.deployed(samples.awaiting_approval(chain, samples.sha("evidence")))
    _, html = build(ports, ended.model_copy(update={"steps": ended.steps + publishing}), final=True)
    steps = html[html.index("What happened since") : html.index("What this report speaks of")]
    assert "Deployment" in steps
    assert "Report publishing" not in steps
    assert "Result" not in steps
    assert "To come" not in steps


def test_the_same_results_give_the_same_evidence_whatever_the_clock_says(ports: Ports, chain: Chain) -> None:
    first, page = build(ports, chain)
    clock_of(ports).advance(3_600)
    later = samples.deployed(samples.awaiting_approval(chain, first))
    second, final = build(ports, later, final=True)
    assert second == first
    assert "What happened since" in final
    assert "What happened since" not in page
    assert "d-0f31aa07 90 %, d-91ac22be 10 %" in final


def test_another_output_is_other_evidence(ports: Ports, chain: Chain) -> None:
    first, _ = build(ports, chain)
    second, _ = build(ports, chain, outputs=("Something else.",))
    assert first != second


def test_the_evidence_names_code_data_settings_models_and_the_verdict(ports: Ports, chain: Chain) -> None:
    evidence, html = build(ports, chain)
    document = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    assert document["code"] == {"bundle": samples.sha("bundle"), "flow": samples.sha("flow")}
    assert document["data"][0]["content"] == samples.sha("tickets_mixed")
    assert document["models"] == [samples.STAND_IN]
    assert document["verdict"]["headline"] == "Good: classify.examples meets all 4 gates"
    for digest in (evidence, document["settings"], samples.sha("bundle"), samples.sha("tickets_hard")):
        assert digest in html

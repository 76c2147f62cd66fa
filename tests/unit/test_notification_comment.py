"""The pull request's comment and the run's page: the verdict first, then figures, differences and changed lines."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from shared import reporting
from shared.chain.messages import AzureDevOps, ChainKind, Verdict
from shared.chain.state import Chain, ChainStatus, Step, StepState, StepStatus
from shared.evaluation.gates_model import Baseline, write_gates
from shared.notification import comment as comments
from shared.notification.comment import comment
from shared.notification.run_page import rendered, run_summary, status_line, tags
from shared.notification.told import Told
from shared.ports import Ports
from shared.reporting.changes import ChangedLine, Changes
from tests import samples
from tests.unit.people import memory_ports

LABELS = set(samples.LABELS)
LOOKS_LIKE_A_VERDICT = (
    "### ✓ ticket_triage: Succeeded\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n<h3>Approved</h3> @<6f1d> #12 !3"
)


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def pull_request(**fields: object) -> Chain:
    """A chain of a pull request, at the step that writes the comment."""
    chain = samples.sample_chain(ChainKind.PR)
    steps = (*(step.model_copy(update={"status": StepStatus.DONE}) for step in chain.steps[:6]), running(Step.COMMENT))
    request = chain.request.model_copy(update={"pull_request": 12, "branch": "feature/faster"})
    return chain.model_copy(
        update={"steps": steps, "current": 6, "request": request, "report": f"{chain.id}/report.html"} | fields
    )


def running(step: Step) -> StepState:
    return StepState(step=step, status=StepStatus.RUNNING, started_at=samples.NOW)


def build(ports: Ports, chain: Chain, *, baseline: Baseline | None = None, outputs: tuple[str, ...] = ()) -> Chain:
    """Leave behind what a chain leaves behind, and its report."""
    prepared = samples.write_results(ports.blobs, chain, outputs=outputs)
    gates = samples.sample_gates(prepared).model_copy(update={"baseline": baseline})
    write_gates(ports.blobs, chain.id, gates)
    reporting.build(ports, chain, final=False)
    return chain


def registered(**fields: object) -> Baseline:
    """The version that was registered before, measured on the samples' datasets."""
    known = {
        "name": "ticket_triage",
        "version": "3",
        "label": "default",
        "chain": "ticket_triage-ci-000000000000",
        "branch": "main",
        "metrics": {"tickets_mixed": {"classification.accuracy": 0.91, "reply_quality.length": 0.9}},
        "datasets": {name: samples.sha(name) for name in ("tickets_mixed", "tickets_hard")},
    }
    return Baseline.model_validate(known | fields)


def tables(markdown: str) -> list[list[list[str]]]:
    """The rendered tables: rows of cells."""
    found: list[list[list[str]]] = []
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    for token in tokens:
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level == 4 and found:
            found[-1][-1].append("".join(child.content for child in token.children or ()))
    return found


def headings(markdown: str) -> list[str]:
    tokens = MarkdownIt("commonmark", {"html": True}).parse(markdown)
    return [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]


def test_the_comment_begins_with_the_verdict_and_leads_to_report_and_chain(ports: Ports) -> None:
    chain = build(ports, pull_request())
    text = comment(ports, chain)
    assert text.startswith("### ✓ ticket_triage: Succeeded\n\nGood: classify.examples meets all 4 gates")
    assert "commit 3f2a9c417d0e · branch feature/faster" in text
    assert "23 Nov 2026, 09:30 UTC" in text
    address = f"{ports.settings.functions_url}/api/chains/{chain.id}"
    assert f"[Report]({address}/files/report.html) · [Chain]({address})" in text


def test_every_choice_has_a_row_on_every_dataset_with_candidate_and_default_marked(ports: Ports) -> None:
    mixed, hard, *_ = tables(comment(ports, build(ports, pull_request())))
    for rows in (mixed, hard):
        assert rows[0][:2] == ["Choice", "accuracy"]
        names = [row[0] for row in rows[1:]]
        assert names[:2] == ["◆ classify.examples (candidate)", "default (default)"]
        assert set(names[2:]) == LABELS - {"classify.examples", "default"}
        assert rows[1][1] == "0.88 ★"
        assert rows[2][1] == "0.74"


def test_without_a_registered_version_the_comment_says_so(ports: Ports) -> None:
    assert "There is no baseline yet: no version of this flow was registered" in comment(
        ports, build(ports, pull_request())
    )


def test_differences_from_the_baseline_say_what_is_better_and_worse(ports: Ports) -> None:
    text = comment(ports, build(ports, pull_request(), baseline=registered()))
    assert "The baseline is version 3 of ticket_triage (default), registered from main." in text
    differences = next(rows for rows in tables(text) if rows[0][:4] == ["Metric", "Dataset", "Baseline", "Now"])
    assert differences[1] == ["accuracy of classification", "tickets_mixed", "0.91", "0.88", "−0.03", "worse"]
    assert differences[2] == ["length of reply_quality", "tickets_mixed", "0.9", "0.97", "+0.07", "higher"]
    assert "other content" not in text


def test_a_baseline_that_was_measured_on_another_version_of_the_dataset_is_marked(ports: Ports) -> None:
    other = registered(datasets={"tickets_mixed": samples.sha("as it was last month")})
    text = comment(ports, build(ports, pull_request(), baseline=other))
    assert "It was measured on other content of tickets_mixed: part of a difference may come from the data." in text
    assert "tickets_mixed (other data)" in text


def test_a_baseline_of_another_branch_than_the_target_is_said_to_be_one(ports: Ports) -> None:
    place = AzureDevOps(collection="https://dev.azure.com/o", project="p", target_branch="refs/heads/development")
    chain = pull_request()
    chain = chain.model_copy(update={"request": chain.request.model_copy(update={"azure_devops": place})})
    text = comment(ports, build(ports, chain, baseline=registered()))
    assert "registered from main, not from development, into which this is to be merged." in text


def test_a_baseline_without_any_of_the_metrics_is_said_to_have_none(ports: Ports) -> None:
    text = comment(ports, build(ports, pull_request(), baseline=registered(metrics={})))
    assert "It has none of these metrics on these datasets" in text


def test_missed_gates_are_the_verdict(ports: Ports) -> None:
    missed = ("classification.accuracy of default on tickets_mixed is 0.7; it must be at least 0.8",)
    chain = pull_request(outcome=ChainStatus.FAILED, reason=f"1 gate missed: {missed[0]}", missed_gates=missed)
    text = comment(ports, build(ports, chain))
    assert text.startswith(f"### ✕ ticket_triage: Gates missed\n\n1 gate missed:\n\n- {missed[0]}")
    assert status_line(chain) == f"1 gate missed: {missed[0]}"
    assert "gates-missed" in tags(chain)


def test_a_chain_that_failed_before_it_had_results_tells_why(ports: Ports) -> None:
    reason = "experiment.yaml, line 3: flow is missing."
    chain = pull_request(outcome=ChainStatus.FAILED, reason=reason, report=None, candidate=None)
    for text in (comment(ports, chain), run_summary(ports, chain)):
        assert text.startswith(f"### ✕ ticket_triage: Failed\n\n{reason}")
        assert "report.html" not in text
    assert "There is no report: the chain ended before it had results." in comment(ports, chain)
    assert status_line(chain) == f"Failed: {reason}"


def test_evidence_of_an_older_version_is_read_as_far_as_it_goes(ports: Ports) -> None:
    chain = build(ports, pull_request(), baseline=registered())
    blob = f"{chain.id}/evidence.json"
    document = json.loads(ports.blobs.read("reports", blob))
    del document["baseline"]
    for gate in document["gates"]:
        del gate["lower_is_better"]
    ports.blobs.write("reports", blob, json.dumps(document).encode())
    text = comment(ports, chain)
    assert "before reports kept the baseline" in text
    assert "classify.examples** (candidate) | 0.88" in text


def test_the_same_chain_gives_the_same_comment(ports: Ports) -> None:
    chain = build(ports, pull_request(), baseline=registered())
    assert comment(ports, chain) == comment(ports, chain)


def test_no_text_of_data_or_people_becomes_more_than_text(ports: Ports) -> None:
    hostile = (LOOKS_LIKE_A_VERDICT, *samples.HOSTILE)
    chain = pull_request(outcome=ChainStatus.FAILED, reason=LOOKS_LIKE_A_VERDICT)
    request = chain.request.model_copy(update={"requester": LOOKS_LIKE_A_VERDICT[:200], "branch": hostile[1]})
    build(ports, chain.model_copy(update={"request": request}), outputs=hostile)
    evidence = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    lines = tuple(
        ChangedLine(
            dataset="tickets_mixed", line=number, against=text, inputs={"ticket": text, text: 1}, expected={"truth": text},
            before={"reply": "a"}, now={"reply": text}, score_before=1.0, score_now=None, error=text,
        )
        for number, text in enumerate(hostile, start=1)
    )  # fmt: skip
    changes = Changes(against=(LOOKS_LIKE_A_VERDICT,), compared=9, worse=9, worst=lines)
    chain = chain.model_copy(update={"request": request})
    text = comments.rendered(Told(chain=chain, functions_url="http://here", evidence=evidence, changes=changes))
    assert headings(text) == ["✕ ticket_triage: Failed", "Metrics", "Against the baseline", "Lines that changed"]
    kinds = {token.type for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)}
    assert not kinds & {"html_block", "fence", "code_block"}
    inline = [c for t in MarkdownIt("commonmark", {"html": True}).enable("table").parse(text) for c in t.children or ()]
    assert not [c for c in inline if c.type in ("html_inline", "image", "code_inline")]
    assert [c.attrs["href"] for c in inline if c.type == "link_open"] == [
        f"http://here/api/chains/{chain.id}/files/report.html",
        f"http://here/api/chains/{chain.id}",
    ]
    changed = tables(text)[-1]
    assert len(changed) == 1 + len(hostile)
    assert {len(row) for row in changed} == {6}


def test_a_comment_stays_short_whatever_was_run(ports: Ports) -> None:
    chain = build(ports, pull_request())
    evidence = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    cell = evidence["cells"][0]
    evidence["cells"] = [
        {**cell, "label": f"{'*' * 300}{number}", "dataset": f"data-{number % 30}"} for number in range(3_000)
    ]
    many = chain.model_copy(update={"missed_gates": ("*" * 2_000,) * 500, "outcome": ChainStatus.FAILED})
    text = comments.rendered(Told(chain=many, functions_url="http://here", evidence=evidence))
    assert len(text) <= comments.LIMIT
    assert "and 490 more" in text
    assert "and 24 more datasets in the report" in text or "left out for its length" in text


def test_a_chain_under_way_has_no_verdict_yet(ports: Ports) -> None:
    chain = samples.sample_chain(ChainKind.PR)
    assert comment(ports, chain).startswith("### ● ticket_triage: Running: report")
    assert tags(chain)[0] == "genaiops-running"
    experimenting = chain.model_copy(update={"steps": (running(Step.EXPERIMENTATION),), "current": 0})
    assert status_line(experimenting) == "Running: experimentation: 10 of 10 runs"


def test_the_runs_page_has_metrics_gates_and_every_step(ports: Ports) -> None:
    chain = pull_request()
    text = run_summary(ports, build(ports, chain, baseline=registered()))
    assert headings(text)[1:] == ["Metrics", "Gates", "Against the baseline", "Steps"]
    steps = tables(text)[-1]
    assert [row[0] for row in steps[1:]] == [
        "Preparation", "Data registration", "Experimentation", "Evaluation", "Gates", "Report", "Comment",
    ]  # fmt: skip
    assert steps[1][1:] == ["✓ Done", "2.0 s", "10 runs planned"]


def test_a_release_without_a_report_shows_what_the_registry_knows(ports: Ports) -> None:
    told = Told(
        chain=samples.sample_chain(ChainKind.CD),
        functions_url="http://here",
        registered={"metrics": json.dumps({"tickets_mixed": {"classification.accuracy": 0.88}})},
    )
    assert ["classification.accuracy", "tickets_mixed", "0.88"] in tables(rendered(told))[0]


def test_a_rejected_chain_tells_by_whom(ports: Ports) -> None:
    chain = samples.decided(samples.awaiting_approval(pull_request(), samples.sha("e")), Verdict.REJECTED, "maria")
    chain = chain.model_copy(update={"outcome": ChainStatus.REJECTED, "reason": "Rejected by maria: too slow"})
    assert run_summary(ports, chain).startswith("### ✕ ticket_triage: Rejected\n\nRejected by maria: too slow")
    assert tags(chain)[0] == "genaiops-rejected"


def test_tags_hold_nothing_that_a_tag_must_not_hold(ports: Ports) -> None:
    chain = samples.deployed(samples.awaiting_approval(samples.sample_chain(), samples.sha("evidence")))
    assert tags(chain) == (
        "genaiops-succeeded", "ticket_triage-ci", "ticket_triage-dev", "ticket_triage-version-4", "deployed-ticket-triage",
    )  # fmt: skip


def test_a_status_is_one_short_line_whatever_the_reason(ports: Ports) -> None:
    chain = pull_request(outcome=ChainStatus.FAILED, reason="a\nb\u202e" * 500)
    line = status_line(chain)
    assert len(line) <= 140
    assert line.isprintable()

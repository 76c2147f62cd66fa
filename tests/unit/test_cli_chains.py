"""Asking for a chain, following it, deciding about it: each command against the real chain core, in memory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from genaiops.cli import progress
from genaiops.cli.outcome import ExitCode
from genaiops.host.lock import HomeLock
from shared import chain_store
from shared.chain.messages import ChainKind, Verdict
from shared.chain.state import Chain, ChainStatus, Progress
from shared.names import chain_id
from shared.ports import Ports
from shared.results import CONTAINER, RunRecord, cell_folder
from shared.use_case import bundle
from tests import samples
from tests.cli import FakeBus, fake_ports, printed_json, run, with_core
from tests.unit.use_case_folder import TRUTH, change, put, written

EVIDENCE = samples.sha("evidence")


@pytest.fixture(autouse=True)
def looks_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "INTERVAL", 0.01)


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, FakeBus]:
    return fake_ports(tmp_path / "home", monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A valid use case with all its data."""
    use_case = written(tmp_path)
    put(use_case, "data/truth.csv", TRUTH)
    return use_case


def waiting(ports: Ports, **fields: object) -> Chain:
    chain = samples.awaiting_approval(samples.sample_chain(**fields), EVIDENCE)  # type: ignore[arg-type]
    chain_store.create(ports.blobs, chain)
    return chain


def stored(ports: Ports, chain: Chain) -> Chain:
    return chain_store.load(ports.blobs, chain.id)[0]


# ------------------------------------------------------------------------------------------------------------- submit


def test_submit_stores_the_bundle_and_asks_for_the_chain(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    ports, bus = wired
    done = run(
        "submit", str(folder), "--commit", "3f2a9c417d0e", "--branch", "main", "--build-id", "20261123.4", "--json"
    )
    assert done.exit_code == ExitCode.OK
    (request,) = bus.requests()
    made = bundle.make(folder)
    assert ports.blobs.read("bundles", f"{made.digest}.zip") == made.content
    assert (request.use_case, request.kind, request.bundle) == ("greetings", ChainKind.CI, made.digest)
    assert (request.commit, request.branch, request.build_id) == ("3f2a9c417d0e", "main", "20261123.4")
    assert printed_json(done)["chain"] == chain_id("greetings", "ci", request.request_id)


def test_the_same_content_commit_and_build_ask_for_the_same_chain(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    _, bus = wired
    for arguments in ([], [], ["--build-id", "2"], ["--variants", "defaults"], ["--again"], ["--again"]):
        assert run("submit", str(folder), *arguments).exit_code == ExitCode.OK
    change(folder, "experiment.yaml", "name: greetings", "description: changed\nname: greetings")
    assert run("submit", str(folder)).exit_code == ExitCode.OK
    first, repeated, *others = [request.request_id for request in bus.requests()]
    assert first == repeated
    assert len({first, *others}) == 1 + len(others)


def test_asking_for_a_chain_that_exists_says_so_and_how_to_get_a_new_one(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    with_core(*wired)
    run("submit", str(folder))
    again = run("submit", str(folder))
    assert "was asked for before and is running; --again" in again.stdout
    assert printed_json(run("submit", str(folder), "--json"))["existed"] is True


def test_who_asks_where_no_host_runs_is_told_at_once(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    ports, _ = wired
    assert f"No host runs in {ports.settings.home}" in run("submit", str(folder)).stdout
    state = ports.settings.home / "host"
    state.mkdir(parents=True)
    lock = HomeLock(state)
    lock.acquire()
    try:
        assert "No host runs" not in run("submit", str(folder), "--again").stdout
    finally:
        lock.release()
    assert "No host runs" in run("submit", str(folder), "--again").stdout


def test_of_a_chain_that_has_ended_it_says_how(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    ports, bus = wired
    with_core(*wired)
    run("submit", str(folder))
    request = bus.requests()[0]
    chain, etag = chain_store.load(ports.blobs, chain_id(request.use_case, request.kind, request.request_id))
    chain_store.save(ports.blobs, chain.model_copy(update={"status": ChainStatus.SUCCEEDED}), etag)
    assert "was asked for before and has ended as succeeded; --again" in run("submit", str(folder)).stdout


def test_submit_refuses_what_a_request_cannot_hold(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    _, bus = wired
    for arguments, named in (
        (["--commit", "not-a-commit"], "commit"),
        (["--kind", "cd", "--flow-version", "latest"], "flow_version"),
        (["--flow-version", "3"], "--flow-version"),
        (["--kind", "dataset", "--dataset", "greetings/../rows.jsonl"], "dataset"),
        (["--kind", "dataset"], "--dataset"),
        (["--dataset", "greetings/small/rows.jsonl"], "--dataset"),
        (["--again", "--request-id", "mine"], "--request-id"),
        (["--kind", "nightly"], "nightly"),
        (["--traffic", "101"], "--traffic"),
    ):
        refused = run("submit", str(folder), *arguments)
        assert refused.exit_code == ExitCode.USAGE, arguments
        assert named in refused.stderr
    assert bus.sent == []


def test_submit_refuses_a_selection_that_names_no_variant(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    _, bus = wired
    refused = run("submit", str(folder), "--variants", "classify.temperatur=0.7")
    assert refused.exit_code == ExitCode.NO
    assert "did you mean 'classify.temperature=0.7'?" in refused.stderr
    assert bus.sent == []


def test_an_unknown_use_case_names_those_there_are(wired: tuple[Ports, FakeBus], tmp_path: Path) -> None:
    del wired
    refused = run("submit", "no_such_use_case")
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert "ticket_triage" in refused.stderr
    assert run("submit", str(tmp_path / "nowhere" / "else")).exit_code == ExitCode.NOT_FOUND


def test_a_use_case_whose_yaml_cannot_be_read_is_not_sent(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    (folder / "experiment.yaml").write_text("name: [greetings\n")
    refused = run("submit", str(folder))
    assert refused.exit_code == ExitCode.NO
    assert "experiment.yaml:" in refused.stderr
    assert wired[1].sent == []


def test_submit_refuses_what_validate_refuses_with_the_same_text(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    change(folder, "experiment.yaml", "reference: train", "reference: trian")
    said = run("validate", str(folder))
    for kind in (["ci"], ["pr"], ["dataset", "--dataset", "greetings/train/rows.jsonl"]):
        refused = run("submit", str(folder), "--kind", *kind)
        assert (said.exit_code, refused.exit_code) == (ExitCode.NO, ExitCode.NO)
        assert refused.stderr == said.stdout
        assert "did you mean 'train'?" in refused.stderr
    assert wired[1].sent == []
    assert run("submit", str(folder), "--kind", "cd").exit_code == ExitCode.OK, "it deploys what is registered"


def test_submit_refuses_an_environment_that_the_use_case_does_not_have(
    wired: tuple[Ports, FakeBus], folder: Path
) -> None:
    refused = run("submit", str(folder), "-e", "prod")
    assert refused.exit_code == ExitCode.NO
    assert "'prod' is no environment of this use case" in refused.stderr
    assert wired[1].sent == []


def test_submit_with_wait_says_when_nobody_takes_the_request(
    wired: tuple[Ports, FakeBus], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del wired
    chain = printed_json(run("submit", str(folder), "--json"))["chain"]
    late = run("watch", chain, "--patience", "0")
    assert late.exit_code == ExitCode.TIMED_OUT
    assert "Is the host running?" in late.stderr


# ------------------------------------------------------------------------------------------------------------- upload


def test_upload_puts_the_dataset_where_its_change_is_noticed(wired: tuple[Ports, FakeBus], tmp_path: Path) -> None:
    file = tmp_path / "new rows.jsonl"
    file.write_text('{"text": "hello"}\n{"text": "bye"}\n')
    done = run("upload", str(file), "--use-case", "greetings", "--dataset", "small", "--json")
    assert printed_json(done) == {"container": "datasets", "blob": "greetings/small/new rows.jsonl", "rows": 2}
    assert wired[0].blobs.read("datasets", "greetings/small/new rows.jsonl") == file.read_bytes()


def test_upload_refuses_a_file_that_is_no_dataset(wired: tuple[Ports, FakeBus], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"text": "hello"}\n{"text": \n')
    refused = run("upload", str(broken), "-u", "greetings", "-d", "small")
    assert refused.exit_code == ExitCode.NO
    assert "broken.jsonl" in refused.stderr
    assert "2" in refused.stderr
    wrong_name = run("upload", str(broken), "-u", "../greetings", "-d", "small")
    assert wrong_name.exit_code == ExitCode.USAGE
    assert run("upload", str(tmp_path / "absent.jsonl"), "-u", "greetings", "-d", "small").exit_code == ExitCode.USAGE
    assert list(wired[0].blobs.list("datasets")) == []


# --------------------------------------------------------------------------------------------------- status and watch


def test_status_lists_chains_and_shows_one(wired: tuple[Ports, FakeBus]) -> None:
    ports, _ = wired
    chain = waiting(ports)
    listed = run("status")
    assert chain.id in listed.stdout
    assert [one["id"] for one in printed_json(run("status", "--json"))] == [chain.id]
    shown = run("status", chain.id[-6:])
    assert "10 of 10 runs" in shown.stdout
    assert f"python -m genaiops approve {chain.id}" in shown.stdout
    assert printed_json(run("status", chain.id, "--json"))["status"] == "awaiting_approval"


def test_an_ambiguous_chain_asks_for_more_of_its_name(wired: tuple[Ports, FakeBus]) -> None:
    ports, _ = wired
    for request in ("one", "two"):
        waiting(ports, request_id=request)
    refused = run("status", "ticket_triage-ci")
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert "2 chains are named like" in refused.stderr


@pytest.mark.parametrize("status", [status for status in ChainStatus if status.is_final])
def test_watch_ends_with_the_chains_outcome(wired: tuple[Ports, FakeBus], status: ChainStatus) -> None:
    ports, _ = wired
    chain = samples.deployed(waiting(ports)).model_copy(update={"status": status, "reason": "[it] is as it is"})
    _, etag = chain_store.load(ports.blobs, chain.id)
    chain_store.save(ports.blobs, chain, etag)
    samples.write_results(ports.blobs, chain)
    watched = run("watch", chain.id)
    assert watched.exit_code == (ExitCode.OK if status is ChainStatus.SUCCEEDED else ExitCode.NO)
    assert f"{chain.id} ended as {status}" in watched.stdout
    assert "[it] is as it is" in watched.stdout
    assert "1 line failed on every run" in watched.stdout


def test_watch_ends_with_where_the_report_is_and_what_answered(wired: tuple[Ports, FakeBus]) -> None:
    ports, _ = wired
    chain = samples.deployed(waiting(ports)).model_copy(
        update={"status": ChainStatus.SUCCEEDED, "report": "somewhere/report.html"}
    )
    _, etag = chain_store.load(ports.blobs, chain.id)
    chain_store.save(ports.blobs, chain, etag)
    samples.write_results(ports.blobs, chain)
    said = run("watch", chain.id).stdout.splitlines()
    ended, report, answered = said[-3:]
    assert ended.startswith(f"{chain.id} ended as succeeded")
    assert report.endswith(f"/api/chains/{chain.id}/files/report.html")
    assert answered.startswith("The stand-in model answered (rules, not an LLM)")
    counted = next(number for number, line in enumerate(said) if " runs, " in line)
    logged = next(number for number, line in enumerate(said) if "1 line failed on every run" in line)
    assert counted < logged, "the last entry of a chain that has ended stands last"


def test_of_a_real_model_watch_says_nothing(wired: tuple[Ports, FakeBus]) -> None:
    ports, _ = wired
    chain = waiting(ports).model_copy(update={"status": ChainStatus.SUCCEEDED})
    _, etag = chain_store.load(ports.blobs, chain.id)
    chain_store.save(ports.blobs, chain, etag)
    prepared = samples.sample_prepared(chain).model_copy(update={"models": ("aoai: gpt-4o-mini",)})
    chain_store.freeze_prepared(ports.blobs, chain.id, prepared)
    assert "stand-in" not in run("watch", chain.id).stdout


def test_watch_counts_runs_and_lines_for_scripts(wired: tuple[Ports, FakeBus]) -> None:
    ports, _ = wired
    chain = samples.sample_chain(progress=Progress(cells=10, next_cell=10, runs_completed=10))
    chain_store.create(ports.blobs, chain)
    samples.write_results(ports.blobs, chain)
    watched = run("watch", chain.id, "--json", "--timeout", "0")
    assert watched.exit_code == ExitCode.TIMED_OUT
    line = json.loads(watched.stdout.splitlines()[0])
    assert line["lines"] == {"done": 80, "planned": 80, "reused": 0}
    assert line["runs"] == {"done": 10, "failed": 0, "planned": 10}
    assert [entry["number"] for entry in line["log"]] == [1, 2]


def test_watch_and_status_say_how_many_lines_were_reused(wired: tuple[Ports, FakeBus]) -> None:
    ports, _ = wired
    chain = samples.sample_chain(status=ChainStatus.SUCCEEDED, ended_at=samples.NOW)
    prepared = samples.write_results(ports.blobs, chain)
    chain_store.create(ports.blobs, chain)
    blob = f"{cell_folder(chain.id, prepared.cells[0].name)}/run.json"
    record = RunRecord.model_validate_json(ports.blobs.read(CONTAINER, blob))
    taken = record.model_copy(update={"reused_lines": 6})
    ports.blobs.write(CONTAINER, blob, taken.model_dump_json().encode())
    assert "80 of 80 lines (6 reused)" in run("watch", chain.id).stdout
    assert "80 of 80 lines (6 reused)" in run("status", chain.id).stdout


def test_submit_asks_for_fresh_runs_and_status_says_so(wired: tuple[Ports, FakeBus], folder: Path) -> None:
    with_core(*wired)
    asked = printed_json(run("submit", str(folder), "--fresh", "--json"))
    assert asked["request"]["fresh"] is True
    assert "none: fresh runs were asked for" in run("status", asked["chain"]).stdout
    assert printed_json(run("submit", str(folder), "--json"))["chain"] != asked["chain"]


# ---------------------------------------------------------------------------------------------------------- decisions


@pytest.mark.parametrize(("command", "verdict"), [("approve", Verdict.APPROVED), ("reject", Verdict.REJECTED)])
def test_a_decision_reaches_the_chain_and_is_read_back(
    wired: tuple[Ports, FakeBus], command: str, verdict: Verdict
) -> None:
    with_core(*wired)
    chain = waiting(wired[0])
    done = run(command, chain.id, "--as", "maria@example.org", "-m", "Seen the report.")
    assert done.exit_code == ExitCode.OK
    assert f"maria@example.org has {verdict} it at" in done.stdout
    approval = stored(wired[0], chain).approval
    assert approval is not None
    assert (approval.verdict, approval.decided_by, approval.comment) == (
        verdict,
        "maria@example.org",
        "Seen the report.",
    )


def test_the_first_of_two_approvals_says_that_the_chain_waits_for_more(wired: tuple[Ports, FakeBus]) -> None:
    with_core(*wired)
    chain = samples.awaiting_approval(samples.sample_chain(), EVIDENCE, approvers=("ada", "ben"), required=2)
    chain_store.create(wired[0].blobs, chain)
    assert "1 of 2 approvals: the chain" in run("approve", chain.id, "--as", "ADA").stdout
    assert "1 of 2 approvals; asked ada, ben" in run("status", chain.id).stdout
    assert "ada and ben have approved it" in run("approve", chain.id, "--as", "ben").stdout


def test_whoever_asked_for_a_chain_cannot_approve_it_here_either(wired: tuple[Ports, FakeBus]) -> None:
    chain = samples.awaiting_approval(samples.sample_chain(), EVIDENCE, approvers=("ada", "ben"))
    asked = chain.model_copy(update={"request": chain.request.model_copy(update={"requester": "ADA"})})
    chain_store.create(wired[0].blobs, asked)
    refused = run("approve", chain.id, "--as", "ada")
    assert refused.exit_code == ExitCode.NO
    assert "asked for this chain and may not approve it" in refused.stderr
    assert run("reject", chain.id, "--as", "ada", "--wait", "0").exit_code == ExitCode.OK


def test_a_second_answer_is_told_who_decided_and_when(wired: tuple[Ports, FakeBus]) -> None:
    with_core(*wired)
    chain = waiting(wired[0])
    run("reject", chain.id, "--as", "jonas@example.org")
    late = run("approve", chain.id, "--as", "maria@example.org")
    assert late.exit_code == ExitCode.NO
    assert "jonas@example.org has rejected it at 2026-11-23 09:45:00 UTC" in late.stderr


def test_only_an_approver_may_answer(wired: tuple[Ports, FakeBus]) -> None:
    chain = waiting(wired[0])
    refused = run("approve", chain.id, "--as", "mallory@example.org")
    assert refused.exit_code == ExitCode.NO
    assert "maria@example.org, jonas@example.org" in refused.stderr
    assert wired[1].sent == []


def test_the_only_approver_need_not_be_named(wired: tuple[Ports, FakeBus]) -> None:
    with_core(*wired)
    chain = samples.awaiting_approval(samples.sample_chain(), EVIDENCE, approvers=("approver",))
    chain_store.create(wired[0].blobs, chain)
    assert "approver has approved it" in run("approve", chain.id).stdout


def test_a_chain_that_waits_for_nobody_cannot_be_approved(wired: tuple[Ports, FakeBus]) -> None:
    chain = samples.sample_chain()
    chain_store.create(wired[0].blobs, chain)
    refused = run("approve", chain.id)
    assert refused.exit_code == ExitCode.NO
    assert "does not wait for an approval: it is running" in refused.stderr


def test_without_a_host_a_decision_times_out_or_is_left_on_its_way(wired: tuple[Ports, FakeBus]) -> None:
    chain = waiting(wired[0])
    as_maria = ("--as", "maria@example.org")
    assert run("approve", chain.id, *as_maria, "--wait", "0").exit_code == ExitCode.OK
    late = run("approve", chain.id, *as_maria, "--wait", "0.05")
    assert late.exit_code == ExitCode.TIMED_OUT
    assert "Is the host running?" in late.stderr
    assert len({message.message_id for _, message in wired[1].sent}) == 1, "the same answer is the same message"


def test_cancel_stops_a_chain_once(wired: tuple[Ports, FakeBus]) -> None:
    with_core(*wired)
    chain = waiting(wired[0])
    done = run("cancel", chain.id, "--as", "Ada", "-m", "wrong dataset")
    assert done.exit_code == ExitCode.OK
    assert "Cancelled by Ada: wrong dataset" in done.stdout
    again = run("cancel", chain.id)
    assert again.exit_code == ExitCode.NO
    assert "cancelled" in again.stderr


# ------------------------------------------------------------------------------------------------------------- report


def test_report_writes_the_files_out_page_first(wired: tuple[Ports, FakeBus], tmp_path: Path) -> None:
    chain = waiting(wired[0])
    for name, content in (("lines.csv", b"line\n"), ("report.html", b"<html>"), ("evidence.json", b"{}")):
        wired[0].blobs.write("reports", f"{chain.id}/{name}", content)
    done = run("report", chain.id, "--out", str(tmp_path / "out"), "--json")
    files = [Path(path) for path in printed_json(done)["files"]]
    assert [file.name for file in files] == ["report.html", "evidence.json", "lines.csv"]
    assert files[0].read_bytes() == b"<html>"


def test_a_chain_without_a_report_says_so(wired: tuple[Ports, FakeBus]) -> None:
    chain = waiting(wired[0])
    refused = run("report", chain.id)
    assert refused.exit_code == ExitCode.NOT_FOUND
    assert "has no report yet; it is awaiting approval" in refused.stderr

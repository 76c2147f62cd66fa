"""Runs on Azure ML: what is submitted, what happens when services fail or others were faster, and how ends are noticed."""

from __future__ import annotations

import dataclasses
import json
import shutil
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from shared.adapters.azure.machine_learning.runs.names import cloud_name
from shared.adapters.azure.machine_learning.runs.runner import AzureFlowRunner
from shared.connections import Connection
from shared.errors import BusinessFailure, NotFound, Throttled, Transient
from shared.ports import FlowRunner, RunOutcome, RunSpec, RunStatus
from tests.contract.azure_runs import CloudRuns, cloud_runs
from tests.contract.local_runner import FLOWS, graded, spec
from tests.servers.management import Moment

TAGS = {"genaiops_chain": "chain-1", "genaiops_command": "chain-1/4", "genaiops_cell": "0"}


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[CloudRuns]:
    runs = cloud_runs(request, instance_type="Standard_E4ds_v4")
    runs.management.reset()
    yield runs
    assert runs.management.unknown == []
    assert runs.management.faults.left == 0


def ended(runner: FlowRunner, run: RunSpec) -> RunOutcome:
    outcome = runner.start(run)
    while outcome.status is RunStatus.RUNNING:
        time.sleep(0.02)
        outcome = runner.look(run.name)
    return outcome


def until(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(0.02)
    return found


def submitted(cloud: CloudRuns) -> int:
    return len(cloud.management.seen("POST", "/BulkRuns/submit"))


# ------------------------------------------------------------------------------------------------- what is submitted


def test_a_run_carries_its_tags_its_variables_and_its_compute(cloud):
    cloud.service.hold()
    run = graded("a", "b", tags=TAGS, environment={"REGION": "west"}, line_timeout_s=12.5, concurrency=6)
    assert cloud.runner.start(run).status is RunStatus.RUNNING

    body = cloud.service.runs[cloud_name(run.name)].body
    assert body["tags"] == TAGS
    assert body["runDisplayName"] == run.name
    assert body["vmSize"] == "Standard_E4ds_v4"
    assert body["runtimeName"] == "automatic"
    assert body["environmentVariables"] == {
        "REGION": "west",
        "PF_LINE_TIMEOUT_SEC": "13",
        "PF_WORKER_COUNT": "6",
        "GENAIOPS_RUN": run.name,
    }


def test_a_named_runtime_goes_before_serverless_compute(cloud):
    cloud.service.hold()
    cloud.runner.start(run := graded("a", runtime="our-runtime"))
    body = cloud.service.runs[cloud_name(run.name)].body
    assert (body["runtimeName"], body.get("vmSize")) == ("our-runtime", None)


def test_runs_of_one_flow_share_a_compute_session_and_others_do_not(cloud):
    cloud.service.hold()
    runs = [graded("a"), graded("b"), graded("c", flow_digest="e" * 64)]
    for run in runs:
        cloud.runner.start(run)
    first, second, other = (cloud.service.runs[cloud_name(run.name)].body["sessionId"] for run in runs)
    assert first == second != other


def test_keys_of_connections_never_leave(cloud):
    key = "key-that-must-not-leave-0123456789"
    cloud.service.hold()
    cloud.runner.start(run := graded("a", connections={"aoai": Connection("aoai", "azure", "https://m.test", key)}))
    stored = b"".join(blob.content for blobs in cloud.management.storage.blobs.values() for blob in blobs.values())
    assert key.encode() not in stored
    assert key not in json.dumps(cloud.service.runs[cloud_name(run.name)].body)
    assert all(key.encode() not in cloud.blobs.read("runs", info.name) for info in cloud.blobs.list("runs"))


def test_a_secret_among_the_variables_is_refused_before_anything_is_submitted(cloud):
    with pytest.raises(BusinessFailure, match=r"SHOP_TOKEN holds a secret.*custom connection"):
        cloud.runner.start(graded("a", environment={"SHOP_TOKEN": "0123456789abcdef0123"}))
    assert submitted(cloud) == 0


def test_what_the_functions_host_keeps_for_itself_is_refused_under_any_name(cloud, monkeypatch):
    monkeypatch.setenv("IDENTITY_HEADER", "4f2f5a0c6f0b4a52")
    with pytest.raises(BusinessFailure, match="REGION holds a secret"):
        cloud.runner.start(graded("a", environment={"REGION": "4f2f5a0c6f0b4a52"}))


@pytest.mark.parametrize(
    ("name", "value", "asked"),
    [
        ("AZURE_CLIENT_SECRET", "x7Q~of-the-app-0123456789", "x7Q~of-the-app-0123456789"),
        ("TEAM_B_API_KEY", "0f1e2d3c4b5a69788796a5b4", "0f1e2d3c4b5a69788796a5b4"),
        ("TEAM_B", '{"secrets": {"token": "of-team-b-0123456789"}}', '{"secrets": {"token": "of-team-b-0123456789"}}'),
    ],
)
def test_a_secret_of_the_app_or_of_another_use_case_is_refused_under_any_name(cloud, monkeypatch, name, value, asked):
    monkeypatch.setenv(name, value)
    with pytest.raises(BusinessFailure, match="REGION holds a secret") as refused:
        cloud.runner.start(graded("a", environment={"REGION": asked}))
    assert asked not in str(refused.value)
    assert submitted(cloud) == 0


def test_files_that_a_flow_has_git_ignore_reach_azure_ml_all_the_same(cloud, tmp_path):
    first = ended(cloud.runner, graded("a", "b"))
    shutil.copytree(FLOWS / "accuracy", tmp_path / "accuracy")
    (tmp_path / "accuracy" / ".gitignore").write_text("*.jsonl\ngenaiops*\n")
    known = {"known_lines": list(first.lines), "known_count": 2, "line_numbers": [2]}
    outcome = ended(cloud.runner, graded("a", flow=tmp_path / "accuracy", **known))
    assert outcome.record.metrics == {"accuracy": pytest.approx(2 / 3), "lines": 3.0}


def test_submitting_a_flow_runs_none_of_its_code(cloud, tmp_path):
    marker = tmp_path / "was-imported"
    flow = tmp_path / "flow"
    flow.mkdir()
    (flow / "flow.flex.yaml").write_text("entry: mine:answer\n")
    text = f"open({str(marker)!r}, 'a').write(__name__)\ndef answer(text: str) -> str:\n    return text\n"
    for name in ("mine", "yaml", "typing_extensions", "docutils", "pydash", "token", "shared", "sitecustomize"):
        (flow / f"{name}.py").write_text(text)
    cloud.service.hold()
    run = spec("own", [{"text": "a"}], flow=flow, flow_file="flow.flex.yaml")
    assert cloud.runner.start(run).status is RunStatus.RUNNING
    assert not marker.exists()


def test_the_requirements_and_the_image_of_a_flow_reach_its_compute_session(cloud, tmp_path):
    (tmp_path / "flow.flex.yaml").write_text(
        "entry: mine:answer\nenvironment: {image: registry.test/own:1, python_requirements_txt: needs.txt}\n"
    )
    (tmp_path / "mine.py").write_text("def answer(text: str) -> str:\n    return text\n")
    (tmp_path / "needs.txt").write_text("tidy-text==1.2\n")
    cloud.service.hold()
    cloud.runner.start(spec("own", [{"text": "a"}], flow=tmp_path, flow_file="flow.flex.yaml"))
    blobs = cloud.management.storage.of("azureml-blobstore")
    stored = {name.rpartition("/")[2]: blob.content for name, blob in blobs.items() if name.count("/") == 3}
    assert stored["requirements.txt"] == b"tidy-text==1.2\n"
    assert b"registry.test/own:1" in stored["flow.flex.yaml"]
    assert b"python_requirements_txt: requirements.txt" in stored["flow.flex.yaml"]


def test_equal_flows_are_uploaded_once(cloud):
    cloud.service.hold()
    cloud.runner.start(graded("a"))
    before = len(cloud.management.seen("PUT", "LocalUpload"))
    cloud.runner.start(graded("b"))
    assert len(cloud.management.seen("PUT", "LocalUpload")) == before > 0


def test_a_flow_that_takes_no_inputs_runs_a_line_for_every_line(cloud, tmp_path):
    (tmp_path / "flow.dag.yaml").write_text(
        "inputs: {}\noutputs: {value: {type: string, reference: '${say.output}'}}\n"
        "nodes: [{name: say, type: python, source: {type: code, path: say.py}, inputs: {}}]\n"
    )
    (tmp_path / "say.py").write_text("from promptflow.core import tool\n@tool\ndef say():\n    return 'hello'\n")
    outcome = ended(cloud.runner, spec("own", [{}, {}], flow=tmp_path))
    assert [line.outputs for line in outcome.lines] == [{"value": "hello"}] * 2


NAMES = ("chain-00001-plain", "ticket_triage-ci-0f1e-00002-temperature=0.7 ü", "_x", "-dash", "a_b", "a__b", "x_x5f_y")


@pytest.mark.parametrize("name", NAMES)
def test_a_runs_name_becomes_one_that_azure_ml_takes(name):
    cloud = cloud_name(name)
    assert cloud.isascii()
    assert all(c.isalnum() or c in "-_" for c in cloud)
    assert cloud[0].isalnum()


def test_different_names_stay_different():
    names = {*NAMES, *map(cloud_name, NAMES), *(cloud_name(cloud_name(name)) for name in NAMES)}
    assert len({cloud_name(name) for name in names}) == len(names)


def test_names_that_are_too_long_stay_different():
    assert cloud_name("n" * 300) != cloud_name("n" * 299 + "m")
    assert len(cloud_name("ü" * 300)) <= 255


# ------------------------------------------------------------------------------------- who else submitted, what was lost


def test_a_run_that_another_submission_created_is_found(cloud):
    run = graded("a", "b")
    outcome = ended(cloud.runner, run)
    elsewhere = AzureFlowRunner(cloud.workspace, type(cloud.blobs)())  # it has read no note of the run
    found = ended(elsewhere, graded("a", "b", name=run.name))
    assert list(found.lines) == list(outcome.lines)
    assert len(cloud.service.runs) == 1


def test_another_process_looks_at_the_run(cloud):
    run = graded("a", "b")
    outcome = ended(cloud.runner, run)
    look = cloud.another_process().look(run.name)
    assert (look.record, list(look.lines)) == (outcome.record, list(outcome.lines))
    assert ended(cloud.another_process(), run).record == outcome.record
    assert submitted(cloud) == 1


def test_a_run_whose_submission_was_cut_off_is_submitted_by_the_next_start(cloud):
    cloud.management.faults.add("POST", "BulkRuns/submit", status=500)
    run = graded("a")
    with pytest.raises(Transient):
        cloud.runner.start(run)
    with pytest.raises(NotFound, match=run.name):
        cloud.another_process().look(run.name)
    assert list(cloud.runner.ended_unnoticed()) == [{}], "noted and never submitted: a timer wakes its command"
    assert ended(cloud.another_process(), run).status is RunStatus.COMPLETED


def test_a_start_that_knows_more_lines_than_the_one_that_was_cut_off_counts_none_of_them_twice(cloud):
    (known,) = ended(cloud.runner, graded("b")).lines
    run = graded("a", "b", "a")
    cloud.management.faults.add("POST", "BulkRuns/submit", status=500)
    with pytest.raises(Transient):
        cloud.runner.start(run)
    lines = {"known_lines": [known.model_copy(update={"line": 1})], "known_count": 1, "line_numbers": [0, 2]}
    outcome = ended(cloud.another_process(), graded("a", "a", name=run.name, **lines))
    assert [line.line for line in outcome.lines] == [0, 2]
    assert outcome.record.metrics == {"accuracy": pytest.approx(2 / 3), "lines": 3.0}


def test_a_start_whose_run_another_one_has_submitted_leaves_that_ones_note(cloud):
    run = graded("a", "b")
    outcome = ended(cloud.runner, run)
    (known,) = ended(cloud.runner, graded("b")).lines
    cloud.management.faults.add(path="rundata", status=404)  # the run's history lags behind
    lines = {"known_lines": [known.model_copy(update={"line": 1})], "known_count": 1, "line_numbers": [0]}
    found = ended(cloud.another_process(), graded("a", name=run.name, **lines))
    assert (found.record, list(found.lines)) == (outcome.record, list(outcome.lines))


def test_an_answer_that_was_lost_on_its_way_back_submits_nothing_twice(cloud):
    cloud.management.faults.cut("POST", "BulkRuns/submit", moment=Moment.AFTER)
    outcome = ended(cloud.runner, graded("a"))
    assert outcome.status is RunStatus.COMPLETED
    assert len(cloud.service.runs) == 1


@pytest.mark.parametrize("service", ["rundata", "lastvalues", "getByAssetId", "flow_artifacts", "lines.jsonl"])
def test_a_service_that_is_away_for_a_moment_costs_a_look(service, cloud):
    run = graded("a")
    cloud.runner.start(run)
    until(lambda: cloud.service.runs[cloud_name(run.name)].status == "Completed")
    cloud.management.faults.add(path=service, status=503)
    with pytest.raises(Transient):
        cloud.runner.look(run.name)
    assert list(cloud.runner.ended_unnoticed()), "its outcome was not fetched"
    assert cloud.runner.look(run.name).status is RunStatus.COMPLETED


@pytest.mark.parametrize("service", ["rundata", "BulkRuns/submit"])
def test_a_busy_service_says_when_to_come_back(service, cloud):
    run = graded("a")
    if service == "rundata":
        cloud.service.hold()
        cloud.runner.start(run)
    cloud.management.faults.add("POST", service, status=429, retry_after=17)
    with pytest.raises(Throttled) as raised:
        cloud.runner.start(run)
    assert raised.value.retry_after == 17


def test_a_service_that_refuses_names_the_role(cloud):
    cloud.management.faults.add("POST", "BulkRuns/submit", status=403)
    with pytest.raises(BusinessFailure, match="AzureML Data Scientist"):
        cloud.runner.start(graded("a"))


# ----------------------------------------------------------------------------------------------------- how runs end


@pytest.mark.parametrize(
    ("code", "message", "advice"),
    [
        ("UserError", "The flow's node grade was not found.", "It is the flow's own"),
        ("UserError", "Not enough quota of StandardEDSv4Family.", "more quota"),
        ("UserError", "Connection 'aoai' is not found in workspace.", "Create it in the workspace"),
        ("UserError", "Failed to build image: pip install failed.", "image of the compute session"),
        ("ServiceError", "Something went wrong.", "Start the chain again"),
    ],
)
def test_a_run_that_failed_as_a_whole_says_why_and_what_to_do(code, message, advice, cloud):
    cloud.service.fail_next(code, message)
    run = graded("a")
    for _ in range(2):
        with pytest.raises(BusinessFailure, match=advice) as raised:
            ended(cloud.runner, run)
        assert message.rstrip(".") in str(raised.value)
    assert submitted(cloud) == 1


def test_a_flow_that_ends_its_process_fails_the_run(cloud):
    with pytest.raises(BusinessFailure, match="ended unexpectedly with exit code 9"):
        ended(cloud.runner, graded("a", "the end"))


def test_a_run_is_cancelled_once_and_again_without_harm(cloud):
    cloud.service.hold()
    cloud.runner.start(run := graded("a"))
    for _ in range(2):
        cloud.another_process().cancel(run.name)
    assert len(cloud.management.seen("POST", "/cancel$")) == 1
    assert list(cloud.another_process().ended_unnoticed()) == [], "nobody wants to be told of its end"
    assert cloud.runner.look(run.name).status is RunStatus.CANCELLED
    cloud.runner.cancel("never-started")


def test_a_run_that_ended_before_it_was_cancelled_is_told_no_more(cloud):
    cloud.runner.start(run := graded("a", tags=TAGS))
    assert until(lambda: list(cloud.another_process().ended_unnoticed())) == [run.tags]
    cloud.another_process().cancel(run.name)
    assert list(cloud.another_process().ended_unnoticed()) == []
    assert cloud.management.seen("POST", "/cancel$") == []


def test_a_note_whose_run_nobody_submitted_is_dropped_once_nobody_can_be_submitting_it(cloud, monkeypatch):
    cloud.management.faults.add("POST", "BulkRuns/submit", status=500)
    run = graded("a", tags=TAGS)
    with pytest.raises(Transient):
        cloud.runner.start(run)
    cloud.another_process().cancel(run.name)
    assert list(cloud.another_process().ended_unnoticed()) == [run.tags], "another process may be at it"
    opened = cloud.blobs.info("runs", f"open/{cloud_name(run.name)}.json")
    long_ago = dataclasses.replace(opened, last_modified=opened.last_modified - timedelta(hours=2))
    monkeypatch.setattr(cloud.blobs, "info", lambda *_: long_ago)
    cloud.another_process().cancel(run.name)
    assert list(cloud.another_process().ended_unnoticed()) == []


def test_runs_that_ended_and_were_not_fetched_are_told_until_they_are(cloud):
    cloud.service.hold()
    waiting = graded("a", tags=TAGS | {"genaiops_cell": "1"})
    cloud.runner.start(waiting)
    assert list(cloud.another_process().ended_unnoticed()) == []
    cloud.service.release()
    assert until(lambda: list(cloud.another_process().ended_unnoticed())) == [waiting.tags]
    assert cloud.runner.look(waiting.name).status is RunStatus.COMPLETED
    assert list(cloud.another_process().ended_unnoticed()) == []


def test_of_many_open_runs_every_one_is_asked_for_in_time(cloud):
    cloud.service.hold()
    cloud.runner.start(graded("a", tags=TAGS))
    (note,) = [info.name for info in cloud.blobs.list("runs") if not info.name.startswith("open/")]
    for number in range(200):  # noted and never submitted
        for prefix in ("", "open/"):
            cloud.blobs.write("runs", f"{prefix}run-{number}.json", cloud.blobs.read("runs", note))
    process = cloud.another_process()
    counts = [len(list(process.ended_unnoticed())) for _ in range(4)]
    assert max(counts) <= 64
    assert sum(counts) >= 200, "each was told within four sweeps"


def test_events_tell_of_every_run_with_its_tags(cloud):
    events: list[dict[str, Any]] = []
    cloud.service.on_run_event = events.append
    ended(cloud.runner, graded("a", tags=TAGS))
    kinds = [(e["eventType"].rpartition(".")[2], e["data"].get("runStatus")) for e in events]
    assert kinds == [
        ("RunStatusChanged", "Preparing"),
        ("RunStatusChanged", "Running"),
        ("RunStatusChanged", "Completed"),
        ("RunCompleted", None),
    ]
    assert all(event["data"]["runTags"] == TAGS for event in events)

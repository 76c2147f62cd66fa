"""Whole chains through the real handlers, in memory."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.approvals import answers
from shared.chain.messages import CancelRequested, DatasetUpload, Queue, Verdict
from shared.chain.state import ChainStatus
from shared.errors import BusinessFailure
from shared.ports import AssetKind, NoticeKind, RunStatus
from shared.registration.register import data_asset_name
from tests.memory_world import USE_CASES, World, accuracy, exact, small_flow


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_a_ci_chain_registers_deploys_and_tells_whoever_asked(world):
    chain_id = world.request()
    world.pump()
    chain = world.chain(chain_id)

    assert chain.status is ChainStatus.SUCCEEDED, world.log(chain_id)
    assert chain.candidate.label == "default"
    (model,) = world.registry.list(AssetKind.MODEL)
    assert (model.name, model.version, model.tags["chain"]) == ("small", "1", chain_id)
    assert json.loads(model.tags["metrics"]) == {"questions": {"exact.accuracy": 1.0}}
    assert [a.name for a in world.registry.list(AssetKind.DATA)] == ["small.questions"]
    assert world.endpoints.describe("small").traffic == {chain.deployment.deployment: 100}
    assert chain.approval.decided_by == "ada"
    (result,) = world.notifier.of_kind(NoticeKind.RESULT)
    assert result.succeeded
    assert world.dead_letters() == []


def test_a_chain_that_nobody_but_its_requester_could_approve_fails_before_anything_is_run(world):
    chain_id = world.request(requester="ADA")
    world.pump()
    chain = world.chain(chain_id)
    assert chain.status is ChainStatus.FAILED
    assert chain.reason.startswith("Nobody could approve this chain: it needs 1 approval, and ADA, who asked for it,")
    assert "`approval.approvers`" in chain.reason
    assert chain.progress.cells == 0
    assert world.notifier.of_kind(NoticeKind.APPROVAL) == []


def test_the_second_version_gets_its_share_beside_the_first(world):
    world.request()
    world.pump()
    second = world.request(request_id="r2", variants="quiet")
    world.pump()
    # `quiet` alone misses the gate: nothing is registered and nothing is deployed
    assert world.chain(second).status is ChainStatus.FAILED
    assert "exact.accuracy of shout.quiet on questions is 0" in world.chain(second).reason
    assert len(world.registry.list(AssetKind.MODEL)) == 1
    assert sum(world.endpoints.describe("small").traffic.values()) == 100


def test_the_same_request_twice_is_one_chain(world):
    first = world.request()
    world.pump()
    world.clock.advance(3600)
    assert world.request() == first
    world.pump()
    assert len(world.chains()) == 1
    assert len(world.notifier.of_kind(NoticeKind.RESULT)) == 1


def test_a_rejection_ends_the_chain_without_a_deployment(world):
    chain_id = world.request()
    world.pump(approve=False)
    world.answer(chain_id, Verdict.REJECTED)
    world.pump()
    assert world.chain(chain_id).status is ChainStatus.REJECTED
    assert world.endpoints.list() == []


def test_sixty_minutes_of_silence_are_a_rejection(world):
    chain_id = world.request()
    world.pump(approve=False)
    world.clock.advance(31 * 60)
    world.pump(approve=False)
    assert len(world.notifier.of_kind(NoticeKind.REMINDER)) == 1
    world.clock.advance(30 * 60)
    world.pump(approve=False)
    assert world.chain(chain_id).status is ChainStatus.REJECTED
    assert world.chain(chain_id).approval.decided_by == "timeout"


def test_a_newer_commit_of_the_branch_supersedes_the_chain_that_waits(world):
    old = world.request(commit="a" * 40, branch="main")
    world.pump(approve=False)
    world.clock.advance(10)
    new = world.request(request_id="r2", commit="b" * 40, branch="main")
    world.pump(approve=False)
    assert world.chain(old).status is ChainStatus.SUPERSEDED
    assert world.chain(new).status is ChainStatus.AWAITING_APPROVAL
    world.pump()
    assert world.chain(new).status is ChainStatus.SUCCEEDED


class RestartedBeforeItsTests(MemoryEndpoints):
    """The host is restarted whenever a test of the deployment is about to begin: it has to come up again."""

    restarts = 0

    def restart(self):
        self.restarts += 1
        for endpoint in self._endpoints.values():
            for deployment in endpoint.deployments.values():
                deployment.looks_left = 3

    def describe(self, endpoint):
        """The last thing before a deployment is called ready."""
        found = super().describe(endpoint)
        self.restart()
        return found

    def set_traffic(self, endpoint, traffic):
        super().set_traffic(endpoint, traffic)
        self.restart()


def test_a_deployment_whose_host_is_restarted_before_its_tests_is_waited_for(tmp_path):
    endpoints = RestartedBeforeItsTests({"small": small_flow})
    world = World(tmp_path, endpoints=endpoints)
    chain_id = world.request()
    world.pump()
    assert world.chain(chain_id).status is ChainStatus.SUCCEEDED, world.log(chain_id)
    assert endpoints.restarts >= 2
    assert "Rollback" not in " ".join(world.log(chain_id))


def test_a_release_deploys_the_registered_version_with_the_evidence_that_registered_it(world):
    ci = world.request()
    world.pump()
    cd = world.request("cd", request_id="release", traffic=100)
    world.pump(approve=False)
    assert world.chain(cd).approval.evidence == world.chain(ci).approval.evidence
    world.pump()
    assert world.chain(cd).status is ChainStatus.SUCCEEDED, world.log(cd)
    assert world.chain(cd).flow == world.chain(ci).flow
    assert len(world.endpoints.describe("small").deployments) == 1


def test_a_release_of_what_was_never_registered_fails_with_what_to_do(world):
    cd = world.request("cd")
    world.pump()
    assert world.chain(cd).reason == "There is no registered version of small: run a ci chain first."


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"use_case": "nothing"}, "There is no use case 'nothing'"),
        ({"environment": "mars"}, "mars"),
        ({"bundle": "a" * 64}, "There is no bundle"),
        ({"variants": "shout.lod"}, "shout.loud"),
        ({"kind": "dataset"}, "needs `dataset`"),
        ({"kind": "post_production"}, "needs `dataset`"),
    ],
)
def test_a_request_that_cannot_be_met_fails_its_chain_with_the_reason(world, fields, reason):
    chain_id = world.request(**fields)
    world.pump()
    chain = world.chain(chain_id)
    assert chain.status is ChainStatus.FAILED
    assert reason in chain.reason
    assert reason in " ".join(world.log(chain_id))
    assert [n.succeeded for n in world.notifier.of_kind(NoticeKind.RESULT)] == [False]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"{}", "the key 'request_id' is missing"),
        (b'{"request_id": "r", "kind": "ci", "use_case": "u", "colour": 1}', "unknown key 'colour'"),
        (b'{"request_id": "r", "kind": "xy", "use_case": "u"}', "kind"),
        (b'{"request_id": 5, "kind": "ci", "use_case": "u"}', "request_id"),
        (b'{"request_id": "r", "kind": "ci", "use_case": "../etc"}', "use_case"),
        (b'{"request_id": "r", "kind": "ci", "use_case": "a b"}', "use_case"),
        ('{"request_id": "r", "kind": "ci", "use_case": "ü"}'.encode(), "use_case"),
        (b"\xff\xfe", "not valid"),
        (b"not json", "not valid"),
        (b" " * 200_000, "at most"),
    ],
)
def test_a_malformed_request_is_a_dead_letter_with_the_reason_and_nothing_else_stops(world, body, said):
    world.publish(Queue.CHAIN_REQUESTS, body, "bad")
    good = world.request()
    world.pump()
    (letter,) = world.dead_letters()
    assert letter.reason == "Malformed"
    assert said in letter.description
    assert letter.body == body
    assert world.chain(good).status is ChainStatus.SUCCEEDED


def test_cancelling_a_chain_stops_its_runs(tmp_path):
    slow = MemoryFlowRunner({"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, looks=1_000)
    world = World(tmp_path, runner=slow)
    chain_id = world.request()
    while "RunCell" not in (world.chain(chain_id).awaiting.values() if world.chains() else ()):
        world._deliver_one()
    while world._deliver_one():
        pass
    cancel = CancelRequested(id=f"{chain_id}/cancel", chain=chain_id, at=world.clock.now(), by="ada")
    world.publish(Queue.CHAIN_EVENTS, cancel.model_dump_json().encode(), cancel.id, session=chain_id)
    world.pump()
    assert world.chain(chain_id).status is ChainStatus.CANCELLED
    assert {slow.look(spec.name).status for spec in slow.started} == {RunStatus.CANCELLED}


def test_a_production_log_is_evaluated_without_running_the_flow(world):
    log = b'{"question": "one", "answer": "ONE"}\n{"question": "two", "answer": "two!"}\n'
    world.blobs.write("logs", "small/november/log.jsonl", log)
    chain_id = world.request("post_production", dataset=DatasetUpload(name="november", blob="small/november/log.jsonl"))
    world.pump()
    chain = world.chain(chain_id)
    assert chain.status is ChainStatus.SUCCEEDED, world.log(chain_id)
    assert chain.progress.runs_completed == chain.progress.evaluations_completed == 1
    assert [spec.flow.name for spec in world.runner.started] == ["evaluate"]
    assert world.registry.list(AssetKind.MODEL) == []
    assert b"november" in world.blobs.read("reports", f"{chain_id}/metrics.csv")


def test_a_dataset_chain_holds_the_registered_flow_against_its_baseline_and_alerts(world):
    world.request()
    world.pump()
    worse = b'{"question": "one", "answer": "1"}\n{"question": "two", "answer": "TWO"}\n'
    world.blobs.write("datasets", "small/questions/q.jsonl", worse)
    chain_id = world.request("dataset", dataset=DatasetUpload(name="questions", blob="small/questions/q.jsonl"))
    world.pump()
    chain = world.chain(chain_id)
    assert chain.status is ChainStatus.FAILED
    assert (
        "exact.accuracy of default on questions is 0.5; it must be at most 0.1 below the baseline of 1" in chain.reason
    )
    (alert,) = world.notifier.of_kind(NoticeKind.ALERT)
    assert alert.title == "small is worse on the new version of questions"
    assert len(world.registry.list(AssetKind.MODEL)) == 1


def test_a_release_goes_where_its_own_environment_says(world, tmp_path):
    overlay = "deployment:\n  endpoint: small-prod\n  sample_request: request.json\n"
    world.request(bundle=world.publish_use_case({"experiment.prod.yaml": overlay}))
    world.pump()
    release = world.request("cd", request_id="release", environment="prod")
    world.pump()
    assert world.chain(release).status is ChainStatus.SUCCEEDED, world.log(release)
    assert world.chain(release).deployment.endpoint == "small-prod"
    assert {e.name for e in world.endpoints.list()} == {"small", "small-prod"}


def test_a_changed_configuration_of_a_known_flow_counts_from_then_on(world, tmp_path):
    world.request()
    world.pump()
    text = (USE_CASES / "small" / "experiment.yaml").read_text("utf-8")
    digest = world.publish_use_case({"experiment.yaml": text.replace("endpoint: small", "endpoint: elsewhere")})
    second = world.request(request_id="r2", bundle=digest)
    world.pump()
    assert world.chain(second).deployment.endpoint == "elsewhere"
    (model,) = world.registry.list(AssetKind.MODEL)
    assert model.tags["bundle"] == digest
    assert model.tags["evidence_chain"] == second
    assert model.tags["chain"] != second, "the lineage still names the chain that registered it"


def test_deployments_without_traffic_are_removed_once_the_next_one_has_passed_its_tests(world, tmp_path):
    for number in range(4):
        code = (USE_CASES / "small" / "flows" / "small" / "loud.py").read_text("utf-8") + f"# {number}\n"
        world.request(request_id=f"r{number}", bundle=world.publish_use_case({"flows/small/loud.py": code}))
        world.pump()
    described = world.endpoints.describe("small")
    assert len(world.registry.list(AssetKind.MODEL)) == 4
    assert sorted(described.traffic.values()) == [10, 90]
    assert {d.name for d in described.deployments} == set(described.traffic)


def test_the_chains_before_a_crashed_one_are_superseded_too(world):
    def ask(number: int) -> str:
        world.clock.advance(10)
        return world.request(request_id=f"r{number}", commit=f"{number}" * 40, branch="main")

    first = ask(1)
    world.pump(approve=False)
    second = ask(2)
    real_send = world.bus.send

    def lost(queue, messages):
        if queue != "chain-events" or b"ChainSuperseded" not in messages[0].body:
            real_send(queue, messages)

    world.bus.send = lost
    world.pump(approve=False)
    world.bus.send = real_send
    assert world.chain(first).status is ChainStatus.AWAITING_APPROVAL, "nobody has told it"
    third = ask(3)
    world.pump(approve=False)
    assert [world.chain(c).status for c in (first, second)] == [ChainStatus.SUPERSEDED] * 2
    assert world.chain(third).status is ChainStatus.AWAITING_APPROVAL


def test_cancelling_the_evaluation_of_a_log_stops_it(tmp_path):
    slow = MemoryFlowRunner({"evaluate": exact}, {"evaluate": accuracy}, looks=1_000)
    world = World(tmp_path, runner=slow)
    world.blobs.write("logs", "small/november/log.jsonl", b'{"question": "one", "answer": "ONE"}\n')
    chain_id = world.request("post_production", dataset=DatasetUpload(name="november", blob="small/november/log.jsonl"))
    while "EvaluateRun" not in (world.chain(chain_id).awaiting.values() if world.chains() else ()):
        world._deliver_one()
    while world._deliver_one():
        pass
    cancel = CancelRequested(id=f"{chain_id}/cancel", chain=chain_id, at=world.clock.now(), by="ada")
    world.publish(Queue.CHAIN_EVENTS, cancel.model_dump_json().encode(), cancel.id, session=chain_id)
    world.pump()
    assert world.chain(chain_id).status is ChainStatus.CANCELLED
    assert [slow.look(spec.name).status for spec in slow.started] == [RunStatus.CANCELLED]


def test_a_use_case_and_a_dataset_name_share_no_asset_with_another_pair():
    assert data_asset_name("a-b", "c") != data_asset_name("a", "b-c")
    longest = "x" * 63
    assert data_asset_name(longest, longest) == f"{longest}.{longest}"


def test_a_failed_integration_test_restores_the_traffic_and_removes_the_new_deployment(tmp_path):
    class FailingBehindTheSplit(MemoryEndpoints):
        def invoke(self, endpoint, payload, deployment=None):
            answer = super().invoke(endpoint, payload, deployment)
            fails = deployment is None and answer.deployment.startswith("v2-")
            return replace(answer, status=500, body=b"boom") if fails else answer

    world = World(tmp_path, endpoints=FailingBehindTheSplit({"small": small_flow}))
    world.request()
    world.pump()
    before = dict(world.endpoints.describe("small").traffic)
    code = (USE_CASES / "small" / "flows" / "small" / "loud.py").read_text("utf-8") + "# another\n"
    digest = world.publish_use_case({"flows/small/loud.py": code})
    second = world.request(request_id="r2", bundle=digest, traffic=100)
    world.pump()
    chain = world.chain(second)
    assert chain.status is ChainStatus.FAILED
    assert "The integration test failed: call 1 of 3: v2-" in chain.reason
    assert "boom" in chain.reason
    described = world.endpoints.describe("small")
    assert dict(described.traffic) == before
    assert [d.name for d in described.deployments] == list(before)


def test_a_key_that_a_served_flow_repeats_reaches_no_log_and_no_state(tmp_path, monkeypatch):
    key = "SECRET-0123456789"
    connection = f'{{"api_key": "{key}", "api_base": "http://127.0.0.1:1", "api_type": "openai"}}'
    monkeypatch.setenv("mymodel", connection)

    class Telltale(MemoryEndpoints):
        def invoke(self, endpoint, payload, deployment=None):
            answer = super().invoke(endpoint, payload, deployment)
            return replace(answer, status=401, body=f"Incorrect API key provided: {key}".encode())

    world = World(tmp_path, endpoints=Telltale({"small": small_flow}))
    text = (USE_CASES / "small" / "experiment.yaml").read_text("utf-8")
    digest = world.publish_use_case({"experiment.yaml": text + "\nconnections: [mymodel]\n"})
    chain_id = world.request(bundle=digest)
    world.pump()
    assert "Incorrect API key provided: ***" in world.chain(chain_id).reason
    for container in ("chains", "results", "reports"):
        for info in world.blobs.list(container):
            assert key.encode() not in world.blobs.read(container, info.name), info.name
    assert key not in str(world.notifier.sent)


def test_whoever_answers_by_whatever_way_approves_only_the_evidence_that_was_asked_about(world):
    chain_id = world.request()
    world.pump(approve=False)
    world.blobs.write("reports", f"{chain_id}/evidence.json", b"{}")
    with pytest.raises(answers.StaleEvidence):
        answers.give(world.ports, world.chain(chain_id), approver="ada", verdict=Verdict.APPROVED)
    world.clock.advance(3600)
    with pytest.raises(BusinessFailure, match="The time for an answer passed"):
        answers.give(world.ports, world.chain(chain_id), approver="ada", verdict=Verdict.APPROVED)


def test_a_metric_that_is_no_number_misses_its_gate_as_not_measured(tmp_path):
    runner = MemoryFlowRunner({"small": small_flow, "evaluate": exact}, {"evaluate": lambda _: {"accuracy": math.nan}})
    world = World(tmp_path, runner=runner)
    chain_id = world.request()
    world.pump()
    assert world.chain(chain_id).status is ChainStatus.FAILED
    assert "no variant has the metrics on every dataset" in world.chain(chain_id).reason
    assert world.registry.list(AssetKind.MODEL) == []

"""The chain pipelines, played: their agent job step by step in a repository, then what the job without an agent publishes.

Really run: every script, git, `make` (which finds the packages installed), pytest for the use case, `validate` and `submit
--azure` with the SDKs, against Azurite and, where the agent sends, a broker. Played: the agent, `az` and the server task,
whose inputs are read as the service reads them.
"""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from azure.identity import ManagedIdentityCredential
from azure.servicebus import ServiceBusClient

from shared.adapters.azure.blobs import AzureBlobStore
from shared.adapters.queues import QueueConfig
from shared.chain.messages import ChainKind, ChainRequest, Queue, parse_request
from shared.use_case.opened import CONTAINER, bundle_blob
from tests.pipelines.agent import Agent, machine
from tests.pipelines.expressions import evaluate
from tests.pipelines.repository import ROOT, Repository
from tests.pipelines.structure import jobs_of
from tests.pipelines.templates import expand
from tests.servers.azurite import Azurite
from tests.servers.identity import IdentityEndpoint
from tests.servers.service_bus import Broker

pytestmark = pytest.mark.azurite
COLLECTION = "https://dev.azure.com/contoso"
README = "flows/ticket_triage/README.md"
Play = Callable[..., Agent]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository") / "s")


@pytest.fixture
def repository(original: Repository) -> Iterator[Repository]:
    """As it was: the packages' environment knows its own path, so all tests use one folder."""
    yield original
    original.git("reset", "--quiet", "--hard")
    original.git("clean", "--quiet", "--force", "-d")
    first = original.git("rev-list", "--max-parents=0", "HEAD")
    original.git("checkout", "--quiet", "-B", "development", first)
    for branch in original.git("branch", "--format", "%(refname:short)").split():
        if branch != "development":
            original.git("branch", "--quiet", "-D", branch)


@pytest.fixture
def account(azurite: Azurite) -> str:
    return azurite.account()


@pytest.fixture
def play(repository: Repository, identity: IdentityEndpoint, account: str, tmp_path: Path) -> Play:
    """Plays the agent job of a pipeline; `variables` are the run's own."""

    def play(
        pipeline: dict[str, Any], reason: str, branch: str, extra: dict[str, str] | None = None, **variables: str
    ) -> Agent:
        tokens = dict(zip(("STAND_IN_TOKENS", "STAND_IN_TOKENS_SECRET"), identity.environment.values(), strict=True))
        agent = Agent(
            repository.folder,
            tmp_path / "agent",
            {
                "Build.BuildId": "4711",
                "Build.Reason": reason,
                "Build.SourceBranch": branch,
                "Build.SourceVersion": repository.git("rev-parse", "HEAD"),
                "Build.RequestedForEmail": "maria@example.org",
                "Build.Repository.ID": "5f2a0c9e-6a6a-4a0b-9a51-0b6f4f3c8d11",
                "Build.Repository.Provider": "TfsGit",
                "System.CollectionUri": f"{COLLECTION}/",
                "System.TeamProjectId": "9b1c6a52-2a5f-4c0e-8f0d-3c2b1a0f9e88",
                "System.DefinitionId": "7",
                "blobServiceUri": account,
                "serviceBusNamespace": "genaiops.servicebus.windows.net",
                **variables,
            },
            {**machine(), **tokens, **(extra or {})},
            frozenset({"genaiops-dev", "genaiops-prod"}),
        )
        (job,) = [job for _, job in jobs_of(pipeline) if job["job"] == "prepare"]
        agent.run(job)
        return agent

    return play


def published(pipeline: dict[str, Any], agent: Agent) -> dict[str, dict[str, Any]]:
    """What the jobs without an agent hand to the server task, by their names; those whose condition is not met are out."""
    outputs = _Outputs(agent.outputs)
    names = {"dependencies": {"prepare": {"outputs": outputs}}}
    found = {}
    for stage, job in jobs_of(pipeline):
        if job["pool"] != "server" or not evaluate(job["condition"], names, {"canceled": lambda: False}):
            continue
        assert stage["variables"] == [{"group": "genaiops-dev"}]
        request = evaluate(job["variables"]["request"].removeprefix("$[").removesuffix("]"), names)
        inputs = dict(job["steps"][0]["inputs"])
        assert inputs["messageBody"] == "$(request)"
        assert "$(" not in request, "the service would replace it once more"
        found[job["job"]] = {**inputs, "messageBody": request}
    return found


class _Outputs(dict[str, str]):
    def __missing__(self, name: str) -> None:
        return None


def bundle(account: str, request: ChainRequest) -> list[str]:
    """The names in the stored bundle of a request."""
    assert request.bundle is not None
    blobs = AzureBlobStore(account, ManagedIdentityCredential())
    with zipfile.ZipFile(BytesIO(blobs.read(CONTAINER, bundle_blob(request.bundle)))) as archive:
        return archive.namelist()


def test_a_pull_request_asks_for_a_chain_of_the_use_case_that_it_changes(
    play: Play, repository: Repository, account: str
) -> None:
    source = repository.pull_request("shorter-$(Build.BuildId)", {README: "\nShorter.\n"})
    pipeline = expand(ROOT / "pipelines" / "pr.yml")
    pull_request = {
        "System.PullRequest.PullRequestId": "17",
        "System.PullRequest.IsFork": "False",
        "System.PullRequest.SourceCommitId": source,
        "System.PullRequest.SourceBranch": "refs/heads/shorter-$(Build.BuildId)",
        "System.PullRequest.TargetBranch": "refs/heads/development",
    }
    agent = play(pipeline, "PullRequest", "refs/pull/17/merge", **pull_request)

    assert not agent.failed, agent.steps
    assert [name for name in agent.ran() if ":" in name] == [
        "ticket_triage: validate and test",
        "ticket_triage: store the bundle and compute the request",
    ]
    assert "5 passed" in next(
        step.printed for step in agent.steps if step.name.endswith("validate and test") and step.code == 0
    )
    ((name, inputs),) = published(pipeline, agent).items()
    assert name == "publish_ticket_triage"
    assert inputs == {
        "azureSubscription": "genaiops-dev",
        "serviceBusNamespace": "$(serviceBusNamespace)",
        "serviceBusQueueName": "chain-requests",
        "messageBody": inputs["messageBody"],
        "useDataContractSerializer": False,
        "waitForCompletion": True,
    }
    request = parse_request(inputs["messageBody"].encode())
    assert (request.kind, request.environment, request.use_case) == (ChainKind.PR, "pr", "ticket_triage")
    assert (request.commit, request.pull_request, request.build_id) == (source, 17, "4711")
    assert (request.branch, request.requester) == ("shorter-$(Build.BuildId)", "maria@example.org")
    assert request.azure_devops is not None
    assert (request.azure_devops.collection, request.azure_devops.target_branch) == (COLLECTION, "development")
    names = bundle(account, request)
    assert "experiment.pr.yaml" in names
    assert not [one for one in names if "__pycache__" in one]


def test_a_fork_starts_nothing(play: Play, repository: Repository) -> None:
    repository.pull_request("theirs", {README: "\nTheirs.\n"})
    pipeline = expand(ROOT / "pipelines" / "pr.yml")
    agent = play(pipeline, "PullRequest", "refs/pull/18/merge", **{"System.PullRequest.IsFork": "True"})
    assert agent.failed
    assert "comes from a fork" in agent.issues[0]
    assert (agent.used_connections, published(pipeline, agent)) == ([], {})


def test_a_push_asks_for_all_that_was_changed_since_the_last_run_and_one_failure_keeps_back_no_other(
    play: Play, repository: Repository
) -> None:
    pipeline = expand(ROOT / "pipelines" / "ci_dev.yml")
    repository.commit("Seen", {README: "\nSeen.\n"})
    first = play(pipeline, "IndividualCI", "refs/heads/development")
    assert list(published(pipeline, first)) == ["publish_ticket_triage"]

    repository.commit("One", {"data/word_problems/easy.jsonl": "\n"})
    repository.commit("Two", {"flows/ticket_triage/tests/test_more.py": "def test_more():\n    assert 1 == 2\n"})
    repository.commit("Three", {"docs.md": "Nothing to do with a use case.\n"})
    second = play(pipeline, "IndividualCI", "refs/heads/development", **{"Build.BuildId": "4712"})
    assert second.failed
    ((name, inputs),) = published(pipeline, second).items()
    assert name == "publish_word_problems"
    request = parse_request(inputs["messageBody"].encode())
    assert (request.kind, request.environment, request.branch) == (ChainKind.CI, "dev", "development")

    # The failed run is no last one: what it had changed is still to do.
    (repository.folder / "flows/ticket_triage/tests/test_more.py").write_text("def test_more():\n    assert 1 == 1\n")
    repository.commit("Four")
    third = play(pipeline, "IndividualCI", "refs/heads/development", **{"Build.BuildId": "4713"})
    assert not third.failed
    assert sorted(published(pipeline, third)) == ["publish_ticket_triage", "publish_word_problems"]


def test_after_ci_what_ci_deploys_itself_is_left_out_and_by_hand_a_version_is_chosen(
    play: Play, repository: Repository
) -> None:
    changes = {README: "\nMore.\n", "flows/word_problems/README.md": "\nMore.\n"}
    repository.commit("Both", changes)
    pipeline = expand(ROOT / "pipelines" / "cd_dev.yml")
    after_ci = play(pipeline, "ResourceTrigger", "refs/heads/development")
    assert list(published(pipeline, after_ci)) == ["publish_word_problems"]

    chosen = {"selected": "ticket_triage", "flowVersion": "3", "traffic": "25"}
    pipeline = expand(ROOT / "pipelines" / "cd_dev.yml", chosen)
    by_hand = play(pipeline, "Manual", "refs/heads/development", **{"Build.BuildId": "4712"})
    (inputs,) = published(pipeline, by_hand).values()
    request = parse_request(inputs["messageBody"].encode())
    assert (request.kind, request.flow_version, request.traffic) == (ChainKind.CD, "3", 25)


def test_another_branch_or_an_unknown_use_case_is_refused(play: Play, repository: Repository) -> None:
    prod = play(expand(ROOT / "pipelines" / "cd_prod.yml"), "Manual", "refs/heads/development")
    assert prod.issues == ["This pipeline is for branches named release/*; this run is for development"]
    dev = play(
        expand(ROOT / "pipelines" / "ci_dev.yml", {"selected": "$(touch here)"}), "Manual", "refs/heads/development"
    )
    assert dev.failed
    assert "must be changed, all or one of" in dev.issues[0]
    assert not (repository.folder / "here").exists()


@pytest.mark.parametrize("parameter", ["selected", "environment"])
def test_what_a_person_types_gives_no_command_of_its_own(play: Play, parameter: str) -> None:
    typed = "ticket_triage\n##vso[task.setvariable variable=checked_ticket_triage]true"
    chosen = {"selected": "ticket_triage", parameter: typed}
    agent = play(expand(ROOT / "pipelines" / "ci_dev.yml", chosen), "Manual", "refs/heads/development")
    assert agent.failed
    assert "it must be" in agent.issues[0]
    assert "checked_ticket_triage" not in agent.variables
    assert not agent.outputs


def test_an_agent_may_send_the_request_itself(play: Play, repository: Repository) -> None:
    repository.commit("Change", {README: "\nMore.\n"})
    pipeline = expand(ROOT / "pipelines" / "ci_dev.yml", {"publish": "agent"})
    with Broker([QueueConfig(Queue.CHAIN_REQUESTS.value)]) as broker:
        agent = play(pipeline, "IndividualCI", "refs/heads/development", {"GENAIOPS_BUS": broker.connection_string})
        assert not agent.failed, agent.steps[-1].printed
        with (
            ServiceBusClient.from_connection_string(broker.connection_string) as client,
            client.get_queue_receiver(Queue.CHAIN_REQUESTS) as receiver,
        ):
            (message,) = receiver.receive_messages(max_wait_time=10)
            receiver.complete_message(message)
    assert parse_request(b"".join(message.body)).use_case == "ticket_triage"
    assert published(pipeline, agent) == {}
    shutil.rmtree(agent.folder)

"""`submit --azure` asks as a run of Azure Pipelines: by what each trigger sets, and by values that command nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import Result

from genaiops.cli import pipeline
from genaiops.cli.outcome import ExitCode, WrongUsage
from genaiops.cli.requesting import id_of
from shared import bootstrap, chain_store
from shared.chain.messages import ChainKind, ChainRequest, parse_request
from shared.chain.state import ChainStatus
from shared.names import chain_id
from shared.ports import Ports
from shared.use_case.opened import CONTAINER
from tests.cli import FakeBus, fake_ports, run, with_core
from tests.unit.use_case_folder import written

SOURCE = "a" * 40
MERGE = "b" * 40
PROJECT = "0c2f4f9e-57d4-43f5-9f3a-2f0d0c7b8a11"
REPOSITORY = "5c6a5d0f-93f2-4d7f-a2c3-41f7b6a8c122"

EVERY_RUN = {
    "TF_BUILD": "True",
    "BUILD_BUILDID": "4711",
    "BUILD_REASON": "IndividualCI",
    "BUILD_SOURCEVERSION": MERGE,
    "BUILD_SOURCEBRANCH": "refs/heads/main",
    "BUILD_REPOSITORY_ID": REPOSITORY,
    "BUILD_REPOSITORY_PROVIDER": "TfsGit",
    "BUILD_REQUESTEDFOR": "Maria Gruber",
    "BUILD_REQUESTEDFOREMAIL": "maria@example.org",
    "SYSTEM_COLLECTIONURI": "https://dev.azure.com/example/",
    "SYSTEM_TEAMPROJECTID": PROJECT,
    "SYSTEM_STAGEATTEMPT": "1",
    "SYSTEM_JOBATTEMPT": "1",
}
PULL_REQUEST = {
    **EVERY_RUN,
    "BUILD_REASON": "PullRequest",
    "BUILD_SOURCEBRANCH": "refs/pull/17/merge",
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "17",
    "SYSTEM_PULLREQUEST_SOURCECOMMITID": SOURCE,
    "SYSTEM_PULLREQUEST_SOURCEBRANCH": "refs/heads/shorter/answers",
    "SYSTEM_PULLREQUEST_TARGETBRANCH": "refs/heads/main",
}
IN_GITHUB = {"BUILD_REPOSITORY_PROVIDER": "GitHub", "BUILD_REPOSITORY_ID": "example/flows"}
GITHUB_PULL_REQUEST = {
    **PULL_REQUEST,
    **IN_GITHUB,
    "SYSTEM_PULLREQUEST_PULLREQUESTID": "2210347789",
    "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER": "12",
    "SYSTEM_PULLREQUEST_TARGETBRANCH": "main",
}
SCHEDULED = {
    **EVERY_RUN,
    "BUILD_REASON": "Schedule",
    "BUILD_REQUESTEDFOR": "Microsoft.VisualStudio.Services.TFS",
    "BUILD_REQUESTEDFOREMAIL": "",
}
TAG = {**EVERY_RUN, "BUILD_SOURCEBRANCH": "refs/tags/v1.4"}

Submit = Callable[..., Result]


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Ports, FakeBus]:
    """A use case, and the ports that a publisher gets: no more than blobs and bus."""
    written(tmp_path)
    ports, bus = fake_ports(tmp_path / "home", monkeypatch, GENAIOPS_ROOT=str(tmp_path))
    absent: Any = None
    made = replace(ports, runner=absent, registry=absent, endpoints=absent)
    monkeypatch.setattr(bootstrap, "publishing_ports", lambda *, sends: made)
    for name in {*GITHUB_PULL_REQUEST, *EVERY_RUN}:
        monkeypatch.delenv(name, raising=False)
    return made, bus


@pytest.fixture
def submit(published: object, monkeypatch: pytest.MonkeyPatch) -> Submit:
    del published

    def submit(variables: Mapping[str, str], *arguments: str) -> Result:
        with monkeypatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            return run("submit", "greetings", "--azure", "--no-environment", *arguments)

    return submit


def as_agent(output: str) -> dict[str, str]:
    """The output variables that the agent reads from a step's output, by its own rules (`Command.TryParse`)."""
    found = {}
    for line in output.splitlines():
        start = line.find("##vso[")
        if start < 0:
            assert "##[" not in line
            continue
        head, _, data = line[start + 6 :].partition("]")
        command, _, properties = head.partition(" ")
        assert command == "task.setvariable"
        named = dict(pair.split("=", 1) for pair in properties.split(";"))
        assert named["isOutput"] == "true"
        found[unescaped(named["variable"])] = unescaped(data)
    return found


def unescaped(text: str) -> str:
    for code, character in (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]"), ("%AZP25", "%")):
        text = text.replace(code, character)
    return text


def requested(result: Result) -> ChainRequest:
    assert result.exit_code == ExitCode.OK, result.stderr
    return parse_request(as_agent(result.stdout)["request"].encode())


# ------------------------------------------------------------------------------------------------------ each trigger


def test_a_pull_requests_run_names_its_branchs_commit_and_not_the_merge(submit: Submit) -> None:
    request = requested(submit(PULL_REQUEST, "--kind", "pr", "--to-variable", "request"))
    assert (request.commit, request.branch, request.pull_request) == (SOURCE, "shorter/answers", 17)
    assert (request.build_id, request.requester) == ("4711", "maria@example.org")
    block = request.azure_devops
    assert block is not None
    assert (block.collection, block.project, block.run) == ("https://dev.azure.com/example", PROJECT, 4711)
    assert (block.repository, block.target_branch) == (REPOSITORY, "main")


@pytest.mark.parametrize("reason", ["IndividualCI", "BatchedCI", "Manual", "ResourceTrigger"])
def test_a_merges_run_names_the_commit_of_its_branch(submit: Submit, reason: str) -> None:
    request = requested(submit({**EVERY_RUN, "BUILD_REASON": reason}, "--to-variable", "request"))
    assert (request.commit, request.branch, request.pull_request) == (MERGE, "main", None)
    assert request.azure_devops is not None
    assert (request.azure_devops.repository, request.azure_devops.target_branch) == (REPOSITORY, None)


def test_a_scheduled_run_is_asked_for_by_the_service_which_has_no_address(submit: Submit) -> None:
    assert requested(submit(SCHEDULED, "--to-variable", "request")).requester == "Microsoft.VisualStudio.Services.TFS"


def test_a_tag_is_no_branch_and_keeps_its_full_name(submit: Submit) -> None:
    assert requested(submit(TAG, "--to-variable", "request")).branch == "refs/tags/v1.4"


def test_a_pull_request_in_github_has_its_number_and_no_repository_of_azure_repos(submit: Submit) -> None:
    request = requested(submit(GITHUB_PULL_REQUEST, "--kind", "pr", "--to-variable", "request"))
    assert (request.commit, request.branch, request.pull_request) == (SOURCE, "shorter/answers", 12)
    assert request.azure_devops is not None
    assert request.azure_devops.repository is None


def test_the_older_name_of_the_organisations_variable_does(submit: Submit) -> None:
    older = {name: value for name, value in EVERY_RUN.items() if name != "SYSTEM_COLLECTIONURI"}
    older["SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"] = "https://example.visualstudio.com/"
    request = requested(submit(older, "--to-variable", "request"))
    assert request.azure_devops is not None
    assert request.azure_devops.collection == "https://example.visualstudio.com"


def test_options_win_over_variables(submit: Submit) -> None:
    given = ("--commit", "c" * 40, "--branch", "release", "--requester", "ali@example.org", "--build-id", "x-1")
    request = requested(submit(EVERY_RUN, "--to-variable", "request", *given))
    assert (request.commit, request.branch, request.requester) == ("c" * 40, "release", "ali@example.org")
    assert request.build_id == "x-1"


def test_every_variable_that_is_missing_is_named_at_once(submit: Submit) -> None:
    refused = submit({"BUILD_REPOSITORY_PROVIDER": "TfsGit", "BUILD_SOURCEBRANCH": "$(Build.SourceBranch)"}, "--send")
    assert refused.exit_code == ExitCode.USAGE
    for name in (
        *("BUILD_BUILDID", "BUILD_SOURCEVERSION", "BUILD_SOURCEBRANCH", "BUILD_REPOSITORY_ID", "SYSTEM_TEAMPROJECTID"),
        "SYSTEM_COLLECTIONURI or SYSTEM_TEAMFOUNDATIONCOLLECTIONURI",
        "BUILD_REQUESTEDFOREMAIL or BUILD_REQUESTEDFOR",
    ):
        assert f"{name} is missing" in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("name", [name for name in PULL_REQUEST if name.startswith("SYSTEM_PULLREQUEST_")])
def test_a_pull_requests_run_needs_all_that_says_which(submit: Submit, name: str) -> None:
    left = {key: value for key, value in PULL_REQUEST.items() if key != name}
    refused = submit(left, "--kind", "pr", "--send")
    assert refused.exit_code == ExitCode.USAGE
    assert f"{name} is missing" in refused.stderr


def test_a_collection_that_no_token_may_be_sent_to_is_refused(submit: Submit) -> None:
    refused = submit({**EVERY_RUN, "SYSTEM_COLLECTIONURI": "http://tfs.example.org/tfs"}, "--send")
    assert refused.exit_code == ExitCode.USAGE
    assert "collection" in refused.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--send", "--to-variable", "request"),
        ("--to-variable", "chain"),
        ("--to-variable", "a b"),
        ("--to-variable", "a;isSecret=true"),
        ("--to-variable", "request", "--wait"),
        ("--to-variable", "request", "--json"),
    ],
)
def test_ways_that_exclude_each_other_are_wrong_usage(
    submit: Submit, published: tuple[Ports, FakeBus], arguments: tuple[str, ...]
) -> None:
    assert submit(EVERY_RUN, *arguments).exit_code == ExitCode.USAGE
    assert published[1].sent == []
    assert list(published[0].blobs.list(CONTAINER)) == []


def test_without_azure_there_is_nothing_to_hand_on(published: object) -> None:
    del published
    assert run("submit", "greetings", "--send").exit_code == ExitCode.USAGE
    assert run("submit", "greetings", "--to-variable", "request").exit_code == ExitCode.USAGE


# ------------------------------------------------------------------------------------------- bundle, request, message


def test_the_bundle_is_stored_once_and_the_step_says_which(submit: Submit, published: tuple[Ports, FakeBus]) -> None:
    first = submit(EVERY_RUN, "--to-variable", "request")
    digest = requested(first).bundle
    assert f"The bundle {digest} was stored." in first.stdout
    again = submit({**EVERY_RUN, "BUILD_BUILDID": "4712"}, "--to-variable", "request")
    assert f"The bundle {digest} is stored already." in again.stdout
    assert [info.name for info in published[0].blobs.list(CONTAINER)] == [f"{digest}.zip"]
    assert requested(again).request_id != requested(first).request_id


def test_the_same_run_asks_for_the_same_chain_and_a_further_attempt_for_another(submit: Submit) -> None:
    first = as_agent(submit(EVERY_RUN, "--to-variable", "request").stdout)
    assert as_agent(submit(EVERY_RUN, "--to-variable", "request").stdout) == first
    request = parse_request(first["request"].encode())
    assert first["chain"] == chain_id("greetings", ChainKind.CI, request.request_id)
    for attempt in ("SYSTEM_STAGEATTEMPT", "SYSTEM_JOBATTEMPT"):
        rerun = as_agent(submit({**EVERY_RUN, attempt: "2"}, "--to-variable", "request").stdout)
        assert rerun["chain"] != first["chain"]


def test_sent_and_handed_on_is_the_same_request(submit: Submit, published: tuple[Ports, FakeBus]) -> None:
    handed_on = requested(submit(EVERY_RUN, "--to-variable", "request"))
    assert submit(EVERY_RUN, "--send").exit_code == ExitCode.OK
    assert submit(EVERY_RUN, "--send").exit_code == ExitCode.OK
    assert published[1].requests() == [handed_on, handed_on]
    assert len({message.message_id for _, message in published[1].sent}) == 1


def test_a_step_that_waits_reads_bundles_and_chains_alone_and_ends_as_the_chain_does(
    submit: Submit, published: tuple[Ports, FakeBus], monkeypatch: pytest.MonkeyPatch
) -> None:
    ports, bus = published
    with_core(ports, bus)
    containers: set[str] = set()

    class Watched:
        """The blob store as the publisher sees it."""

        def __getattr__(self, name: str) -> Any:
            def call(container: str, *arguments: Any, **options: Any) -> Any:
                containers.add(container)
                return getattr(ports.blobs, name)(container, *arguments, **options)

            return call

    watched: Any = Watched()
    monkeypatch.setattr(bootstrap, "publishing_ports", lambda *, sends: replace(ports, blobs=watched))
    not_yet = submit(EVERY_RUN, "--send", "--wait", "--timeout", "0")
    assert not_yet.exit_code == ExitCode.TIMED_OUT, not_yet.stderr
    (request,) = bus.requests()
    chain, etag = chain_store.load(ports.blobs, id_of(request))
    assert chain.request == request
    ended = chain.model_copy(update={"status": ChainStatus.SUCCEEDED, "ended_at": chain.updated_at})
    chain_store.save(ports.blobs, ended, etag)
    done = submit(EVERY_RUN, "--send", "--wait")
    assert done.exit_code == ExitCode.OK, done.stderr
    assert f"{chain.id} ended as succeeded" in done.stdout
    assert containers == {"bundles", "chains"}


def test_no_folder_of_the_agent_is_in_the_message(submit: Submit, tmp_path: Path) -> None:
    result = submit(PULL_REQUEST, "--kind", "pr", "--to-variable", "request")
    assert str(tmp_path) not in as_agent(result.stdout)["request"]


def test_what_validate_refuses_is_refused_before_anything_is_stored(
    submit: Submit, published: tuple[Ports, FakeBus], tmp_path: Path
) -> None:
    experiment = tmp_path / "flows" / "greetings" / "experiment.yaml"
    experiment.write_text(experiment.read_text() + "\nsurprise: '##vso[task.setvariable variable=request]{}'\n")
    refused = submit(EVERY_RUN, "--to-variable", "request")
    assert refused.exit_code == ExitCode.NO
    assert "surprise" in refused.stderr
    assert as_agent(refused.stdout + refused.stderr) == {}
    assert list(published[0].blobs.list(CONTAINER)) == []
    assert submit(EVERY_RUN, "--to-variable", "request", "--variants", "verbose").exit_code == ExitCode.NO


def test_no_text_that_a_step_prints_is_a_command(submit: Submit) -> None:
    hostile = "###vso[task.setvariable variable=PATH]/tmp ##[group]"
    refused = submit({**EVERY_RUN, "BUILD_BUILDID": hostile}, "--send")
    assert refused.exit_code == ExitCode.USAGE
    assert "vso[task.setvariable" in refused.stderr
    assert "##" not in refused.stdout + refused.stderr


# ------------------------------------------------------------------------------------------------- logging commands


@given(st.text(max_size=300), st.text(alphabet="%;]\r\n#[VSOAZP2530DB$()", max_size=60))
def test_the_agent_reads_what_was_escaped(plain: str, tricky: str) -> None:
    for text in (plain, tricky, plain + tricky):
        escaped = pipeline.escaped(text)
        assert unescaped(escaped) == text
        assert not set(escaped) & set(";]\r\n")
        line = pipeline.set_variable("request", text)
        if not re.search(
            "[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]", text
        ):  # where Python's lines end, and the agent's do not
            assert as_agent(line) == {"request": text}


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1, max_size=250), st.data())
def test_a_message_in_a_variable_stays_what_it_is_whatever_the_agent_undoes(branch: str, data: st.DataObject) -> None:
    tricky = data.draw(st.sampled_from(["", "%AZP25", "%3B", "$(System.AccessToken)", "##vso[x.y]", "ü\n"]))
    request = ChainRequest(
        request_id="r", kind=ChainKind.PR, use_case="greetings", branch=(tricky + branch)[:250], requester="x"
    )
    text = pipeline.message_of(request)
    assert parse_request(text.encode()) == request
    assert pipeline.escaped(text) == text  # nothing to undo: an agent that undoes less, or more, reads the same
    assert "$(" not in text
    assert "##" not in text
    assert text.isascii()
    assert json.loads(text)["type"] == "ChainRequest"


@pytest.mark.parametrize("name", ["", "1st", "a-b", "x]y", "Chain", "a\nb", "ü"])
def test_a_name_that_is_no_variables_is_refused(name: str) -> None:
    with pytest.raises(WrongUsage, match="--to-variable"):
        pipeline.checked_variable(name)

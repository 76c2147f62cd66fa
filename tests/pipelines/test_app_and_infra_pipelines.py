"""functions.yml and infra.yml, played in their order: what is built in one job is what the later ones deploy.

Really run: every script, git, packing the app and listing its functions, the hook that subscribes to uploads. A stand-in
plays `az`, and `make` in front of the suite, which is running already; artifacts and stages are the played agent's.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines.agent import Agent, machine
from tests.pipelines.repository import ROOT, Repository
from tests.pipelines.structure import jobs_of
from tests.pipelines.templates import expand

CONNECTIONS = frozenset({"genaiops-infra-dev", "genaiops-infra-prod"})
GROUP = {"resourceGroup": "rg-genaiops-dev", "functionApp": "func-genaiops-dev", "datasetsTopic": "evgt-datasets"}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    return Repository(tmp_path_factory.mktemp("repository") / "s")


class Run:
    """A run of a pipeline: its jobs on one machine each, `az` answering as the test has laid out."""

    def __init__(self, repository: Repository, folder: Path, pipeline: dict[str, Any]) -> None:
        self.repository, self.folder, self.answers = repository, folder / "run", folder / "answers"
        self.answers.mkdir()
        self.jobs = {stage["stage"]: job for stage, job in jobs_of(pipeline)}

    def play(self, stage: str, **variables: str) -> Agent:
        more = {"STAND_IN_ANSWERS": str(self.answers), **variables}
        run = {"Build.BuildId": "81", "Build.SourceBranch": "refs/heads/development", **GROUP}
        agent = Agent(self.repository.folder, self.folder, run, {**machine(), **more}, CONNECTIONS)
        agent.run(self.jobs[stage])
        return agent

    def asked(self) -> list[list[str]]:
        """What `az` was asked, in order."""
        file = self.answers / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.is_file() else []


@pytest.fixture
def functions(repository: Repository, tmp_path: Path) -> Run:
    return Run(repository, tmp_path, expand(ROOT / "pipelines" / "functions.yml", {"test": "nothing"}))


def test_the_package_is_the_app_without_tests_and_the_same_content_gives_the_same_bytes(
    functions: Run, repository: Repository
) -> None:
    digests = set()
    for number in range(2):
        (repository.folder / "shared" / "left_over.pyc").write_text(f"nobody has added this: {number}")
        (repository.folder / "host.json").touch()
        agent = functions.play("build")
        assert not agent.failed, agent.steps[-2].printed
        app = functions.folder / "staging" / "app" / "app.zip"
        digests.add(hashlib.sha256(app.read_bytes()).hexdigest())
        with zipfile.ZipFile(app) as archive:
            names = archive.namelist()
        artifact = functions.folder / "artifacts" / "app"
        artifact.rename(functions.folder / f"artifact-{number}")
    assert len(digests) == 1
    assert {
        "function_app.py",
        "host.json",
        "requirements.txt",
        "shared/advance.py",
        "functions/chain_requests.py",
    } <= set(names)
    assert "flows/ticket_triage/experiment.yaml" in names
    assert "data/ticket_triage/tickets_web.jsonl" in names
    assert {name.split("/")[0] for name in names}.isdisjoint(
        {"tests", "genaiops", "pipelines", "infra", ".venv", ".git"}
    )
    assert not [name for name in names if "/tests/" in name or name.endswith(".pyc")]
    assert names == sorted(names)
    listed = (functions.folder / "artifact-0" / "functions.txt").read_text().split()
    assert {"chain_requests", "chain_events", "dataset_changes", "dashboard"} <= set(listed)


def test_the_package_is_deployed_and_waited_for_and_uploads_are_subscribed_to(functions: Run) -> None:
    assert not functions.play("build").failed
    all_of_them = (functions.folder / "artifacts" / "app" / "functions.txt").read_text().split()
    for name, found in {"1": ["dashboard"], "2": all_of_them}.items():
        lines = "".join(f"func-genaiops-dev/{one}\n" for one in found)
        (functions.answers / f"functionapp-function-list.{name}.txt").write_text(lines)
    (functions.answers / "functionapp-deployment-source-config-zip.txt").touch()
    (functions.answers / "functionapp-keys-list.txt").write_text("true\n")
    (functions.answers / "deployment-group-create.txt").write_text("{}\n")
    agent = functions.play("deploy_dev", PAUSE_S="0")
    assert not agent.failed, agent.steps
    assert "still missing: approval_checks, approval_report" in agent.steps[3].printed
    assert agent.used_connections == ["genaiops-infra-dev"] * 3
    deployed, *_, subscribed = functions.asked()
    assert deployed[:4] == ["functionapp", "deployment", "source", "config-zip"]
    given = dict(zip(deployed[4::2], deployed[5::2], strict=True))
    assert Path(given["--src"]).read_bytes() == (functions.folder / "artifacts" / "app" / "app.zip").read_bytes()
    assert (given["--build-remote"], given["--name"]) == ("true", "func-genaiops-dev")
    assert subscribed[:3] == ["deployment", "group", "create"]


def test_an_app_that_does_not_come_up_fails_the_deployment(functions: Run) -> None:
    assert not functions.play("build").failed
    (functions.answers / "functionapp-deployment-source-config-zip.txt").touch()
    (functions.answers / "functionapp-function-list.txt").write_text("func-genaiops-dev/dashboard\n")
    agent = functions.play("deploy_dev", PAUSE_S="0", ATTEMPTS="2")
    assert agent.failed
    assert agent.issues == [
        "Functions are missing in func-genaiops-dev. Its log says which settings are missing or wrong."
    ]
    assert "Subscribe to uploads of datasets" not in agent.ran()


def test_the_infrastructure_is_built_compared_and_deployed_as_it_was_compared(
    repository: Repository, tmp_path: Path
) -> None:
    run = Run(repository, tmp_path, expand(ROOT / "pipelines" / "infra.yml"))
    (run.answers / "deployment-group-what-if.txt").write_text("Resource changes: 1 to create.\n")
    (run.answers / "deployment-group-create.txt").write_text("{}\n")
    assert not run.play("check").failed
    built = {
        path.name: json.loads(path.read_text())["built from"]
        for path in (run.folder / "artifacts" / "templates").iterdir()
    }
    assert built == {"main.json": "main.bicep", "dev.json": "dev.bicepparam", "prod.json": "prod.bicepparam"}

    compared = run.play("what_if_dev")
    assert not compared.failed, compared.steps
    assert "1 to create" in (run.folder / "temp" / "what-if.md").read_text()
    deployed = run.play("deploy_dev")
    assert not deployed.failed, deployed.steps
    what_if, create = (
        dict(zip(call[3::2], call[4::2], strict=False)) for call in run.asked() if call[0] == "deployment"
    )
    for option in ("--resource-group", "--template-file", "--parameters"):
        assert what_if[option] == create[option]
    assert create["--name"] == "genaiops-81"


@pytest.mark.parametrize("name", ["functions.yml", "infra.yml"])
def test_nothing_is_deployed_for_a_pull_request_or_from_another_branch(name: str) -> None:
    from tests.pipelines.expressions import evaluate

    pipeline = expand(ROOT / "pipelines" / name)
    met = []
    for reason, branch in [
        ("IndividualCI", "refs/heads/development"),
        ("IndividualCI", "refs/heads/release/1.2"),
        ("PullRequest", "refs/pull/17/merge"),
        ("Manual", "refs/heads/somebody/tries"),
        ("Manual", "refs/heads/development-of-mine"),
        ("Manual", "refs/heads/released"),
    ]:
        names = {"variables": {"Build.Reason": reason, "Build.SourceBranch": branch}}
        conditions = {
            stage["stage"]: stage["condition"] for stage in pipeline["stages"][1:] if "variables" in stage["condition"]
        }
        met.append([stage for stage, text in conditions.items() if evaluate(text, names, {"succeeded": lambda: True})])
    first = "deploy" if name == "functions.yml" else "what_if"
    assert met == [[f"{first}_dev"], [f"{first}_prod"], [], [], [], []]
    logged_in = [stage["stage"] for stage, job in jobs_of(pipeline) if "AzureCLI@2" in str(job)]
    assert all(stage.startswith(("deploy_", "what_if_")) for stage in logged_in)


def test_before_packaging_the_whole_suite_runs_and_its_results_are_published(
    repository: Repository, tmp_path: Path
) -> None:
    run = Run(repository, tmp_path, expand(ROOT / "pipelines" / "functions.yml"))
    agent = run.play("build", STAND_IN_MAKE="1")
    assert not agent.failed, agent.steps
    assert agent.ran()[3:] == [
        "Install the locked packages",
        "Style, types and the whole suite",
        "Publish test results",
        "Package",
        "Publish the package",
    ]

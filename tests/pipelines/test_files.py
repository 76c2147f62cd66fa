"""Every file of `pipelines/`: its language, every way in which it can be expanded, and what its scripts and pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.pipelines import schema, structure
from tests.pipelines.templates import TemplateError, expand, read

ROOT = Path(__file__).parents[2]
PIPELINES = ROOT / "pipelines"
FILES = sorted(PIPELINES.glob("*.yml"))
TEMPLATES = sorted(PIPELINES.glob("templates/*.yml"))
CHAINS = [path for path in FILES if read(path).get("extends")]
PAGE = ROOT / "docs" / "reference" / "pipelines.md"
GROUP = frozenset({"blobServiceUri", "serviceBusNamespace", "resourceGroup", "functionApp", "datasetsTopic"})
"""The variables that a variable group must hold."""


def ways(path: Path) -> Iterator[dict[str, Any]]:
    """Parameters to expand a file with: its defaults, and each parameter's further values."""
    yield {}
    for parameter in read(path)["parameters"]:
        for value in parameter.get("values", [True, False] if parameter["type"] == "boolean" else []):
            yield {parameter["name"]: value}
    if path in CHAINS:
        yield {"publish": "agent", "agentWaits": True, "waitMinutes": 4_320}
        yield {"useCases": ["with-dashes", "one_more"], "selected": "all", "queue": "other"}


ALL_WAYS = [pytest.param(path, given, id=f"{path.stem}-{given}") for path in FILES for given in ways(path)]


@pytest.mark.parametrize("path", [*FILES, *TEMPLATES], ids=lambda path: path.name)
def test_a_file_as_it_stands_is_what_the_schema_allows(path: Path) -> None:
    assert schema.problems(read(path)) == []


@pytest.mark.parametrize(("path", "given"), ALL_WAYS)
def test_a_file_expands_to_a_pipeline_that_can_run(path: Path, given: dict[str, Any]) -> None:
    pipeline = expand(path, given)
    assert schema.problems(pipeline) == []
    assert structure.problems(pipeline, GROUP) == []


@pytest.mark.parametrize("path", CHAINS, ids=lambda path: path.stem)
def test_by_default_a_task_without_an_agent_publishes_and_waits(path: Path) -> None:
    pipeline = expand(path)
    agent, *servers = [job for _, job in structure.jobs_of(pipeline)]
    use_cases = sorted(folder.parent.name for folder in (ROOT / "flows").glob("*/experiment.yaml"))
    assert agent["timeoutInMinutes"] <= 20
    assert [job["job"].removeprefix("publish_") for job in servers] == use_cases
    for job in servers:
        (task,) = job["steps"]
        assert task["timeoutInMinutes"] == job["timeoutInMinutes"] >= 60  # an approval's default
        assert task["inputs"] == {
            "azureSubscription": agent["steps"][-1]["inputs"]["azureSubscription"],
            "serviceBusNamespace": "$(serviceBusNamespace)",
            "serviceBusQueueName": "chain-requests",
            "messageBody": "$(request)",
            "useDataContractSerializer": False,
            "waitForCompletion": True,
        }


@pytest.mark.parametrize("path", CHAINS, ids=lambda path: path.stem)
def test_fire_and_forget_differs_in_waiting_alone_and_an_agent_needs_no_server_task(path: Path) -> None:
    _, *forgetting = [job for _, job in structure.jobs_of(expand(path, {"publish": "forget"}))]
    assert {job["steps"][0]["inputs"]["waitForCompletion"] for job in forgetting} == {False}
    assert max(job["timeoutInMinutes"] for job in forgetting) <= 10
    (only,) = [job for _, job in structure.jobs_of(expand(path, {"publish": "agent"}))]
    assert only["job"] == "prepare"


def test_no_text_that_a_person_may_choose_is_written_into_a_script() -> None:
    for path in [*FILES, *TEMPLATES]:
        for script in _scripts(read(path)):
            assert "${{" not in script, path.name


def _scripts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (text for key, text in value.items() if key in ("bash", "inlineScript", "script", "pwsh"))
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _scripts(inner)


def test_scripts_are_bash_without_a_finding_of_shellcheck(tmp_path: Path) -> None:
    scripts: dict[str, str] = {}
    for path in FILES:
        for given in ways(path):
            for stage, job in structure.jobs_of(expand(path, given)):
                for step in structure.steps_of(job):
                    if (script := structure.script_of(step)) is not None:
                        scripts.setdefault(script, f"{path.stem}-{stage['stage']}-{len(scripts)}.sh")
    assert len(scripts) >= 9
    for script, name in scripts.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\n{script}\n")
    for name in scripts.values():
        subprocess.run(["bash", "-n", name], cwd=tmp_path, check=True)
    shellcheck = Path(sys.executable).parent / "shellcheck"
    found = subprocess.run([shellcheck, *scripts.values()], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.stdout + found.stderr == ""


def test_the_page_names_every_file_parameter_variable_and_service_connection() -> None:
    page = PAGE.read_text("utf-8")
    names = {path.name for path in [*FILES, *TEMPLATES]} | GROUP
    for path in FILES:
        names |= {parameter["name"] for parameter in read(path)["parameters"]}
        for one in structure.strings(expand(path)):
            names |= set(re.findall(r"^genaiops-(?:infra-|functions-)?(?:dev|prod)$", one))
    assert sorted(name for name in names if f"`{name}`" not in page) == []


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"publish": "later"}, "is none of"),
        ({"waitMinutes": "long"}, "which is no number"),
        ({"agentWaits": "yes"}, "which is no boolean"),
        ({"useCase": "x"}, "there is no parameter useCase"),
    ],
)
def test_wrong_parameters_are_refused(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(TemplateError, match=said):
        expand(PIPELINES / "pr.yml", wrong)


def test_the_checks_find_what_is_wrong() -> None:
    def changed(change: Any) -> list[str]:
        pipeline = expand(PIPELINES / "pr.yml")
        agent, server, *_ = pipeline["stages"][0]["jobs"]
        change(agent, server)
        return structure.problems(pipeline, GROUP) + schema.problems(pipeline)

    assert any(
        "cannot run without an agent" in text for text in changed(lambda a, s: s["steps"].append({"bash": "true"}))
    )
    assert any("is nothing before it" in text for text in changed(lambda a, s: s.update(dependsOn="prepared")))
    assert any("no output" in text for text in changed(lambda a, s: a["steps"][-7].pop("name")))
    assert any(
        "no variable" in text for text in changed(lambda a, s: s["steps"][0]["inputs"].update(messageBody="$(body)"))
    )
    assert any(
        "replaced in its text" in text
        for text in changed(lambda a, s: a["steps"][1].update(bash="$(Build.SourceBranch)"))
    )
    assert any("required" in text for text in changed(lambda a, s: s["steps"][0]["inputs"].pop("serviceBusNamespace")))
    assert any("first key" in text for text in changed(_name_first))


def _name_first(agent: Any, server: Any) -> None:
    (step,) = server["steps"]
    server["steps"] = [{"displayName": step.pop("displayName"), **step}]

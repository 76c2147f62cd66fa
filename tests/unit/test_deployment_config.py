"""`configs/deployment_config.json`, `sample-request.json` and the block `deployment`: which one says what."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.use_case.model import Deployment
from tests.unit.use_case_folder import change, loaded, only_problem, put, written

FILE = "configs/deployment_config.json"
BLOCK = "deployment:\n  endpoint: greetings\n  traffic: 10\n  after_ci: true\n  sample_request: sample.json\n"
REST = "  expected_outputs: [label]\n  max_latency_ms: 2000\n  test_calls: 3\n"


def managed(**changes: Any) -> dict[str, Any]:
    """An entry in the template's shape; a value of None leaves the key out."""
    entry = {
        "ENV_NAME": "dev",
        "TEST_FILE_PATH": "sample-request.json",
        "ENDPOINT_NAME": "greet01e",
        "ENDPOINT_DESC": "An online endpoint",
        "PRIOR_DEPLOYMENT_TRAFFIC_ALLOCATION": "",
        "CURRENT_DEPLOYMENT_NAME": "greet01d",
        "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION": "100",
        "DEPLOYMENT_INSTANCE_COUNT": 1,
        "ENVIRONMENT_VARIABLES": {"example-name": "example-value"},
        **changes,
    }
    return {key: value for key, value in entry.items() if value is not None}


def config(folder: Path, **lists: list[dict[str, Any]]) -> Path:
    return put(folder, FILE, json.dumps(lists, indent=2))


def deployed(folder: Path, environment: str = "dev") -> Deployment:
    found = loaded(folder, environment).deployment
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A use case as the template has it: without a block `deployment`."""
    folder = written(tmp_path)
    change(folder, "experiment.yaml", BLOCK + REST, "")
    put(folder, "sample-request.json", '{"text": "hello"}')
    return folder


def test_the_entry_of_the_environment_is_the_deployment(folder: Path) -> None:
    webapp = {"ENV_NAME": "dev", "TEST_FILE_PATH": "sample-request.json", "WEB_APP_NAME": "greet01w"}
    config(
        folder,
        azure_managed_endpoint=[managed(ENV_NAME="prod"), managed(CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION=30)],
        kubernetes_endpoint=[],
        webapp_endpoint=[webapp],
    )

    deployment = deployed(folder)

    assert (deployment.endpoint, deployment.traffic, deployment.after_ci) == ("greet01e", 30, False)
    assert deployment.sample_request == folder / "sample-request.json"
    assert deployment.environment_variables == {"example-name": "example-value"}
    assert [target.kind for target in deployment.targets] == ["azure_managed_endpoint", "webapp_endpoint"]
    assert deployment.targets[1].options == webapp


def test_an_entry_without_a_name_leaves_it_to_the_next_one_or_to_the_use_case(folder: Path) -> None:
    nameless = managed(ENDPOINT_NAME="", CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION="")
    config(folder, azure_managed_endpoint=[nameless], kubernetes_endpoint=[managed(ENDPOINT_NAME="k8s01e")])
    assert deployed(folder).endpoint == "k8s01e"

    config(folder, azure_managed_endpoint=[nameless])
    assert (deployed(folder).endpoint, deployed(folder).traffic) == ("greetings", 100)


def test_without_an_entry_for_the_environment_nothing_is_deployed(folder: Path) -> None:
    config(folder, azure_managed_endpoint=[managed(ENV_NAME="prod")])

    assert loaded(folder).deployment is None


def test_beside_a_block_the_file_only_adds_targets(tmp_path: Path) -> None:
    folder = written(tmp_path)
    config(folder, azure_managed_endpoint=[managed(ENDPOINT_NAME="other", TEST_FILE_PATH="nowhere.json")])

    deployment = deployed(folder)

    assert (deployment.endpoint, deployment.traffic, deployment.after_ci) == ("greetings", 10, True)
    assert deployment.environment_variables == {}
    assert [target.options["ENDPOINT_NAME"] for target in deployment.targets] == ["other"]


def test_the_file_alone_is_served_by_the_entry_that_names_the_endpoint(folder: Path) -> None:
    config(
        folder,
        azure_managed_endpoint=[managed(ENDPOINT_NAME="")],
        kubernetes_cluster=[managed(ENDPOINT_NAME="other")],
    )

    target = deployed(folder).target
    assert target is not None
    assert (target.kind, target.options["ENDPOINT_NAME"]) == ("kubernetes_cluster", "other")


def test_a_block_is_served_by_the_first_entry_or_by_the_one_that_it_names(tmp_path: Path) -> None:
    folder = written(tmp_path)
    assert deployed(folder).target is None
    config(folder, azure_managed_endpoint=[managed()], kubernetes_cluster=[managed()])

    first = deployed(folder).target
    change(folder, "experiment.yaml", "  traffic: 10\n", "  traffic: 10\n  target: kubernetes_cluster\n")
    named = deployed(folder).target

    assert first is not None
    assert named is not None
    assert (first.kind, named.kind) == ("azure_managed_endpoint", "kubernetes_cluster")


def test_a_target_without_an_entry_is_told_with_those_there_are(tmp_path: Path) -> None:
    folder = written(tmp_path)
    config(folder, azure_managed_endpoint=[managed()])
    change(folder, "experiment.yaml", "  traffic: 10\n", "  traffic: 10\n  target: webapp_endpoint\n")

    problem = only_problem(folder)

    assert problem.key == "deployment.target"
    assert "expected one of: azure_managed_endpoint" in problem.message


def test_an_overlay_with_an_empty_block_deploys_nothing(folder: Path) -> None:
    config(folder, azure_managed_endpoint=[managed(), managed(ENV_NAME="pr")])
    put(folder, "experiment.pr.yaml", "deployment:\n")

    assert loaded(folder, "pr").deployment is None
    assert deployed(folder).endpoint == "greet01e"


@pytest.mark.parametrize(
    ("sample", "says"),
    [
        (None, "there is no file 'sample-request.json'"),
        ("[1]", "must hold one JSON object"),
        ("{\n  broken", "line 2: is not valid JSON"),
        ("{}", "lacks the flow's input 'text'"),
        ('{"text": "hi",\n "tine": "polite"}', "line 2: 'tine' is no input of the flow; did you mean 'tone'?"),
    ],
)
def test_what_only_a_test_would_miss_is_a_warning(folder: Path, sample: str | None, says: str) -> None:
    (folder / "sample-request.json").unlink()
    if sample is not None:
        put(folder, "sample-request.json", sample)
    config(folder, azure_managed_endpoint=[managed()])

    (warning,) = loaded(folder).warnings

    assert (warning.file, warning.key) == (FILE, "azure_managed_endpoint[0].TEST_FILE_PATH")
    assert warning.line == 5
    assert says in warning.message


def test_an_unknown_list_is_a_warning(folder: Path) -> None:
    config(folder, azure_managed_endpoints=[managed()])

    (warning,) = loaded(folder).warnings

    assert "did you mean 'azure_managed_endpoint'?" in warning.message


@pytest.mark.parametrize(
    ("entry", "key", "line", "says"),
    [
        (managed(ENV_NAME=None), "ENV_NAME", 3, "expected the environment that the entry is for"),
        (managed(ENDPOINT_NAME="no name!"), "ENDPOINT_NAME", 6, "is not a valid name"),
        (
            managed(CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION="00150"),
            "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION",
            10,
            "0 to 100",
        ),
        (managed(CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION=True), "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION", 10, "0 to 100"),
        (managed(TEST_FILE_PATH=5), "TEST_FILE_PATH", 5, "expected a text"),
        (managed(ENVIRONMENT_VARIABLES={"A": [1]}), "ENVIRONMENT_VARIABLES.A", 13, "is a list"),
    ],
)
def test_a_wrong_entry_is_told_with_its_line(
    folder: Path, entry: dict[str, Any], key: str, line: int, says: str
) -> None:
    config(folder, azure_managed_endpoint=[entry])

    problem = only_problem(folder)

    assert (problem.file, problem.line, problem.key) == (FILE, line, f"azure_managed_endpoint[0].{key}")
    assert says in problem.message


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        (b'{\n\t"azure_managed_endpoint": [,]\n}', 2, "is not valid JSON"),
        (b"[]", 1, "expected a mapping"),
        (b'{"azure_managed_endpoint": {}}', 1, "expected a list"),
        (b'{"azure_managed_endpoint": [\n1]}', 2, "expected a mapping"),
        (b'{\n"\xff": 1}', 2, "is not UTF-8"),
        (b"[" * 100_000, 1, "nested too deeply"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_with_its_line(folder: Path, content: bytes, line: int, says: str) -> None:
    put(folder, FILE, content)

    problem = only_problem(folder)

    assert (problem.file, problem.line) == (FILE, line)
    assert says in problem.message


def test_tabs_between_the_parts_of_the_file_do_not_hide_the_lines(folder: Path) -> None:
    put(folder, FILE, '{\n\t"azure_managed_endpoint": [\n\t\t{"ENV_NAME": "dev",\n\t\t "ENDPOINT_NAME": 5}]\n}')

    problem = only_problem(folder)

    assert (problem.line, problem.key) == (4, "azure_managed_endpoint[0].ENDPOINT_NAME")


def test_the_default_sample_request_is_at_the_folders_root(tmp_path: Path) -> None:
    folder = written(tmp_path)
    change(folder, "experiment.yaml", "  sample_request: sample.json\n", "")
    assert "is missing; expected a JSON file of inputs" in only_problem(folder).message

    put(folder, "sample-request.json", '{"text": "hello"}')
    assert deployed(folder).sample_request == folder / "sample-request.json"


def test_a_flow_that_takes_any_input_may_be_sent_any(folder: Path) -> None:
    put(folder, "flows/open/flow.flex.yaml", "entry: answer:answer\n")
    put(folder, "flows/open/answer.py", "def answer(text: str, **kwargs):\n    return {'label': text}\n")
    text = (folder / "experiment.yaml").read_text()
    start = text.index("evaluators:")
    datasets = text[text.index("datasets:") : start]
    put(folder, "experiment.yaml", f"name: greetings\nflow: flows/open\n{datasets}")
    put(folder, "sample-request.json", '{"text": "hello", "whatever": 1}')
    config(folder, azure_managed_endpoint=[managed()])

    use_case = loaded(folder)

    assert use_case.warnings == ()
    assert deployed(folder).sample_request == folder / "sample-request.json"

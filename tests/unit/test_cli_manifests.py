"""`manifests` prints what a deployment applies to a cluster, for those who apply it by other means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from genaiops.cli.outcome import ExitCode
from tests.cli import run
from tests.unit.use_case_folder import put, written

ENTRY = {
    "ENV_NAME": "dev",
    "ENDPOINT_NAME": "greetings",
    "CLUSTER_URL": "https://k8s.example",
    "GATEWAY_NAME": "web",
    "PUBLIC_URL": "https://ml.example",
    "MAX_REPLICAS": 4,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = written(tmp_path)
    put(folder, "configs/deployment_config.json", json.dumps({"kubernetes_cluster": [ENTRY]}))
    return folder


def documents(text: str) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(text))


def weights(route: dict[str, Any]) -> dict[str, int]:
    return {each["name"]: each["weight"] for each in route["spec"]["rules"][-1]["backendRefs"]}


def test_one_version_gets_all_the_traffic() -> None:
    done = run("manifests", "greetings", "--image", "v1=r.azurecr.io/greetings:1")
    assert done.exit_code == ExitCode.OK, done.stderr
    found = documents(done.stdout)
    kinds = ["Service", "HorizontalPodAutoscaler", "Deployment", "HTTPRoute"]
    assert [document["kind"] for document in found] == kinds
    assert found[2]["spec"]["template"]["spec"]["containers"][0]["image"] == "r.azurecr.io/greetings:1"
    assert weights(found[3]) == {"greetings-v1": 100}


def test_two_versions_share_it_as_they_are_told(tmp_path: Path) -> None:
    digest = "r.azurecr.io/greetings@sha256:" + "a" * 64
    shares = ("--image", "v1=r.azurecr.io/greetings:1@90", "--image", f"v2={digest}@10")
    done = run("manifests", "greetings", *shares, "--output", "all.yaml")
    assert done.exit_code == ExitCode.OK, done.stderr
    assert "kubectl apply --server-side -f all.yaml" in " ".join(done.stdout.split())
    found = documents((tmp_path / "all.yaml").read_text())
    assert weights(found[-1]) == {"greetings-v1": 90, "greetings-v2": 10}
    images = [d["spec"]["template"]["spec"]["containers"][0]["image"] for d in found if d["kind"] == "Deployment"]
    assert images == ["r.azurecr.io/greetings:1", digest]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--image", "v1=a:1@90", "--image", "v2=a:2"], "sum to 90; they must sum to 100"),
        (["--image", "v1"], "must be NAME=IMAGE or NAME=IMAGE@PERCENT"),
        (["--image", "v1=a:1", "--environment", "prod"], "no entry under 'kubernetes_cluster'"),
    ],
)
def test_what_is_wrong_is_told_with_what_to_do(folder: Path, arguments: list[str], says: str) -> None:
    put(folder, "experiment.prod.yaml", "")
    refused = run("manifests", "greetings", *arguments)
    assert refused.exit_code == ExitCode.NO
    assert says in " ".join(refused.stderr.split())

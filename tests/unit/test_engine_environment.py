"""What flow code is given of the environment that hosts it: what any program needs, and what the flow asks for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shared.adapters.local.engines.environment import declared_environment, engine_environment


@pytest.mark.parametrize(
    "name",
    ["AZURE_CLIENT_SECRET", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "GENAIOPS_SIGNING_KEY", "AzureWebJobsStorage"],
)
def test_what_only_the_host_was_given_stays_with_it(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "secret")
    assert name not in engine_environment()


@pytest.mark.parametrize("name", ["HOME", "LC_TIME", "TZ", "https_proxy", "NO_PROXY", "SSL_CERT_FILE", "VIRTUAL_ENV"])
def test_what_programs_need_is_passed_on(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "given")
    assert engine_environment()[name] == "given"
    assert engine_environment()["PATH"] == os.environ["PATH"]


def test_a_flow_asks_for_variables_of_its_host_by_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEARCH_KEY", "for the search")
    monkeypatch.setenv("GENAIOPS_SIGNING_KEY", "secret")
    monkeypatch.setenv("IDENTITY_HEADER", "secret")
    monkeypatch.setenv("AOAI", '{"api_key": "secret"}')
    monkeypatch.delenv("MISSING", raising=False)
    (tmp_path / "flow.dag.yaml").write_text(
        "environment_variables:\n  KEY: ${env:SEARCH_KEY}\n  OURS: ${env:GENAIOPS_SIGNING_KEY}\n  MODEL: ${env:AOAI}\n"
        "  OF_THE_HOST: ${env:IDENTITY_HEADER}\n"
        "  NONE: ${env:MISSING}\n  PLAIN: a text\n  OF_A_CONNECTION: ${aoai.api_base}\n  NUMBER: 3\nnodes: []\n"
    )
    assert declared_environment(tmp_path) == {"KEY": "for the search"}


@pytest.mark.parametrize("variables", ["", "environment_variables:\n", "environment_variables: [a]\n"])
def test_a_flow_may_ask_for_nothing(tmp_path: Path, variables: str) -> None:
    (tmp_path / "flow.dag.yaml").write_text(f"{variables}nodes: []\n")
    assert declared_environment(tmp_path) == {}

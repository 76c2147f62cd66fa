"""What prompt flow itself makes of the connections that it is given in memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.local.engines.connections import engine_form
from shared.child_environment import inherited_environment
from shared.connections import Connection
from shared.errors import BusinessFailure

KEY = "a-key-of-20-letters."
ASK_PROMPT_FLOW = """
import json, sys
from promptflow._core.connection_manager import ConnectionManager
forms = json.load(sys.stdin)
manager = ConnectionManager(forms)
made = {name: manager.get(name) for name in forms}
print(json.dumps({name: [type(c).__name__, dict(c.configs), dict(c.secrets), c.name] for name, c in made.items()}))
"""
CONNECTIONS = (
    Connection("aoai", "azure", "https://aoai.example.com", KEY, "2024-06-01"),
    Connection("openai", "openai", "https://o.example.com/v1", KEY, "", configs={"organization": "org"}),
    Connection("search", "azure_ai_search", "https://search.example.com", KEY, "2023-11-01"),
    Connection("safety", "azure_content_safety", "https://safety.example.com", KEY, "2023-10-01"),
    Connection("serp", "serp", "", KEY, ""),
    Connection("serverless", "serverless", "https://s.example.com", KEY, ""),
    Connection("own", "custom", "", "", "", configs={"url": "https://own.example.com"}, secrets={"token": KEY}),
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Name → class, configs, secrets and name of the object that prompt flow made."""
    home: Path = tmp_path_factory.mktemp("promptflow")
    (home / "pf.yaml").write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    ended = subprocess.run(
        [sys.executable, "-c", ASK_PROMPT_FLOW],
        input=json.dumps({connection.name: engine_form(connection) for connection in CONNECTIONS}),
        env={**inherited_environment(), "PF_HOME_DIRECTORY": str(home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    answer: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return answer


@pytest.mark.parametrize(
    ("name", "kind", "configs", "secrets"),
    [
        (
            "aoai",
            "AzureOpenAIConnection",
            {"api_base": "https://aoai.example.com", "api_type": "azure", "api_version": "2024-06-01"},
            {"api_key": KEY},
        ),
        (
            "openai",
            "OpenAIConnection",
            {"base_url": "https://o.example.com/v1", "organization": "org"},
            {"api_key": KEY},
        ),
        (
            "search",
            "CognitiveSearchConnection",
            {"api_base": "https://search.example.com", "api_version": "2023-11-01"},
            {"api_key": KEY},
        ),
        (
            "safety",
            "AzureContentSafetyConnection",
            {"endpoint": "https://safety.example.com", "api_version": "2023-10-01", "api_type": "Content Safety"},
            {"api_key": KEY},
        ),
        ("serp", "SerpConnection", {}, {"api_key": KEY}),
        ("serverless", "ServerlessConnection", {"api_base": "https://s.example.com"}, {"api_key": KEY}),
        ("own", "CustomConnection", {"url": "https://own.example.com"}, {"token": KEY}),
    ],
)
def test_prompt_flow_builds_its_own_object_of_every_type(
    made: dict[str, Any], name: str, kind: str, configs: dict[str, str], secrets: dict[str, str]
) -> None:
    its_kind, its_configs, its_secrets, its_name = made[name]
    assert (its_kind, its_name, its_secrets) == (kind, name, secrets)
    assert its_configs.items() >= configs.items()


def test_an_unknown_type_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(BusinessFailure, match=r"'azur'; it must be one of azure, openai, azure_ai_search"):
        engine_form(Connection("aoai", "azur", "https://aoai.example.com", KEY))

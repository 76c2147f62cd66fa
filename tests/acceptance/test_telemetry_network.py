"""Whom telemetry speaks to: the ingestion endpoint, and where it asks for an identity, whoever gives one; nobody else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.servers.application_insights import Ingestion
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint

ROOT = Path(__file__).parents[2]


def run(insights: Ingestion, how: str, **environment: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.acceptance.telemetry_script", insights.connection_string, how],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert said["status"] == "succeeded"
    assert said["sent"] is True
    return said


def address(url: str) -> str:
    return urlsplit(url).netloc


def test_nothing_but_the_ingestion_endpoint_is_contacted_and_the_sdk_comes_with_the_first_message() -> None:
    with Ingestion() as insights:
        said = run(insights, "key")
    assert {one for one in said["reached"] if one != "127.0.0.1"} == {address(insights.url)}
    assert said["sdk_before"] is False
    assert len(insights.items("RequestData")) > 20
    assert insights.tokens
    assert set(insights.tokens) == {""}


def test_where_application_insights_asks_for_an_identity_telemetry_is_sent_as_the_apps_own(
    authority: Authority, identity: IdentityEndpoint
) -> None:
    issued = len(identity.issued)
    with Ingestion(authority.certificate()) as insights:
        said = run(insights, "identity", **authority.environment, **identity.environment)
    assert len(insights.items("RequestData")) > 20
    tokens = {f"Bearer {token}" for token in identity.issued[issued:]}
    assert set(insights.tokens) <= tokens
    assert identity.requests["https://monitor.azure.com/", ""] + identity.requests["https://monitor.azure.com", ""] > 0
    allowed = {address(insights.url), address(identity.url)}
    assert {one for one in said["reached"] if one != "127.0.0.1"} == allowed

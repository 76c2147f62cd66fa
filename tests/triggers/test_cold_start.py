"""A cold start in Azure: what importing the app imports, and what it does where settings are missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import import_time
from shared.chain.messages import Queue

ROOT = Path(__file__).parents[2]
HEAVY = (
    "azure.ai.ml",
    "azure.core",
    "azure.identity",
    "azure.monitor",
    "azure.servicebus",
    "azure.storage.blob",
    "kubernetes",
    "openai",
    "opentelemetry",
    "pandas",
    "promptflow",
    "aiohttp",
)
BROKEN = """
import json, logging
logging.basicConfig(level=logging.INFO)
import azure.functions as func
import function_app
from functions.chains import dashboard
answer = dashboard(func.HttpRequest("GET", "/api/dashboard", body=b""))
names = [function.get_function_name() for function in function_app.app.get_functions()]
print(json.dumps({"names": names, "status": answer.status_code, "page": answer.get_body().decode()}))
"""


def test_under_the_azure_profile_the_app_is_found_whole_and_nothing_heavy_is_imported() -> None:
    measured = import_time.measured()
    modules = measured["modules"]
    assert isinstance(modules, list)
    assert [name for name in modules if name in HEAVY or name.startswith(tuple(f"{heavy}." for heavy in HEAVY))] == []
    assert (
        measured["functions"] == 2 * len(Queue) + 9
    )  # a trigger and its dead letters for each, pages, checks, uploads, timer


@pytest.fixture(scope="module")
def broken() -> tuple[dict[str, object], str]:
    """The app with two settings missing and one wrong: what it says, and its log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GENAIOPS_")}
    environment |= import_time.SETTINGS | {"GENAIOPS_ML_WORKSPACE": "", "GENAIOPS_CELLS_IN_FLIGHT": "secret-thing"}
    done = subprocess.run(
        [sys.executable, "-c", BROKEN], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout), done.stderr


def test_with_wrong_settings_no_message_is_taken_but_the_pages_are_there(broken) -> None:
    said, _ = broken
    approving = {"approvals", "approval_report", "approval_checks"}
    assert set(said["names"]) == {*approving, "dashboard", "chain", "chain_part", "chain_file"}


def test_the_log_lists_what_is_wrong_as_soon_as_the_app_is_loaded(broken) -> None:
    _, log = broken
    early = log.split("A page could not be shown")[0]
    assert "No message is taken before this is set right. Wrong settings:" in early
    assert "GENAIOPS_ML_WORKSPACE is missing; it must be the Azure ML workspace's name" in early
    assert "GENAIOPS_CELLS_IN_FLIGHT is 'secret-thing'" in early


def test_a_page_says_that_settings_are_wrong_but_not_which(broken) -> None:
    said, _ = broken
    assert said["status"] == 503
    assert "its log lists them all" in str(said["page"])
    assert "GENAIOPS" not in str(said["page"])
    assert "secret-thing" not in str(said["page"])

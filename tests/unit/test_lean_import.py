"""Prompt flow, imported without what no flow needs, is still the whole of prompt flow for flow code that asks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared.adapters.local.engines.environment import engine_environment

ROOT = Path(__file__).parents[2]
IMPORT = "from shared.adapters.local.engines.lean_import import import_promptflow\nimport_promptflow()\n"


def in_a_process(code: str, home: Path, *, before: str = "") -> str:
    """What the code prints after the import, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", before + IMPORT + code],
        env={
            **engine_environment(),
            "PYTHONPATH": str(ROOT),
            "PF_HOME_DIRECTORY": str(home),
            "PATH": os.environ["PATH"],
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_neither_threads_nor_the_database_come_along(tmp_path: Path) -> None:
    code = (
        "import sys, threading\n"
        "print(threading.active_count(), 'sqlalchemy' in sys.modules, 'promptflow._sdk' in sys.modules,"
        " 'promptflow.tools.aoai' in sys.modules, 'promptflow.executor' in sys.modules)"
    )

    assert in_a_process(code, tmp_path) == "1 False False True True"


@pytest.mark.parametrize(
    ("code", "module"),
    [
        ("from promptflow import tool as found", "promptflow._core.tool"),
        ("from promptflow import PFClient as found", "promptflow._sdk._pf_client"),
        ("from promptflow.client import PFClient as found", "promptflow._sdk._pf_client"),
        ("from promptflow.core import tool as found", "promptflow._core.tool"),
        ("from promptflow.core import Prompty as found", "promptflow.core._flow"),
        ("from promptflow.tracing import trace as found", "promptflow.tracing._trace"),
        ("from promptflow.connections import CustomConnection as found", "promptflow.core._connection"),
        ("from promptflow.entities import CustomConnection as found", "promptflow._sdk.entities._connection"),
        ("from promptflow._internal import tool as found", "promptflow._core.tool"),
        ("from promptflow._internal import ProxyFactory as found", "promptflow._proxy._proxy_factory"),
        ("from promptflow._internal import *\nfound = ProxyFactory", "promptflow._proxy._proxy_factory"),
        ("import promptflow.tools\nfound = promptflow.tools.AzureOpenAI", "promptflow.tools.aoai"),
    ],
)
def test_flow_code_gets_whatever_it_imports(code: str, module: str, tmp_path: Path) -> None:
    assert in_a_process(f"{code}\nprint(found.__module__)", tmp_path) == module


def test_a_function_that_was_handed_out_early_works_when_it_is_called(tmp_path: Path) -> None:
    code = (
        "from promptflow.tools.common import get_workspace_triad_from_local\n"
        "print(type(get_workspace_triad_from_local()).__name__)"
    )

    assert in_a_process(code, tmp_path) == "AzureMLWorkspace"


def test_a_name_that_prompt_flow_does_not_have_is_an_import_error(tmp_path: Path) -> None:
    code = "try:\n    from promptflow import nonsense\nexcept ImportError as error:\n    print(error.name)"

    assert in_a_process(code, tmp_path) == "promptflow"


def test_two_threads_that_ask_at_the_same_time_get_the_same(tmp_path: Path) -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor\n"
        "import promptflow\n"
        "with ThreadPoolExecutor(8) as threads:\n"
        "    found = list(threads.map(lambda _: promptflow.PFClient, range(8)))\n"
        "print(len(set(found)), found[0].__name__)"
    )

    assert in_a_process(code, tmp_path) == "1 PFClient"


def test_a_prompt_flow_that_is_laid_out_otherwise_is_imported_in_the_ordinary_way(tmp_path: Path) -> None:
    before = (
        "import sys\n"
        "from shared.adapters.local.engines import lean_import\n"
        "lean_import._LATE = {**lean_import._LATE, 'promptflow.no_such_part': lean_import._Late()}\n"
    )
    code = "print(type(sys.modules['promptflow']).__name__, 'promptflow._sdk' in sys.modules)"

    assert in_a_process(code, tmp_path, before=before) == "module True"

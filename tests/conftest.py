"""What every test shares: an environment without the reader's own settings, and Chromium for the pages' tests.

Where Chromium is missing, the browser tests are left out and the terminal says so at the end; on a build server that is
an error, so that a green build always means that the pages were looked at.
"""

from __future__ import annotations

import os
import re
import shutil
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest

if TYPE_CHECKING:
    from xdist.scheduler import Scheduling

pytest_plugins = ("tests.servers.fixtures",)

CHROMIUM_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
NOT_LOOKED_AT = (
    "The browser tests did NOT run: no Chromium was found. Install it (Debian: apt-get install chromium) "
    "or name it in GENAIOPS_CHROMIUM."
)


def find_chromium() -> str | None:
    """The browser that the pages' tests drive: GENAIOPS_CHROMIUM, or the first known name on the path."""
    named = os.environ.get("GENAIOPS_CHROMIUM")
    candidates = (named,) if named else CHROMIUM_NAMES
    return next((found for name in candidates if (found := shutil.which(name))), None)


def _in_ci() -> bool:
    return os.environ.get("CI", "").lower() in {"1", "true"}


def pytest_configure() -> None:
    ours = ("GENAIOPS_", "APPLICATIONINSIGHTS_")
    for variable in [name for name in os.environ if name.startswith(ours) and name != "GENAIOPS_CHROMIUM"]:
        del os.environ[variable]
    os.environ.pop("COLUMNS", None)  # the test runner's workers set it; tables are as wide as it says
    # A slow machine is no failure of a property; a build server tries the same examples every time.
    hypothesis.settings.register_profile(
        "house", deadline=None, derandomize=_in_ci(), suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("house")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """`--dist loadgroup`, by the mark `xdist_group("…")` in a test's file: its tests share a host that takes long to start.

    xdist 3.8 passes the mark on by renaming tests, which pytest 9.2 no longer lets it do: the marks went unheard.
    """
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByGroup(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _group(config.rootpath / nodeid.partition("::")[0]) or nodeid

    return ByGroup(config, log)


@cache
def _group(file: Path) -> str:
    found = re.search(r'xdist_group\("([^"]+)"\)', file.read_text("utf-8"))
    return found[1] if found else ""


def pytest_sessionstart(session: pytest.Session) -> None:
    if _in_ci() and find_chromium() is None and not hasattr(session.config, "workerinput"):
        pytest.exit(NOT_LOOKED_AT, returncode=1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if find_chromium() is not None:
        return
    browser_tests = Path(__file__).parent / "browser"
    left_out = [item for item in items if browser_tests in item.path.parents]
    items[:] = [item for item in items if browser_tests not in item.path.parents]
    config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if find_chromium() is None:
        terminalreporter.section("pages were not looked at", sep="!", red=True, bold=True)
        terminalreporter.write_line(NOT_LOOKED_AT, red=True)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of the browser, for playwright's `executable_path`."""
    found = find_chromium()
    assert found is not None, NOT_LOOKED_AT
    return found

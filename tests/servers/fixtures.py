"""Fixtures of the servers that a whole test session shares, and what is said where a server cannot run.

Where Azurite is missing, the tests that need it are left out and the terminal says how many; on a build server that is an
error, so that a green build always means that the blob adapter met a blob service.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from tests.servers import azurite as installed
from tests.servers.azure_devops import AzureDevOps
from tests.servers.azurite import Azurite
from tests.servers.certificates import NAMES, Authority
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.proxy import Proxy

MARK = "azurite"
STORAGE = "*.blob.core.windows.net"
_left_out = pytest.StashKey[int]()


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    """The certificate authority of this session; from here on this process and its children trust it, too."""
    made = Authority(tmp_path_factory.mktemp("authority"))
    with with_variables(made.environment):
        yield made


@pytest.fixture(scope="session")
def identity() -> Iterator[IdentityEndpoint]:
    """The endpoint from which managed identities get tokens; the variables that name it are set."""
    with IdentityEndpoint() as endpoint, with_variables(endpoint.environment):
        yield endpoint


@pytest.fixture(scope="session")
def azurite(
    authority: Authority, identity: IdentityEndpoint, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Azurite]:
    """The blob service of this session; each test takes an account of its own."""
    with Azurite(tmp_path_factory.mktemp("azurite"), authority) as service:
        yield service


@pytest.fixture(scope="session")
def management_server(authority: Authority) -> Iterator[Management]:
    """The management APIs of this session; the variables that point azure-ai-ml there are set."""
    certificate = authority.certificate(*NAMES, STORAGE)
    with Management(certificate.server_context()) as server, with_variables(server.environment):
        yield server


@pytest.fixture(scope="session")
def workspace_storage(management_server: Management) -> Iterator[Proxy]:
    """The way to the workspace's storage account, under the name that the SDKs make of the account's."""
    with Proxy({STORAGE: management_server.port}) as proxy, with_variables(proxy.environment):
        yield proxy


@pytest.fixture
def management(management_server: Management) -> Management:
    """The management APIs with nothing in them yet, for one test."""
    management_server.reset()
    return management_server


@pytest.fixture(scope="session")
def azure_devops_server(authority: Authority) -> Iterator[AzureDevOps]:
    """The Azure DevOps organisation of this session."""
    with AzureDevOps(authority.certificate().server_context()) as server:
        yield server


@pytest.fixture
def azure_devops(azure_devops_server: AzureDevOps) -> AzureDevOps:
    """The organisation with nothing in it yet, for one test."""
    azure_devops_server.reset()
    return azure_devops_server


@contextmanager
def with_variables(given: Mapping[str, str]) -> Iterator[None]:
    """Variables of this process, for so long: the SDKs, and child processes, find the servers by them."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in given.items():
            patch.setenv(name, value)
        yield


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"{MARK}: needs Azurite, and with it Node.js")


def pytest_sessionstart(session: pytest.Session) -> None:
    reason = installed.missing()
    if reason and os.environ.get("CI", "").lower() in {"1", "true"} and not hasattr(session.config, "workerinput"):
        pytest.exit(f"The blob adapter's tests cannot run: {reason}.", returncode=1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if installed.missing() is None:
        return
    left_out = [item for item in items if needs_azurite(item)]
    items[:] = [item for item in items if not needs_azurite(item)]
    config.hook.pytest_deselected(items=left_out)
    config.stash[_left_out] = len(left_out)


def needs_azurite(item: pytest.Item) -> bool:
    """By its mark, or by a fixture that it or one of its fixtures asks for."""
    return item.get_closest_marker(MARK) is not None or "azurite" in getattr(item, "fixturenames", ())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: object, error: object) -> None:
    """A worker of a parallel run tells how many it has left out; each of them collects the same tests."""
    config = node.config  # type: ignore[attr-defined]
    config.stash[_left_out] = getattr(node, "workeroutput", {}).get("azurite_left_out", 0)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["azurite_left_out"] = session.config.stash.get(_left_out, 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    reason, left_out = installed.missing(), config.stash.get(_left_out, 0)
    if reason and left_out:
        terminalreporter.section("the blob adapter was not tried", sep="!", red=True, bold=True)
        terminalreporter.write_line(f"{left_out} tests did NOT run, for they need Azurite: {reason}.", red=True)

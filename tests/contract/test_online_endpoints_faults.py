"""A deployment's whole story on Azure ML, with a fault at every call: it ends right each time, and nothing is made twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest

from shared.adapters.azure.machine_learning.client import Workspace
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.errors import BusinessFailure, Conflict, NotFound, Throttled, Transient
from shared.ports import BlobStore, DeploymentInfo, DeploymentState, Endpoints
from tests.contract.azure_endpoints import azure_endpoints_on, container, opened
from tests.contract.azure_workspace import azure_settings
from tests.contract.test_endpoints_contract import settled, spec
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management, Moment
from tests.servers.proxy import Proxy

ATTEMPTS = 5
"""Of one call, as `perform` tries a command again that met a passing fault."""
T = TypeVar("T")


class Story:
    """The calls of a chain, each tried again by a new process after a fault."""

    def __init__(self, management: Management, workspace: Workspace) -> None:
        built = management.environments.versions, management.storage.blobs
        management.reset()
        management.environments.versions, management.storage.blobs = built  # contexts are uploaded once for all stories
        management.operations.looks = 1
        self.management = management
        self._workspace = workspace
        self._blobs: BlobStore = MemoryBlobStore()
        management.online_endpoints.serve = lambda start: container(management, start)
        self.faults_met = 0
        self._endpoints = self._process()

    def _process(self) -> Endpoints:
        return opened(self.management, self._blobs, workspace=self._workspace, retries=0)

    def call(self, act: Callable[[Endpoints], T]) -> T:
        for attempt in range(ATTEMPTS):
            try:
                return act(self._endpoints)
            except (Transient, Throttled, Conflict):
                assert attempt < ATTEMPTS - 1
                self.faults_met += 1
                self._endpoints = self._process()
        raise AssertionError("unreachable")

    def settled(self, deployment: str) -> DeploymentInfo:
        for _ in range(60):
            info = self.call(lambda endpoints: endpoints.look("shop", deployment))
            if info.state is not DeploymentState.CREATING:
                return info
        raise AssertionError(f"still {info}")

    def split(self, **traffic: int) -> None:
        for _ in range(60):
            self.call(lambda endpoints: endpoints.set_traffic("shop", traffic))
            if self.call(lambda endpoints: endpoints.describe("shop")).settled:
                return
        raise AssertionError("not settled")

    def play(self) -> None:
        self.call(lambda endpoints: endpoints.deploy(spec("shop", "rev1", tags={"chain": "one"})))
        assert self.settled("rev1").state is DeploymentState.READY
        self.split(rev1=100)
        self.call(lambda endpoints: endpoints.deploy(spec("shop", "rev2", variants={"style": "loud"})))
        assert self.settled("rev2").state is DeploymentState.READY
        self.split(rev1=50, rev2=50)
        answers = {self.call(lambda endpoints: endpoints.invoke("shop", {"text": "a"})).deployment for _ in range(4)}
        assert answers - {""} == {"rev1", "rev2"}, "an answer that no deployment gave bears no name"
        self.split(rev2=100)
        self.call(lambda endpoints: endpoints.remove("shop", "rev1"))
        while self.call(lambda endpoints: endpoints.describe("shop")).removing:
            self.call(lambda endpoints: endpoints.remove("shop", "rev1"))

    def check(self) -> None:
        """What the platform has in the end, and that nobody was left behind on the way."""
        for _ in range(3):
            info = self.call(lambda endpoints: endpoints.describe("shop"))
        assert ([each.name for each in info.deployments], info.traffic, info.settled) == (["rev2"], {"rev2": 100}, True)
        assert [each["name"] for each in self.management.online_endpoints.deployments.values()] == ["rev2"]
        assert self.call(lambda endpoints: endpoints.invoke("shop", {"text": "a"})).deployment == "rev2"
        assert self.management.unknown == []


@pytest.fixture(scope="module")
def plain(management_server: Management, identity: IdentityEndpoint, workspace_storage: Proxy) -> Workspace:
    """One client for all: the SDK itself tries nothing again, so that every fault is met by the adapter."""
    from azure.identity import ManagedIdentityCredential

    return Workspace(azure_settings(management_server), ManagedIdentityCredential(), retries=0)


@pytest.fixture(scope="module")
def requests_of_the_story(management_server: Management, plain: Workspace) -> list[tuple[str, str]]:
    management_server.reset()
    Story(management_server, plain).play()
    story = Story(management_server, plain)
    story.play()
    requests = [(request.method, request.path) for request in management_server.requests]
    story.check()
    assert story.faults_met == 0
    return requests


FAULTS: dict[str, Callable[[Management, int], None]] = {
    "unavailable": lambda management, n: management.faults.add(status=503, skip=n),
    "throttled": lambda management, n: management.faults.add(status=429, retry_after=0, skip=n),
    "conflict": lambda management, n: management.faults.add(status=409, skip=n),
    "cut off": lambda management, n: management.faults.cut(skip=n),
    "answer lost": lambda management, n: management.faults.cut(skip=n, moment=Moment.AFTER),
}


def places(requests: list[tuple[str, str]], kind: str) -> Iterator[tuple[int, str]]:
    """(number, request) at which a fault of this kind strikes: all that change something, and its turn at the looks."""
    looked_at: set[object] = set()
    for number, (method, path) in enumerate(requests):
        if method != "GET":
            yield number, f"{method} {path}"
        elif (place := (re.sub(r"[0-9a-f-]{24,}", "…", path), number // 30)) not in looked_at:
            looked_at.add(place)
            if list(FAULTS)[len(looked_at) % len(FAULTS)] == kind:
                yield number, f"{method} {path}"


@pytest.mark.parametrize("kind", FAULTS)
def test_the_story_ends_right_with_a_fault_at_every_call(
    management_server: Management, plain: Workspace, requests_of_the_story: list[tuple[str, str]], kind: str
) -> None:
    met = 0
    for number, request in places(requests_of_the_story, kind):
        story = Story(management_server, plain)
        FAULTS[kind](management_server, number)
        try:
            story.play()
            story.check()
        except (BusinessFailure, NotFound, AssertionError) as error:
            raise AssertionError(f"{kind} at request {number}, {request}: {error}") from error
        assert management_server.faults.left == 0
        met += 1
    assert met > 10


def test_a_deployment_whose_answer_was_lost_is_found_by_the_next_process(
    management_server: Management, identity: IdentityEndpoint, workspace_storage: Proxy
) -> None:
    with azure_endpoints_on(management_server, identity, workspace_storage, retries=0) as azure:
        azure.endpoints.deploy(spec("shop", "rev1"))
        azure.endpoints.look("shop", "rev1")
        management_server.faults.cut("PUT", r"/deployments/rev1$", moment=Moment.AFTER)
        with pytest.raises(Transient):
            settled(azure.endpoints, "shop", "rev1")
        after = opened(management_server, azure.blobs, retries=0)
        assert not after.deploy(spec("shop", "rev1")).created
        assert settled(after, "shop", "rev1").state is DeploymentState.READY
        assert len(management_server.seen("PUT", r"/deployments/rev1$")) == 1

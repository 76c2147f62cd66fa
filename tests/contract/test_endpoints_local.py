"""What the local endpoints survive: crashes of what they serve, and the host's own death at any moment."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.adapter import LocalEndpoints
from shared.adapters.local.endpoints.attendant import Care
from shared.adapters.local.endpoints.supervisor import EndpointSupervisor
from shared.errors import BusinessFailure, GenAIOpsError, Transient
from shared.ports import DeploymentInfo, DeploymentSpec, DeploymentState
from tests.contract.endpoint_host import KEY, free_port, supervisor

FLOWS = Path(__file__).parent / "flows"
ROOT = Path(__file__).parents[2]


def spec(name: str, **more: object) -> DeploymentSpec:
    return DeploymentSpec("shop", name, FLOWS / "echo", "digest-of-echo", "1", **more)  # type: ignore[arg-type]


class Laptop:
    """One home with its router's port; `endpoints` is the port as any process sees it."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        self.endpoints = LocalEndpoints(FileBlobStore(home / "blobs"), home, f"http://127.0.0.1:{self.port}")

    def host(self, care: Care | None = None) -> EndpointSupervisor:
        return supervisor(self.home, self.port, care)

    def observed(self) -> dict[str, dict[str, dict[str, dict[str, object]]]]:
        return json.loads(self.get("/admin/endpoints")[1])

    def pid(self, deployment: str) -> int:
        pid = self.observed()["shop"]["deployments"][deployment]["pid"]
        assert isinstance(pid, int)
        return pid

    def get(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def until(self, deployment: str, holds: Callable[[DeploymentInfo], bool]) -> DeploymentInfo:
        limit = time.monotonic() + 60
        while not holds(info := self.endpoints.look("shop", deployment)):
            assert time.monotonic() < limit, f"still {info}"
            time.sleep(0.05)
        return info

    def until_ready(self, deployment: str) -> DeploymentInfo:
        return self.until(deployment, lambda info: info.state is DeploymentState.READY)


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


@pytest.fixture
def hosted(laptop: Laptop) -> Iterator[Laptop]:
    host = laptop.host()
    host.start()
    yield laptop
    host.stop()


def lives(pid: int) -> bool:
    """A zombie, that only waits to be reaped by the system's first process, has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def until_gone(*pids: int) -> None:
    limit = time.monotonic() + 20
    while left := [pid for pid in pids if lives(pid)]:
        assert time.monotonic() < limit, f"still alive: {left}"
        time.sleep(0.05)


def test_a_served_process_that_is_killed_is_replaced_while_the_other_deployment_answers(hosted: Laptop) -> None:
    for name in ("v1", "v2"):
        hosted.endpoints.deploy(spec(name))
    for name in ("v1", "v2"):
        hosted.until_ready(name)
    hosted.endpoints.set_traffic("shop", {"v1": 90, "v2": 10})
    killed = hosted.pid("v1")

    os.kill(killed, signal.SIGKILL)
    answers = [hosted.endpoints.invoke("shop", {"text": "still here"}) for _ in range(10)]

    assert [answer.status for answer in answers] == [200] * 10
    assert Counter(answer.deployment for answer in answers)["v2"] >= 9, "v1 needs seconds to come back"
    hosted.until("v1", lambda info: info.state is DeploymentState.CREATING and "SIGKILL" in info.reason)
    hosted.until_ready("v1")
    assert hosted.pid("v1") != killed
    assert hosted.endpoints.invoke("shop", {"text": "back"}, "v1").status == 200


def test_a_pinned_request_that_kills_its_process_is_not_given_to_another_deployment(hosted: Laptop) -> None:
    for name in ("v1", "v2"):
        hosted.endpoints.deploy(spec(name))
    for name in ("v1", "v2"):
        hosted.until_ready(name)
    hosted.endpoints.set_traffic("shop", {"v1": 100})

    with pytest.raises(Transient, match="v1 ended the connection without an answer"):
        hosted.endpoints.invoke("shop", {"text": "die"}, "v1")

    assert hosted.endpoints.look("shop", "v1").errors == 1
    assert hosted.endpoints.look("shop", "v2").requests == 0, "0 % is reached by the header alone"
    assert hosted.endpoints.invoke("shop", {"text": "well"}, "v2").status == 200


def test_a_deployment_that_keeps_crashing_has_failed_and_says_how(laptop: Laptop) -> None:
    host = laptop.host(Care(quick_crashes=2, first_pause_s=0.05, quick_crash_s=600))
    host.start()
    try:
        laptop.endpoints.deploy(spec("v1"))
        for _ in range(2):
            laptop.until_ready("v1")
            os.kill(laptop.pid("v1"), signal.SIGKILL)
            info = laptop.until("v1", lambda info: info.state is not DeploymentState.READY)
        info = laptop.until("v1", lambda info: info.state is DeploymentState.FAILED)
    finally:
        host.stop()
    assert "2 times in a row" in info.reason
    assert "SIGKILL" in info.reason


def test_sigkill_of_the_host_leaves_no_process_and_the_next_host_brings_all_back_with_counts(laptop: Laptop) -> None:
    command = [sys.executable, "-m", "tests.contract.endpoint_host", str(laptop.home), str(laptop.port)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as host:
        assert host.stdout is not None
        assert host.stdout.readline() == b"started\n"
        laptop.endpoints.deploy(spec("v1"))
        laptop.until_ready("v1")
        laptop.endpoints.set_traffic("shop", {"v1": 100})
        for _ in range(3):
            laptop.endpoints.invoke("shop", {"text": "hello"})
        written = FileBlobStore(laptop.home / "blobs")
        limit = time.monotonic() + 20
        while b'"requests":3' not in written.read("endpoints", "observed/shop.json"):
            assert time.monotonic() < limit, "the counts were not written"
            time.sleep(0.05)
        server = laptop.pid("v1")
        guardian = parent_of(server)
        host.kill()
        host.wait()
    until_gone(server, guardian)

    idle = laptop.endpoints.look("shop", "v1")
    assert (idle.state, idle.requests) == (DeploymentState.CREATING, 3)
    assert "genaiops start" in idle.reason
    with pytest.raises(Transient, match="genaiops start"):
        laptop.endpoints.invoke("shop", {"text": "anybody?"})

    successor = laptop.host()
    successor.start()
    try:
        laptop.until_ready("v1")
        assert laptop.endpoints.describe("shop").traffic == {"v1": 100}
        assert laptop.endpoints.invoke("shop", {"text": "again"}).deployment == "v1"
        again = laptop.endpoints.look("shop", "v1")
        assert again.requests == 4
        assert again.latency_p50_ms is not None
        last = laptop.pid("v1")
    finally:
        successor.stop()
    until_gone(last)


def test_a_guardian_that_is_killed_takes_its_server_along(hosted: Laptop) -> None:
    hosted.endpoints.deploy(spec("v1"))
    hosted.until_ready("v1")
    server = hosted.pid("v1")
    os.kill(parent_of(server), signal.SIGKILL)
    until_gone(server)
    hosted.until_ready("v1")


def test_what_was_deployed_while_no_host_ran_is_served_by_the_next_one(laptop: Laptop) -> None:
    info = laptop.endpoints.deploy(spec("v1", variants={"style": "loud"}, parameters={"answer.prefix": "> "}))
    laptop.endpoints.set_traffic("shop", {"v1": 100})
    assert info.created
    assert info.state is DeploymentState.CREATING
    host = laptop.host()
    host.start()
    try:
        laptop.until_ready("v1")
        answer = laptop.endpoints.invoke("shop", {"text": "hello"})
    finally:
        host.stop()
    assert json.loads(answer.body) == {"answer": "> HELLO", "style": "loud"}


def test_a_removed_deployment_loses_its_process_and_its_folder(hosted: Laptop) -> None:
    hosted.endpoints.deploy(spec("v1"))
    hosted.until_ready("v1")
    server = hosted.pid("v1")
    hosted.endpoints.remove("shop", "v1")
    until_gone(server)
    limit = time.monotonic() + 20
    while list((hosted.home / "served" / "shop").iterdir()):
        assert time.monotonic() < limit, "its folder is still there"
        time.sleep(0.05)


def test_a_flow_gets_its_environment_and_neither_settings_nor_keys(
    laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENAIOPS_HOME", "/not/for/flows")
    monkeypatch.setenv("other", json.dumps({"api_key": "not for this flow"}))
    host = laptop.host()
    host.start()
    try:
        laptop.endpoints.deploy(spec("v1", environment={"REGION": "north"}, connections=connection_names("aoai")))
        laptop.until_ready("v1")

        def environment(name: str) -> object:
            return json.loads(laptop.endpoints.invoke("shop", {"text": f"environment {name}"}, "v1").body)["answer"]

        assert environment("REGION") == "north"
        assert environment("GENAIOPS_HOME") == ""
        assert environment("other") == ""
        server = laptop.pid("v1")
        for process in (server, parent_of(server)):
            for file in ("cmdline", "environ"):
                assert KEY.encode() not in Path(f"/proc/{process}/{file}").read_bytes()
    finally:
        host.stop()
    for file in laptop.home.rglob("*"):
        assert not file.is_file() or KEY.encode() not in file.read_bytes(), f"{file} holds a key"


def connection_names(*names: str) -> dict[str, object]:
    from tests.contract.endpoint_host import connections

    return dict(connections(names))


def test_a_second_host_of_the_same_home_is_refused(hosted: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.local.endpoints.supervisor._LOCK_WAIT_S", 0.1)
    with pytest.raises(GenAIOpsError, match="Another host serves the endpoints"):
        supervisor(hosted.home, free_port()).start()


def test_a_router_whose_port_is_taken_names_the_setting(hosted: Laptop, tmp_path: Path) -> None:
    second = supervisor(tmp_path / "other", hosted.port)
    with pytest.raises(GenAIOpsError, match="GENAIOPS_ROUTER_PORT"):
        second.start()
    third = supervisor(tmp_path / "other", free_port())
    third.start()
    third.stop()


def test_a_name_that_is_taken_by_another_flow_is_refused(laptop: Laptop) -> None:
    laptop.endpoints.deploy(spec("v1"))
    with pytest.raises(BusinessFailure, match="use another name, or remove it first"):
        laptop.endpoints.deploy(spec("v1", variants={"style": "loud"}))


def test_a_flow_folder_that_is_missing_is_refused(laptop: Laptop) -> None:
    missing = DeploymentSpec("shop", "v1", FLOWS / "nowhere", "digest", "1")
    with pytest.raises(BusinessFailure, match="nowhere does not exist"):
        laptop.endpoints.deploy(missing)

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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.adapter import LocalEndpoints
from shared.adapters.local.endpoints.attendant import Care
from shared.adapters.local.endpoints.supervisor import EndpointSupervisor
from shared.connections import Connection
from shared.errors import BusinessFailure, GenAIOpsError, Transient
from shared.ports import DeploymentInfo, DeploymentSpec, DeploymentState
from shared.use_case.model import ConnectionSpec
from tests.contract.endpoint_host import KEY, connections, free_port, supervisor

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
        limit = time.monotonic() + 150
        while not holds(info := self.endpoints.look("shop", deployment)):
            assert time.monotonic() < limit, f"still {info}"
            time.sleep(0.05)
        return info

    def until_noticed(self, deployment: str) -> DeploymentInfo:
        """Until the host has seen that the process is gone."""
        return self.until(deployment, lambda info: info.state is not DeploymentState.READY)

    def kill(self, deployment: str) -> DeploymentInfo:
        os.kill(self.pid(deployment), signal.SIGKILL)
        return self.until_noticed(deployment)

    def until_ready(self, deployment: str) -> DeploymentInfo:
        return self.until(deployment, lambda info: info.state is DeploymentState.READY)


@pytest.fixture
def laptop(tmp_path: Path) -> Laptop:
    return Laptop(tmp_path)


# One host, and deployments `v1` and `v2`, for the tests that kill what it serves: starting a flow takes seconds.
@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laptop]:
    laptop = Laptop(tmp_path_factory.mktemp("busy"))
    care = Care(quick_crashes=1000, first_pause_s=0.05, longest_pause_s=0.05, health_interval_s=0.2, health_failures=10)
    host = laptop.host(care)
    host.start()
    for name in ("v1", "v2"):
        laptop.endpoints.deploy(spec(name))
    yield laptop
    host.stop()


@pytest.fixture
def hosted(busy: Laptop) -> Laptop:
    for name in ("v1", "v2"):
        busy.until_ready(name)
    return busy


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
    hosted.endpoints.set_traffic("shop", {"v1": 100})
    errors, others = hosted.endpoints.look("shop", "v1").errors, hosted.endpoints.look("shop", "v2").requests

    with pytest.raises(Transient, match="v1 ended the connection without an answer"):
        hosted.endpoints.invoke("shop", {"text": "die"}, "v1")

    assert hosted.endpoints.look("shop", "v1").errors == errors + 1
    assert hosted.endpoints.look("shop", "v2").requests == others, "0 % is reached by the header alone"
    assert hosted.endpoints.invoke("shop", {"text": "well"}, "v2").status == 200
    hosted.until_noticed("v1")


def test_a_deployment_that_keeps_crashing_has_failed_and_says_how(laptop: Laptop) -> None:
    host = laptop.host(Care(quick_crashes=2, first_pause_s=0.05, quick_crash_s=600))
    host.start()
    try:
        laptop.endpoints.deploy(spec("v1"))
        for _ in range(2):
            laptop.until_ready("v1")
            laptop.kill("v1")
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


def test_a_served_process_takes_along_what_its_flow_has_started(hosted: Laptop) -> None:
    started = int(json.loads(hosted.endpoints.invoke("shop", {"text": "spawn"}, "v1").body)["answer"])
    assert lives(started)
    hosted.kill("v1")
    until_gone(started)


def test_a_served_process_that_hangs_is_replaced(hosted: Laptop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shared.adapters.local.endpoints.router._HEALTH_TIMEOUT_S", 0.3)
    hanging = hosted.pid("v1")
    os.kill(hanging, signal.SIGSTOP)
    info = hosted.until_noticed("v1")
    assert "/health did not answer 10 times in a row" in info.reason
    until_gone(hanging)


def test_a_flow_that_prints_without_end_answers_and_its_last_words_are_kept(hosted: Laptop) -> None:
    assert hosted.endpoints.invoke("shop", {"text": "print"}, "v1").status == 200
    info = hosted.kill("v1")
    assert "0123456789" in info.reason
    assert len(info.reason) < 2000


def test_a_flow_that_never_gets_ready_has_failed_in_the_end(laptop: Laptop) -> None:
    host = laptop.host(Care(start_timeout_s=0.2, quick_crashes=2, first_pause_s=0.05))
    host.start()
    try:
        laptop.endpoints.deploy(spec("v1"))
        info = laptop.until("v1", lambda info: info.state is DeploymentState.FAILED)
    finally:
        host.stop()
    assert "not ready within 0.2 s" in info.reason


def test_a_connection_that_cannot_be_resolved_is_the_reason_of_the_failure(laptop: Laptop) -> None:
    def refuses(specs: Sequence[ConnectionSpec]) -> Mapping[str, Connection]:
        raise BusinessFailure(f".env, line 3: {specs[0].name} is not valid JSON")

    host = EndpointSupervisor(FileBlobStore(laptop.home / "blobs"), laptop.home, laptop.port, refuses)
    host.start()
    try:
        laptop.endpoints.deploy(spec("v1", connections=connections(["aoai"])))
        info = laptop.until("v1", lambda info: info.state is DeploymentState.FAILED)
    finally:
        host.stop()
    assert info.reason == ".env, line 3: aoai is not valid JSON"


def test_a_guardian_that_is_killed_takes_its_server_along(hosted: Laptop) -> None:
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


def test_variables_are_filled_in_when_the_process_starts_and_are_written_nowhere(laptop: Laptop) -> None:
    secret = "a-variable-that-nobody-may-see"
    asked: list[Mapping[str, str]] = []

    def fill_in(written: Mapping[str, str]) -> Mapping[str, str]:
        asked.append(written)
        return {name: secret if value == "${SHOP_API_KEY}" else value for name, value in written.items()}

    blobs = FileBlobStore(laptop.home / "blobs")
    host = EndpointSupervisor(blobs, laptop.home, laptop.port, lambda specs: {}, fill_in=fill_in)
    host.start()
    try:
        laptop.endpoints.deploy(spec("v1", environment={"SHOP_API_KEY": "${SHOP_API_KEY}", "REGION": "north"}))
        laptop.until_ready("v1")
        answers = [
            json.loads(laptop.endpoints.invoke("shop", {"text": f"environment {name}"}, "v1").body)["answer"]
            for name in ("SHOP_API_KEY", "REGION")
        ]
    finally:
        host.stop()

    assert answers == [secret, "north"]
    assert asked == [{"SHOP_API_KEY": "${SHOP_API_KEY}", "REGION": "north"}]
    for path in laptop.home.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes(), f"{path} holds a secret"


def test_a_flow_gets_its_environment_and_no_more_and_leaves_nothing_when_it_is_removed(
    hosted: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GENAIOPS_HOME", "/not/for/flows")
    monkeypatch.setenv("other", json.dumps({"api_key": "not for this flow"}))
    hosted.endpoints.deploy(spec("v3", environment={"REGION": "north"}, connections=connections(["aoai"])))
    hosted.until_ready("v3")

    def environment(name: str) -> object:
        return json.loads(hosted.endpoints.invoke("shop", {"text": f"environment {name}"}, "v3").body)["answer"]

    assert environment("REGION") == "north"
    assert environment("GENAIOPS_HOME") == ""
    assert environment("other") == ""
    server = hosted.pid("v3")
    for process in (server, parent_of(server)):
        for file in ("cmdline", "environ"):
            assert KEY.encode() not in Path(f"/proc/{process}/{file}").read_bytes()
    for path in hosted.home.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), f"{path} holds a key"

    hosted.endpoints.remove("shop", "v3")

    until_gone(server)
    limit = time.monotonic() + 20
    while any(folder.name.startswith("v3-") for folder in (hosted.home / "served" / "shop").iterdir()):
        assert time.monotonic() < limit, "its folder is still there"
        time.sleep(0.05)


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

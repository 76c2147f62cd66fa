"""The router in front of deployments that are played by small HTTP servers: splits, pins, failover, limits, bytes."""

from __future__ import annotations

import gzip
import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from shared.adapters.local.endpoints.fleet import Fleet
from shared.adapters.local.endpoints.router import EndpointRouter
from shared.adapters.local.endpoints.state import DesiredDeployment, EndpointStore
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.ports import DeploymentState
from tests.contract.endpoint_host import free_port

PIN = "azureml-model-deployment"
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def says(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def hangs_up(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.close_connection = True


class FakeDeployment:
    """An HTTP server in the place of a served process; it keeps what it was sent."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        deployment = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                deployment.bodies.append(body)
                deployment.headers.append({name.lower(): value for name, value in self.headers.items()})
                deployment.answer(self, body)

            def do_GET(self) -> None:
                deployment.answer(self, b"")

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Town:
    """A router over an in-memory fleet; tests put deployments into it."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobStore()
        self.fleet = Fleet(self.blobs)
        self.port = free_port()
        self.router = EndpointRouter(self.fleet, self.port, max_body=100_000)
        self.deployments: list[FakeDeployment] = []
        self.router.start()

    def put(self, name: str, answer: Answer, *, endpoint: str = "shop") -> FakeDeployment:
        deployment = FakeDeployment(answer)
        self.deployments.append(deployment)
        self.place(name, deployment.port, endpoint=endpoint)
        return deployment

    def place(self, name: str, port: int | None, *, endpoint: str = "shop") -> None:
        wanted = DesiredDeployment(
            name=name, creation=f"c-{name}", folder=f"{endpoint}/{name}", flow_digest="d", flow_version="1"
        )
        EndpointStore(self.blobs).update(
            endpoint,
            lambda before: before.model_copy(update={"deployments": {**before.deployments, name: wanted}}),
            create=True,
        )
        self.fleet.refresh()
        if port is not None:
            self.fleet.set_state(endpoint, f"c-{name}", DeploymentState.READY, port=port, pid=1)

    def split(self, endpoint: str = "shop", **traffic: int) -> None:
        EndpointStore(self.blobs).update(
            endpoint, lambda before: before.model_copy(update={"traffic": traffic}), create=False
        )
        self.fleet.refresh()

    def request(
        self, path: str, body: bytes | None = b"{}", method: str = "POST", **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in {"Content-Length": str(len(body or b"")), **headers}.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def score(self, body: bytes = b"{}", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        return self.request("/shop/score", body, **headers)

    def counts(self, name: str) -> tuple[int, int]:
        counts = self.fleet.observed()["shop"].deployments[name].counts
        return counts.requests, counts.errors

    def close(self) -> None:
        self.router.stop()
        for deployment in self.deployments:
            deployment.close()


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


def message(body: bytes) -> str:
    error = json.loads(body)["error"]
    assert error["code"]
    return str(error["message"])


def test_a_hundred_calls_are_split_exactly_by_weight(town: Town) -> None:
    for name in ("v1", "v2", "v3"):
        town.put(name, says(name.encode()))
    town.split(v1=70, v2=20, v3=10)
    answered = Counter(town.score()[1].decode() for _ in range(100))
    assert answered == {"v1": 70, "v2": 20, "v3": 10}
    assert [town.counts(name) for name in ("v1", "v2", "v3")] == [(70, 0), (20, 0), (10, 0)]


def test_the_answer_names_the_deployment_that_gave_it(town: Town) -> None:
    town.put("v1", says(b"one", azureml_model_deployment="a lie"))
    town.split(v1=100)
    assert town.score()[2][PIN] == "v1"


def test_a_deployment_without_traffic_is_reached_by_the_header_alone(town: Town) -> None:
    town.put("v1", says(b"one"))
    town.put("v2", says(b"two"))
    town.split(v1=100, v2=0)
    assert {town.score()[1] for _ in range(20)} == {b"one"}
    assert town.score(azureml_model_deployment="v2")[1] == b"two"


def test_bytes_go_through_untouched_in_both_directions(town: Town) -> None:
    packed = gzip.compress(bytes(range(256)))
    deployment = town.put("v1", says(packed, Content_Type="application/x-own", Content_Encoding="gzip", X_Own="kept"))
    town.split(v1=100)
    sent = bytes(range(256)) * 100
    status, body, headers = town.score(sent, Content_Type="application/octet-stream", X_Request_Id="r-1")
    assert (status, body) == (200, packed)
    assert (headers["content-type"], headers["content-encoding"], headers["x-own"]) == (
        "application/x-own",
        "gzip",
        "kept",
    )
    assert deployment.bodies == [sent]
    assert deployment.headers[0]["content-type"] == "application/octet-stream"
    assert deployment.headers[0]["x-request-id"] == "r-1"
    assert not {"accept-encoding", "user-agent"} & deployment.headers[0].keys(), "the caller did not say that"


def test_a_packed_request_stays_packed(town: Town) -> None:
    deployment = town.put("v1", says(b"one"))
    town.split(v1=100)
    packed = gzip.compress(b"a request")
    assert town.score(packed, Content_Encoding="gzip")[0] == 200
    assert deployment.bodies == [packed]
    assert deployment.headers[0]["content-encoding"] == "gzip"


def test_an_error_of_the_flow_is_passed_on_and_counted(town: Town) -> None:
    town.put("v1", says(b'{"error": "of the flow"}', status=400))
    town.put("v2", says(b"two"))
    town.split(v1=100)
    status, body, _ = town.score()
    assert (status, body) == (400, b'{"error": "of the flow"}')
    assert (town.counts("v1"), town.counts("v2")) == ((1, 1), (0, 0))


def test_where_a_deployment_refuses_the_connection_another_one_answers(town: Town) -> None:
    town.place("v1", free_port())
    town.put("v2", says(b"two"))
    town.split(v1=90, v2=10)
    assert {town.score()[1] for _ in range(10)} == {b"two"}
    assert town.counts("v2") == (10, 0)
    refused = town.counts("v1")
    assert refused[0] == refused[1] == 9, "it was tried in its turns, and each time that counts as an error"


def test_where_a_deployment_dies_over_a_request_another_one_gets_the_same_request(town: Town) -> None:
    dying = town.put("v1", hangs_up)
    other = town.put("v2", says(b"two"))
    town.split(v1=99, v2=1)
    status, body, headers = town.score(b"the request")
    assert (status, body, headers[PIN]) == (200, b"two", "v2")
    assert dying.bodies == other.bodies == [b"the request"]
    assert (town.counts("v1"), town.counts("v2")) == ((1, 1), (1, 0))


def test_a_pinned_request_is_never_given_to_another_deployment(town: Town) -> None:
    town.put("v1", hangs_up)
    other = town.put("v2", says(b"two"))
    town.split(v2=100)
    status, body, headers = town.score(azureml_model_deployment="v1")
    assert status == 503
    assert "v1 ended the connection without an answer" in message(body)
    assert PIN not in headers
    assert other.bodies == []


def test_when_all_have_died_the_caller_is_told_and_asked_once_each(town: Town) -> None:
    first, second = town.put("v1", hangs_up), town.put("v2", hangs_up)
    town.split(v1=50, v2=50)
    status, body, headers = town.score()
    assert status == 503
    assert headers["retry-after"] == "1"
    assert "v1 ended the connection" in message(body)
    assert "v2 ended the connection" in message(body)
    assert (len(first.bodies), len(second.bodies)) == (1, 1)


def test_a_deployment_that_is_not_ready_gets_nothing_and_loses_only_its_turns(town: Town) -> None:
    town.place("v1", None)
    town.put("v2", says(b"two"))
    town.split(v1=90, v2=10)
    assert {town.score()[1] for _ in range(5)} == {b"two"}
    assert town.counts("v1") == (0, 0)


def test_a_deployment_that_is_not_ready_says_why_it_is_not(town: Town) -> None:
    town.place("v1", None)
    town.fleet.set_state("shop", "c-v1", DeploymentState.FAILED, "No module named 'x'")
    town.split(v1=100)
    status, body, _ = town.score()
    assert status == 503
    assert "v1 is failed (No module named 'x')" in message(body)


def test_an_endpoint_without_traffic_says_what_to_do(town: Town) -> None:
    town.put("v1", says(b"one"))
    status, body, _ = town.score()
    assert status == 503
    assert "has no traffic" in message(body)
    assert PIN in message(body)


def test_an_unknown_endpoint_or_deployment_names_the_known_ones(town: Town) -> None:
    town.put("v1", says(b"one"))
    status, body, _ = town.request("/elsewhere/score")
    assert status == 404
    assert "'elsewhere'" in message(body)
    assert "known: shop" in message(body)
    status, body, _ = town.score(azureml_model_deployment="v9")
    assert status == 404
    assert "'v9'" in message(body)
    assert "known: v1" in message(body)


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [("GET", "/shop/score", 405), ("POST", "/shop", 404), ("GET", "/", 404), ("POST", "/shop/score/more", 404)],
)
def test_other_addresses_are_refused_with_the_right_one(town: Town, method: str, path: str, expected: int) -> None:
    status, body, _ = town.request(path, None, method)
    assert status == expected
    assert "POST /<endpoint>/score" in message(body)


def test_a_body_over_the_limit_is_refused_before_any_deployment_sees_it(town: Town) -> None:
    deployment = town.put("v1", says(b"one"))
    town.split(v1=100)
    status, body, _ = town.score(b"x" * 100_001)
    assert status == 413
    assert "100,000 bytes" in message(body)
    assert deployment.bodies == []
    assert town.score(b"x" * 90_000)[0] == 200


def test_a_deployment_that_takes_too_long_is_given_up_and_no_other_does_the_work_twice(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.local.endpoints.router._ANSWER_TIMEOUT_S", 0.1)
    enough = threading.Event()

    def too_late(request: BaseHTTPRequestHandler, body: bytes) -> None:
        enough.wait(20)

    town.put("v1", too_late)
    other = town.put("v2", says(b"two"))
    town.split(v1=99, v2=1)
    status, body, headers = town.score()
    enough.set()
    assert status == 504
    assert "'v1' did not answer" in message(body)
    assert PIN not in headers
    assert other.bodies == []
    assert town.counts("v1") == (1, 1)


def test_stopping_lets_a_request_that_runs_end_first() -> None:
    town = Town()
    begun, go_on = threading.Event(), threading.Event()

    def slowly(request: BaseHTTPRequestHandler, body: bytes) -> None:
        begun.set()
        go_on.wait(20)
        says(b"one")(request, body)

    town.put("v1", slowly)
    town.split(v1=100)
    answers: list[tuple[int, bytes]] = []
    caller = threading.Thread(target=lambda: answers.append(town.score()[:2]))
    caller.start()
    assert begun.wait(20)
    closing = threading.Thread(target=town.close)
    closing.start()
    go_on.set()
    closing.join()
    caller.join()
    assert answers == [(200, b"one")]


def test_health_tells_that_the_router_runs(town: Town) -> None:
    status, body, _ = town.request("/health", None, "GET")
    assert (status, json.loads(body)) == (200, {"status": "Healthy"})


def test_a_change_holds_when_the_refresh_has_been_answered(town: Town) -> None:
    town.put("v1", says(b"one"))
    EndpointStore(town.blobs).update("shop", lambda b: b.model_copy(update={"traffic": {"v1": 100}}), create=False)
    assert town.score()[0] == 503
    assert town.request("/admin/refresh", b"")[0] == 200
    assert town.score()[0] == 200


def test_a_document_that_was_damaged_by_hand_is_an_error_and_what_ran_goes_on(town: Town) -> None:
    town.put("v1", says(b"one"))
    town.split(v1=100)
    town.blobs.write("endpoints", "desired/shop.json", b"{")
    status, body, _ = town.request("/admin/refresh", b"")
    assert status == 500
    assert "ValidationError" in message(body)
    assert town.score()[0] == 200


def test_health_of_a_deployment_is_asked_without_waiting(town: Town) -> None:
    well, ill = town.put("v1", says(b"{}")), town.put("v2", says(b"{}", status=500))
    assert town.router.healthy(well.port).result(20) is True
    assert town.router.healthy(ill.port).result(20) is False
    assert town.router.healthy(free_port()).result(20) is False


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "evil.example:7072"},
        {"Host": "127.0.0.1.evil.example"},
        {"Origin": "http://evil.example"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ],
)
@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("/shop/score", "POST"),
        ("/health", "GET"),
        ("/admin/endpoints", "GET"),
        ("/admin/refresh", "POST"),
        ("/", "GET"),
    ],
)
def test_other_sites_and_foreign_names_are_refused(town: Town, path: str, method: str, headers: dict[str, str]) -> None:
    v1 = town.put("v1", says(b"one"))
    town.split(v1=100)
    status, body, _ = town.request(path, None if method == "GET" else b"{}", method, **headers)

    error = json.loads(body)["error"]
    assert (status, error["code"]) == (403, "NotFromHere")
    assert "Send it from a program on this machine, to http://127.0.0.1." in error["message"]
    assert v1.bodies == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "LOCALHOST:99"])
@pytest.mark.parametrize("fetch_site", ["none", "same-origin", None])
def test_this_machines_names_are_answered(town: Town, host: str, fetch_site: str | None) -> None:
    town.put("v1", says(b"one"))
    town.split(v1=100)
    sent_by_a_browser = {"Sec_Fetch_Site": fetch_site} if fetch_site else {}
    assert town.score(Host=host, **sent_by_a_browser)[:2] == (200, b"one")


def test_counts_are_written_down_and_found_again_by_the_next_host(town: Town) -> None:
    town.put("v1", says(b"one"))
    town.split(v1=100)
    for _ in range(3):
        town.score()
    town.fleet.flush()
    successor = Fleet(town.blobs)
    successor.refresh()
    counts = successor.observed()["shop"].deployments["v1"].counts
    assert counts == town.fleet.observed()["shop"].deployments["v1"].counts
    assert counts.requests == 3


def test_a_deployment_of_the_same_name_that_is_created_anew_counts_from_zero(town: Town) -> None:
    town.put("v1", says(b"one"))
    town.split(v1=100)
    town.score()
    town.fleet.flush()
    anew = DesiredDeployment(name="v1", creation="another", folder="shop/v1", flow_digest="d", flow_version="1")
    EndpointStore(town.blobs).update(
        "shop", lambda before: before.model_copy(update={"deployments": {"v1": anew}}), create=False
    )
    town.fleet.refresh()
    assert town.counts("v1") == (0, 0)


def test_many_callers_at_once_are_all_counted(town: Town) -> None:
    for name in ("v1", "v2"):
        town.put(name, says(name.encode()))
    town.split(v1=50, v2=50)
    callers = [threading.Thread(target=lambda: [town.score() for _ in range(20)]) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert (town.counts("v1"), town.counts("v2")) == ((80, 0), (80, 0))

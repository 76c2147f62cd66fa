"""The router in front of deployments: splits, pins, failover, limits, bytes."""

from __future__ import annotations

import gzip
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from shared.ports import DeploymentState
from tests.contract.endpoint_host import free_port
from tests.unit.endpoint_town import PIN, Town, hangs_up, message, says


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


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

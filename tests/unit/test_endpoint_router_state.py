"""The router over time: refreshed and damaged documents, health, who may ask, and counts that outlive a host."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from shared.adapters.local.endpoints.fleet import Fleet
from shared.adapters.local.endpoints.state import DesiredDeployment, EndpointStore
from tests.contract.endpoint_host import free_port
from tests.unit.endpoint_town import Town, message, says


@pytest.fixture
def town() -> Iterator[Town]:
    town = Town()
    yield town
    town.close()


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

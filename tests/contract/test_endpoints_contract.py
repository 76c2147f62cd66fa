"""The contract of the Endpoints port: what every adapter does, whatever serves the flow behind it."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azure.endpoints.online_options import KUBERNETES
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.adapter import LocalEndpoints
from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.errors import BusinessFailure, InvalidName, NotFound, Transient
from shared.ports import DeploymentInfo, DeploymentSpec, DeploymentState, Endpoints
from tests.contract.azure_endpoints import BROKEN, WithTarget, azure_endpoints_on, echo
from tests.contract.cluster_world import cluster_world
from tests.contract.endpoint_host import free_port, supervisor
from tests.contract.web_app_world import web_app_world

FLOWS = Path(__file__).parent / "flows"
_numbers = count(1)


def _memory(home: Path, request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    handlers = {"echo": lambda payload, spec: echo(payload, spec.variants, spec.parameters)}
    yield MemoryEndpoints(handlers, failures={"broken": BROKEN})


def _local(home: Path, request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    port = free_port()
    host = supervisor(home, port)
    host.start()
    yield LocalEndpoints(FileBlobStore(home / "blobs"), home, f"http://127.0.0.1:{port}")
    host.stop()


def _managed(home: Path, request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    """azure-ai-ml against the stand-in of the management APIs, where a Python function answers for a container."""
    with azure_endpoints_on(*_azure(request)) as azure:
        yield azure.endpoints


def _kubernetes(home: Path, request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    with azure_endpoints_on(*_azure(request), default=KUBERNETES, options={"COMPUTE_NAME": "cluster"}) as azure:
        yield azure.endpoints


def _azure(request: pytest.FixtureRequest) -> tuple[Any, Any, Any]:
    return tuple(request.getfixturevalue(name) for name in ("management_server", "identity", "workspace_storage"))


def _web_app(home: Path, request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    """azure-mgmt-web and ACR tasks against the stand-in, which makes a host for each web app and each of its slots."""
    server, identity = request.getfixturevalue("management_server"), request.getfixturevalue("identity")
    with web_app_world(server, identity, loading=0) as world:
        yield world.targeted()


def _cluster(home: Path, request: pytest.FixtureRequest) -> Iterator[Endpoints]:
    """The Kubernetes client against the stand-in of a cluster: its API server, its controllers and a gateway."""
    with cluster_world(request.getfixturevalue("authority"), request.getfixturevalue("identity")) as world:
        yield WithTarget(world.endpoints, world.target)


ADAPTERS = {
    "memory": _memory,
    "local": _local,
    "azure-managed": _managed,
    "azure-kubernetes": _kubernetes,
    "azure-web-app": _web_app,
    "azure-cluster": _cluster,
}


WITHOUT_PERCENTILES = {"azure-web-app", "azure-cluster"}
"""Azure Monitor has means of a slot's latency alone; a cluster measures nothing."""


# One host for all tests of an adapter, and an endpoint of its own for every test: starting a flow takes seconds.
@pytest.fixture(scope="module", params=ADAPTERS)
def endpoints(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Endpoints]:
    yield from ADAPTERS[request.param](tmp_path_factory.mktemp("endpoints"), request)


@pytest.fixture
def name(endpoints: Endpoints) -> Iterator[str]:
    """An endpoint of the test's own, whose deployments do not stay to be started when the test has ended."""
    name = f"shop-{next(_numbers)}"
    yield name
    for endpoint in endpoints.list():
        if endpoint.name.startswith(name):
            endpoints.set_traffic(endpoint.name, {})
            for deployment in endpoint.deployments:
                endpoints.remove(endpoint.name, deployment.name)


@pytest.fixture(scope="module")
def ready(endpoints: Endpoints) -> str:
    """An endpoint with the ready deployments `plain` and `loud`, which tests leave as they found it: without traffic."""
    name = "ready"
    endpoints.deploy(spec(name, "plain"))
    endpoints.deploy(spec(name, "loud", variants={"style": "loud"}, parameters={"answer.prefix": "> "}))
    for deployment in ("plain", "loud"):
        assert settled(endpoints, name, deployment).state is DeploymentState.READY
    return name


def spec(endpoint: str, deployment: str, flow: str = "echo", **more: object) -> DeploymentSpec:
    return DeploymentSpec(endpoint, deployment, FLOWS / flow, f"digest-of-{flow}", "3", **more)  # type: ignore[arg-type]


def settled(endpoints: Endpoints, endpoint: str, deployment: str) -> DeploymentInfo:
    limit = time.monotonic() + 150
    while (info := endpoints.look(endpoint, deployment)).state is DeploymentState.CREATING:
        assert time.monotonic() < limit, f"still {info}"
        time.sleep(0.05)
    return info


def split(endpoints: Endpoints, endpoint: str, traffic: Mapping[str, int]) -> None:
    """Ask for the split until requests are split so: a platform may take its time over it."""
    limit = time.monotonic() + 60
    endpoints.set_traffic(endpoint, traffic)
    while not endpoints.describe(endpoint).settled:
        assert time.monotonic() < limit, f"{endpoint} is still not split {traffic}"
        endpoints.set_traffic(endpoint, traffic)


def counts_requests(request: pytest.FixtureRequest) -> bool:
    """Whether the platform counts: a cluster knows nothing of what its gateway passes on."""
    return request.node.callspec.params["endpoints"] != "azure-cluster"


def requests(endpoints: Endpoints, endpoint: str) -> Counter[str]:
    return Counter({info.name: info.requests for info in endpoints.describe(endpoint).deployments})


def test_a_new_deployment_is_being_created_without_traffic(endpoints: Endpoints, name: str) -> None:
    info = endpoints.deploy(spec(name, "rev1", tags={"chain": "shop-cd-1"}))
    assert (info.endpoint, info.name, info.flow_version, info.created) == (name, "rev1", "3", True)
    assert info.state is DeploymentState.CREATING
    assert info.tags == {"chain": "shop-cd-1"}
    assert (info.requests, info.errors, info.latency_p50_ms, info.latency_p95_ms) == (0, 0, None, None)
    assert not any(endpoints.describe(name).traffic.values())


def test_deploying_the_same_again_finds_the_deployment(endpoints: Endpoints, name: str) -> None:
    first = endpoints.deploy(spec(name, "rev1"))
    again = endpoints.deploy(spec(name, "rev1"))
    assert (first.created, again.created) == (True, False)
    assert [info.name for info in endpoints.describe(name).deployments] == ["rev1"]


def test_of_many_who_deploy_the_same_at_once_one_has_created_it(endpoints: Endpoints, name: str) -> None:
    with ThreadPoolExecutor(8) as people:
        found = list(people.map(lambda _: endpoints.deploy(spec(name, "rev1")), range(8)))
    assert sorted(info.created for info in found) == [False] * 7 + [True]
    assert [info.name for info in endpoints.describe(name).deployments] == ["rev1"]


def test_another_flow_under_a_name_that_is_taken_is_refused(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1"))
    with pytest.raises(BusinessFailure, match="use another name, or remove it first"):
        endpoints.deploy(spec(name, "rev1", variants={"style": "loud"}))


def test_a_flow_that_cannot_be_served_fails_with_the_reason(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1", "broken"))
    info = settled(endpoints, name, "rev1")
    assert info.state is DeploymentState.FAILED
    assert "a_package_that_is_not_installed" in info.reason
    with pytest.raises(Transient):
        endpoints.invoke(name, {"text": "hello"}, "rev1")


def test_deploying_what_has_failed_creates_it_anew(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1", "broken", tags={"chain": "shop-cd-1"}))
    assert settled(endpoints, name, "rev1").state is DeploymentState.FAILED

    again = endpoints.deploy(spec(name, "rev1", "broken", tags={"chain": "shop-cd-2"}))

    assert (again.created, again.state) == (True, DeploymentState.CREATING)
    assert again.tags == {"chain": "shop-cd-2"}
    assert not endpoints.deploy(spec(name, "rev1", "broken", tags={"chain": "shop-cd-3"})).created, "it is on its way"
    assert settled(endpoints, name, "rev1").tags == {"chain": "shop-cd-2"}


def test_of_many_who_deploy_what_has_failed_one_has_created_it(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1", "broken"))
    assert settled(endpoints, name, "rev1").state is DeploymentState.FAILED
    with ThreadPoolExecutor(4) as people:
        found = list(people.map(lambda _: endpoints.deploy(spec(name, "rev1", "broken")), range(4)))
    assert sorted(info.created for info in found) == [False] * 3 + [True]


def test_what_is_created_anew_has_no_traffic_until_it_is_given_some(endpoints: Endpoints, name: str) -> None:
    for deployment, flow in (("rev1", "echo"), ("rev2", "echo"), ("rev3", "broken")):
        endpoints.deploy(spec(name, deployment, flow))
    endpoints.set_traffic(name, {"rev1": 10, "rev2": 20, "rev3": 70})
    assert settled(endpoints, name, "rev3").state is DeploymentState.FAILED

    assert endpoints.deploy(spec(name, "rev3", "broken")).created

    assert endpoints.describe(name).traffic == {"rev1": 33, "rev2": 67}


def test_a_failed_deployment_still_keeps_its_name_for_its_content(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1", "broken"))
    assert settled(endpoints, name, "rev1").state is DeploymentState.FAILED
    with pytest.raises(BusinessFailure, match="use another name, or remove it first"):
        endpoints.deploy(spec(name, "rev1"))


@pytest.mark.parametrize("bad", ["", "../shop", "a b", "shöp", "a/b", "x" * 64])
def test_a_name_that_could_become_another_path_is_refused(endpoints: Endpoints, bad: str) -> None:
    with pytest.raises(InvalidName, match="endpoint"):
        endpoints.deploy(spec(bad, "rev1"))
    with pytest.raises(InvalidName, match="deployment"):
        endpoints.deploy(spec("shop", bad))


def test_what_does_not_exist_is_not_found(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1"))
    with pytest.raises(NotFound, match="nowhere"):
        endpoints.describe("nowhere")
    with pytest.raises(NotFound, match="nowhere"):
        endpoints.look("nowhere", "rev1")
    with pytest.raises(NotFound, match="rev2"):
        endpoints.look(name, "rev2")
    with pytest.raises(NotFound, match="nowhere"):
        endpoints.set_traffic("nowhere", {"rev1": 100})
    with pytest.raises(NotFound, match="nowhere"):
        endpoints.invoke("nowhere", {})
    with pytest.raises(NotFound, match="rev2"):
        endpoints.invoke(name, {}, "rev2")


def test_endpoints_and_deployments_are_listed_by_name(endpoints: Endpoints, name: str) -> None:
    for endpoint in (f"{name}-b", f"{name}-a"):
        for deployment in ("rev2", "rev1"):
            endpoints.deploy(spec(endpoint, deployment))
    listed = [info for info in endpoints.list() if info.name.startswith(f"{name}-")]
    assert [info.name for info in listed] == [f"{name}-a", f"{name}-b"]
    assert [[info.name for info in endpoint.deployments] for endpoint in listed] == [["rev1", "rev2"]] * 2
    assert listed[0] == endpoints.describe(f"{name}-a")
    assert listed[0].url.endswith("/score")
    assert listed[0].url != listed[1].url


@pytest.mark.parametrize(
    ("traffic", "complaint"),
    [
        ({"rev1": 90}, "100"),
        ({"rev1": 60, "rev2": 60}, "100"),
        ({"rev1": 150, "rev2": -50}, "100"),
        ({"rev1": 50, "rev3": 50}, "rev3"),
    ],
)
def test_a_wrong_split_is_refused_and_changes_nothing(
    endpoints: Endpoints, name: str, traffic: dict[str, int], complaint: str
) -> None:
    for deployment in ("rev1", "rev2"):
        endpoints.deploy(spec(name, deployment))
    endpoints.set_traffic(name, {"rev1": 100})
    with pytest.raises(BusinessFailure, match=complaint):
        endpoints.set_traffic(name, traffic)
    assert endpoints.describe(name).traffic == {"rev1": 100}


def test_the_split_can_be_taken_away_again(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1"))
    endpoints.set_traffic(name, {"rev1": 100})
    endpoints.set_traffic(name, {})
    assert endpoints.describe(name).traffic == {}


def test_a_split_that_was_asked_for_early_holds_once_the_deployment_is_ready(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1"))
    endpoints.set_traffic(name, {"rev1": 100})
    assert settled(endpoints, name, "rev1").state is DeploymentState.READY
    split(endpoints, name, {"rev1": 100})
    assert endpoints.invoke(name, {"text": "hello"}).deployment == "rev1"


def test_a_deployment_with_traffic_cannot_be_removed(endpoints: Endpoints, name: str) -> None:
    for deployment in ("rev1", "rev2"):
        endpoints.deploy(spec(name, deployment))
    endpoints.set_traffic(name, {"rev1": 100, "rev2": 0})
    with pytest.raises(BusinessFailure, match="rev1"):
        endpoints.remove(name, "rev1")

    endpoints.remove(name, "rev2")

    assert [info.name for info in endpoints.describe(name).deployments] == ["rev1"]
    assert endpoints.describe(name).traffic == {"rev1": 100}
    with pytest.raises(NotFound):
        endpoints.look(name, "rev2")


def test_removing_what_does_not_exist_is_no_error(endpoints: Endpoints, name: str) -> None:
    endpoints.remove("nowhere", "rev1")
    endpoints.deploy(spec(name, "rev1"))
    endpoints.remove(name, "rev2")
    assert [info.name for info in endpoints.describe(name).deployments] == ["rev1"]


def test_a_removed_deployment_can_be_created_anew(endpoints: Endpoints, name: str) -> None:
    endpoints.deploy(spec(name, "rev1"))
    endpoints.remove(name, "rev1")
    again = endpoints.deploy(spec(name, "rev1", variants={"style": "loud"}, tags={"chain": "shop-cd-2"}))
    assert (again.created, again.tags) == (True, {"chain": "shop-cd-2"})
    assert settled(endpoints, name, "rev1").state is DeploymentState.READY
    assert json.loads(endpoints.invoke(name, {"text": "hello"}, "rev1").body)["style"] == "loud"


def test_without_traffic_only_the_named_deployment_answers(endpoints: Endpoints, ready: str) -> None:
    split(endpoints, ready, {})
    with pytest.raises(Transient):
        endpoints.invoke(ready, {"text": "anybody?"})
    answer = endpoints.invoke(ready, {"text": "hello"}, "plain")
    assert (answer.status, answer.deployment) == (200, "plain")
    assert json.loads(answer.body) == {"answer": "hello", "style": "plain"}
    assert answer.latency_ms > 0


def test_variants_and_parameters_are_those_of_the_deployment(endpoints: Endpoints, ready: str) -> None:
    answer = endpoints.invoke(ready, {"text": "grüezi"}, "loud")
    assert json.loads(answer.body) == {"answer": "> GRÜEZI", "style": "loud"}


def test_ten_calls_are_split_nine_to_one_and_counted(
    endpoints: Endpoints, ready: str, request: pytest.FixtureRequest
) -> None:
    split(endpoints, ready, {"plain": 90, "loud": 10})
    before = requests(endpoints, ready)
    answered = Counter(endpoints.invoke(ready, {"text": "hello"}).deployment for _ in range(10))
    assert answered == {"plain": 9, "loud": 1}
    assert requests(endpoints, ready) - before == (answered if counts_requests(request) else Counter())


def test_the_named_deployment_answers_whatever_the_split_says(endpoints: Endpoints, ready: str) -> None:
    split(endpoints, ready, {"plain": 100, "loud": 0})
    assert {endpoints.invoke(ready, {"text": "hello"}, "loud").deployment for _ in range(5)} == {"loud"}
    assert {endpoints.invoke(ready, {"text": "hello"}).deployment for _ in range(5)} == {"plain"}


def test_a_new_split_holds_for_the_next_call_once_it_is_settled(endpoints: Endpoints, ready: str) -> None:
    for deployment in ("plain", "loud", "plain"):
        split(endpoints, ready, {deployment: 100})
        assert endpoints.invoke(ready, {"text": "hello"}).deployment == deployment


def test_a_flow_that_raises_is_a_status_and_counted_as_an_error(
    endpoints: Endpoints, ready: str, request: pytest.FixtureRequest
) -> None:
    before = endpoints.look(ready, "plain")
    answer = endpoints.invoke(ready, {"text": "raise"}, "plain")
    after = endpoints.look(ready, "plain")
    assert answer.status >= 400
    assert b"this text cannot be answered" in answer.body
    assert answer.deployment == "plain"
    counted = 1 if counts_requests(request) else 0
    assert (after.requests - before.requests, after.errors - before.errors) == (counted, counted)
    assert after.state is DeploymentState.READY


def test_latency_is_known_after_the_first_answer_where_the_platform_measures_it(
    endpoints: Endpoints, ready: str, request: pytest.FixtureRequest
) -> None:
    endpoints.invoke(ready, {"text": "hello"}, "plain")
    info = endpoints.look(ready, "plain")
    if request.node.callspec.params["endpoints"] in WITHOUT_PERCENTILES:
        assert (info.latency_p50_ms, info.latency_p95_ms) == (None, None), "nothing is made up"
        return
    assert info.latency_p50_ms is not None
    assert info.latency_p95_ms is not None
    assert 0 < info.latency_p50_ms <= info.latency_p95_ms

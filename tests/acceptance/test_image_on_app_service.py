"""From a use case to a slot of App Service that answers: nothing of ours is played, only Azure is.

The context that the target uploads is the one that is installed, and the program in it is what the slot runs, with the
slot's own settings, whose references to Key Vault the stand-in resolves.
"""

from __future__ import annotations

import io
import json
import tarfile
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from genaiops.stand_in_model import start_stand_in
from shared.ports import DeploymentSpec, DeploymentState
from shared.use_case.model import ConnectionSpec, DeploymentTarget
from tests.container import KEY, Container
from tests.contract.web_app_world import OPTIONS, VAULT, WebAppWorld, web_app_world
from tests.dockerfile import Built
from tests.servers.identity import IdentityEndpoint
from tests.servers.management import Management
from tests.servers.management.running import Start

ROOT = Path(__file__).parents[2]
TRIAGE = ROOT / "flows" / "ticket_triage"
pytestmark = pytest.mark.xdist_group("image")


class InSlot:
    """The image's program, as what runs in a slot."""

    def __init__(self, archive: bytes, start: Start, folder: Path) -> None:
        with tarfile.open(fileobj=io.BytesIO(archive)) as context:
            context.extractall(folder / "context")  # packed by ourselves
        self.container = Container(Built(folder / "context", folder), dict(start.variables))

    def is_ready(self) -> bool:
        try:
            return self.container.ask("GET", "/ready")[0] == 200
        except OSError:
            return False

    def score(self, body: bytes) -> tuple[int, bytes]:
        asked = HTTPConnection("127.0.0.1", self.container.port, timeout=60)
        asked.request("POST", "/score", body, {"Content-Type": "application/json"})
        answer = asked.getresponse()
        return answer.status, answer.read()

    def stop(self) -> None:
        self.container.process.kill()
        self.container.process.wait()


@pytest.fixture
def world(management_server: Management, identity: IdentityEndpoint, tmp_path: Path) -> Iterator[WebAppWorld]:
    with web_app_world(management_server, identity) as world:
        images = world.management.container_registry.images
        world.management.web_apps.serve = lambda start: InSlot(images[start.image], start, tmp_path / start.deployment)
        yield world
        world.management.reset()


def test_a_use_case_is_built_deployed_tested_and_routed_to(world: WebAppWorld) -> None:
    model = start_stand_in()
    try:
        world.management.web_apps.secrets = {
            (VAULT, "aoai-api-base"): model.url,
            (VAULT, "aoai-api-key"): KEY,
        }
        spec = DeploymentSpec(
            endpoint="ticket-triage", name="v1-0a1b2c3d", flow=TRIAGE / "flows" / "ticket_triage", flow_digest="0" * 64,
            flow_version="1", package="ticket_triage", root=TRIAGE, variants={"classify": "defined"},
            connection_specs=(ConnectionSpec("aoai"),), target=DeploymentTarget("webapp_endpoint", OPTIONS),
        )  # fmt: skip
        world.endpoints.deploy(spec)
        end = time.monotonic() + 120
        while (info := world.endpoints.look(spec.endpoint, spec.name)).state is DeploymentState.CREATING:
            assert time.monotonic() < end, info
            time.sleep(0.1)
        assert info.state is DeploymentState.READY, info
        request = json.loads((TRIAGE / "configs" / "sample-request.json").read_text())
        direct = world.endpoints.invoke(spec.endpoint, request, spec.name)
        assert (direct.status, set(json.loads(direct.body))) == (200, {"category", "urgency", "reply"})
        world.endpoints.set_traffic(spec.endpoint, {spec.name: 100})
        routed = world.endpoints.invoke(spec.endpoint, request)
        assert (routed.status, routed.deployment) == (200, spec.name)
        assert json.loads(routed.body) == json.loads(direct.body)
        slot = world.management.web_apps.slots[spec.endpoint, spec.name]
        assert KEY not in json.dumps(slot.shown) + slot.container.container.log.read_text()
    finally:
        model.stop()

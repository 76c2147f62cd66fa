"""`submit --azure` as a step of a pipeline runs it: its own process, the real SDKs, a blob service and a namespace.

The step has what AzureCLI@2 gives it, a session of the Azure CLI or a workload identity's token, the variables of its run,
and two settings. What it publishes starts one chain, however often it is published, and by whichever of its two ways.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from azure.identity import ManagedIdentityCredential
from azure.servicebus import ServiceBusClient, ServiceBusMessage

from shared import chain_store
from shared.adapters.azure.blobs import AzureBlobStore
from shared.adapters.memory.pipelines import RecordingPipelines
from shared.adapters.queues import QueueConfig
from shared.advance import start
from shared.chain.messages import Queue, parse_request
from shared.delivery import Delivery
from shared.use_case.opened import CONTAINER, bundle_blob
from tests import samples
from tests.servers.azurite import Azurite
from tests.servers.certificates import Authority
from tests.servers.identity import APPLICATION, TENANT, IdentityEndpoint
from tests.servers.plain_http import Handler, LoopbackServer
from tests.servers.service_bus import Broker
from tests.unit.people import memory_ports
from tests.unit.test_cli_submit_azure import PULL_REQUEST, as_agent
from tests.unit.use_case_folder import written

pytestmark = pytest.mark.azurite
ROOT = Path(__file__).parents[2]
Step = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def broker() -> Iterator[Broker]:
    with Broker([QueueConfig(Queue.CHAIN_REQUESTS.value)]) as broker:
        yield broker


@pytest.fixture
def account(azurite: Azurite) -> str:
    return azurite.account()


@pytest.fixture
def cli_session(identity: IdentityEndpoint, tmp_path: Path) -> Mapping[str, str]:
    """`az` as the task leaves it: logged in as the service connection's identity, for any resource asked for."""
    answer = {
        "accessToken": identity.token("https://storage.azure.com"),
        "expires_on": 4102444800,
        "subscription": "00000000-0000-0000-0000-000000000001",
        "tenant": TENANT,
        "tokenType": "Bearer",
    }
    program = tmp_path / "bin" / "az"
    program.parent.mkdir()
    program.write_text(
        "#!/bin/sh\n"
        'case "$*" in *"account get-access-token"*"https://storage.azure.com"*) ;; *) exit 2 ;; esac\n'
        f"cat <<'END'\n{json.dumps(answer)}\nEND\n"
    )
    program.chmod(0o755)
    return {"PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def step(account: str, authority: Authority, broker: Broker, tmp_path: Path) -> Step:
    """Runs `submit --azure` in a process that inherits nothing but what is said here."""
    written(tmp_path)

    def step(session: Mapping[str, str], *arguments: str, sends: bool = False) -> subprocess.CompletedProcess[str]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "GENAIOPS_ROOT": str(tmp_path),
            **authority.environment,
            **PULL_REQUEST,
            "Storage__blobServiceUri": account,
            **({"GENAIOPS_BUS": broker.connection_string} if sends else {}),
            **session,
        }
        command = [sys.executable, "-m", "genaiops", "submit", "flows/greetings", "--azure", "--kind", "pr"]
        return subprocess.run(
            [*command, *arguments],
            cwd=tmp_path,
            env=environment | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return step


def test_a_request_that_is_published_twice_and_by_both_ways_starts_one_chain(
    step: Step, cli_session: Mapping[str, str], broker: Broker, account: str, tmp_path: Path
) -> None:
    handed_on = step(cli_session, "--to-variable", "request")
    assert handed_on.returncode == 0, handed_on.stderr
    assert "was stored." in handed_on.stdout
    outputs = as_agent(handed_on.stdout + handed_on.stderr)
    request = parse_request(outputs["request"].encode())
    assert (request.pull_request, request.requester) == (17, "maria@example.org")

    blobs = AzureBlobStore(account, ManagedIdentityCredential())
    assert request.bundle is not None
    assert blobs.info(CONTAINER, bundle_blob(request.bundle)).size > 0

    sent = step(cli_session, "--send", sends=True)
    assert sent.returncode == 0, sent.stderr
    assert "is stored already" in sent.stdout
    assert f"Asked for the chain {outputs['chain']}" in sent.stdout
    with ServiceBusClient.from_connection_string(broker.connection_string) as client:
        with client.get_queue_sender(Queue.CHAIN_REQUESTS) as sender:
            sender.send_messages(ServiceBusMessage(outputs["request"]))  # as the task does: without an id of its own
        with client.get_queue_receiver(Queue.CHAIN_REQUESTS) as receiver:
            bodies = []
            while len(bodies) < 2:
                for message in receiver.receive_messages(max_message_count=2, max_wait_time=20):
                    bodies.append(b"".join(message.body))
                    receiver.complete_message(message)
    assert [parse_request(body) for body in bodies] == [request, request]
    assert str(tmp_path).encode() not in b"".join(bodies)

    ports = memory_ports()
    ports = replace(ports, blobs=blobs, pipelines=RecordingPipelines("https://dev.azure.com/example"))
    for number, body in enumerate(bodies):
        start(ports, Delivery(Queue.CHAIN_REQUESTS, body, f"m{number}", 1, samples.NOW))
    assert [chain.id for chain in chain_store.recent(blobs, 10)] == [outputs["chain"]]


class TokenService(LoopbackServer):
    """Plays the token endpoint of Entra ID for a workload identity's federated token.

    https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow#third-case-access-token-request-with-a-federated-credential
    """

    def __init__(self, authority: Authority, identity: IdentityEndpoint, federated: str) -> None:
        class Tokens(Handler):
            def do_POST(self) -> None:  # noqa: N802 - the standard library's name
                asked = {name: values[0] for name, values in parse_qs(self.content().decode()).items()}
                right = self.path.startswith(f"/{TENANT}/oauth2/v2.0/token") and asked.get("client_id") == APPLICATION
                if not right or asked.get("client_assertion") != federated:
                    self.answer(401, b'{"error": "invalid_client", "error_description": "AADSTS700213"}')
                    return
                token = identity.token(asked["scope"].removesuffix("/.default"))
                answer = {"token_type": "Bearer", "expires_in": 3600, "access_token": token}
                self.answer(200, json.dumps(answer).encode())

        super().__init__(Tokens, authority.certificate().server_context())


def test_a_workload_identitys_token_does_as_well_as_the_cli(
    step: Step, authority: Authority, identity: IdentityEndpoint, account: str, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text("the-token-of-this-run")
    with TokenService(authority, identity, "the-token-of-this-run") as entra:
        session = {
            "AZURE_FEDERATED_TOKEN_FILE": str(file),
            "AZURE_TENANT_ID": TENANT,
            "AZURE_CLIENT_ID": APPLICATION,
            "AZURE_AUTHORITY_HOST": entra.url,
        }
        done = step(session, "--to-variable", "request")
    assert done.returncode == 0, done.stderr
    assert "the-token-of-this-run" not in done.stdout + done.stderr
    digest = parse_request(as_agent(done.stdout)["request"].encode()).bundle
    assert digest is not None
    assert AzureBlobStore(account, ManagedIdentityCredential()).info(CONTAINER, bundle_blob(digest)).size > 0


def test_settings_that_a_step_needs_are_named_and_no_others(step: Step, cli_session: Mapping[str, str]) -> None:
    missing = step({**cli_session, "Storage__blobServiceUri": ""}, "--send")
    assert missing.returncode == 2
    named = {line.split()[0] for line in missing.stderr.splitlines() if line.startswith("  ")}
    assert named == {"Storage__blobServiceUri", "ServiceBus__fullyQualifiedNamespace"}

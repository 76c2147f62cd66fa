"""The chains of the demo under the azure profile: Microsoft's SDKs all the way, against servers that speak as Azure's do."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from genaiops.demo.stage import changed_use_case
from shared.chain.state import Chain, ChainStatus
from shared.names import chain_id
from shared.ports import AssetKind
from tests.acceptance.azure_world import AzureWorld, azure_world
from tests.acceptance.conftest import FOLDER, USE_CASE, Undisturbed
from tests.acceptance.embedded import ROOT, Embedded
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint

# With the tests of the embedded chain: what both profiles bring about is compared.
pytestmark = [pytest.mark.azurite, pytest.mark.xdist_group("embedded-chain"), pytest.mark.timeout(900)]


@dataclass(frozen=True)
class InAzure:
    """The world, which still runs, and its first chain."""

    world: AzureWorld
    chain: Chain

    @property
    def host(self) -> Embedded:
        return self.world.host


@pytest.fixture(scope="module")
def in_azure(
    tmp_path_factory: pytest.TempPathFactory, authority: Authority, identity: IdentityEndpoint
) -> Iterator[InAzure]:
    with azure_world(tmp_path_factory.mktemp("azure") / "world", authority, identity) as world:
        host = world.host
        chain = host.request(USE_CASE, "build-1", folder=FOLDER, commit="a" * 40, branch="main")
        assert host.approve(host.until_waiting(chain)) == 303
        ended = host.until_ended(chain)
        assert ended.status is ChainStatus.SUCCEEDED, host.log(chain)
        yield InAzure(world, ended)


def metrics(host: Embedded, chain: Chain) -> dict[tuple[str, ...], float]:
    """The table of metrics that the report comes with."""
    keys = json.loads((host.home / "host" / "keys.json").read_text()) if "azure" in host.variables.values() else {}
    headers = {"x-functions-key": keys["default"]} if keys else {}
    status, content = host.http(f"{host.url}/api/chains/{chain.id}/files/metrics.csv", headers=headers)
    assert status == 200, content
    rows = csv.DictReader(io.StringIO(content.decode(), newline=""))
    return {(r["dataset"], r["variant"], r["evaluator"], r["metric"]): float(r["value"]) for r in rows}


def steps(chain: Chain) -> list[tuple[str, str, str]]:
    return [(step.step, step.status, step.detail.partition(" in ")[0]) for step in chain.steps]


def contents(host: Embedded, kind: AssetKind) -> list[tuple[str, str, str]]:
    return [(asset.name, asset.version, asset.content_hash) for asset in host.ports.registry.list(kind)]


def test_the_chain_takes_the_same_steps_as_on_a_laptop_and_says_so_in_the_same_words(
    in_azure: InAzure, undisturbed: Undisturbed
) -> None:
    ours = [(step, status, detail.partition(",")[0]) for step, status, detail in steps(in_azure.chain)]
    theirs = [(step, status, detail.partition(",")[0]) for step, status, detail in steps(undisturbed.chain)]
    assert ours == theirs


def test_every_metric_of_every_variant_is_the_laptops(in_azure: InAzure, undisturbed: Undisturbed) -> None:
    ours, theirs = metrics(in_azure.host, in_azure.chain), metrics(undisturbed.embedded, undisturbed.chain)
    assert ours == pytest.approx(theirs)
    assert len({value for key, value in ours.items() if key[3] == "macro_f1"}) > 3, "variants differ"


def test_what_is_registered_is_the_laptops_content_with_its_lineage(
    in_azure: InAzure, undisturbed: Undisturbed
) -> None:
    for kind in AssetKind:
        assert contents(in_azure.host, kind) == [
            asset for asset in contents(undisturbed.embedded, kind) if asset[1] == "1"
        ]
    (model,) = in_azure.host.ports.registry.list(AssetKind.MODEL)
    assert model.tags["chain"] == in_azure.chain.id
    assert model.tags["commit"] == "a" * 40
    assert json.loads(model.tags["metrics"])


def test_runs_were_submitted_once_each_with_tags_and_only_as_the_apps_identity(in_azure: InAzure) -> None:
    runs = in_azure.world.management.prompt_flow.runs
    assert len(runs) == 10 + 20
    assert {run.status for run in runs.values()} == {"Completed"}
    for run in runs.values():
        tags = run.body["tags"]
        assert tags["genaiops_chain"] == in_azure.chain.id
        assert tags["genaiops_command"].startswith(f"{in_azure.chain.id}/")
    submitted = in_azure.world.management.seen("POST", r"/BulkRuns/submit")
    assert [request.status for request in submitted].count(200) == 30
    assert in_azure.world.management.unknown == [], "nothing was asked for that the stand-in does not play"
    assert all(request.bearer for request in submitted)


def test_the_deployment_is_served_from_its_image_context(in_azure: InAzure) -> None:
    endpoint = in_azure.host.ports.endpoints.describe("ticket-triage")
    (deployment,) = endpoint.deployments
    assert endpoint.traffic == {deployment.name: 100}
    assert deployment.requests >= 21, "the endpoint test and the integration test"
    sample = json.loads((FOLDER / "configs" / "sample-request.json").read_bytes())
    answer = in_azure.host.ports.endpoints.invoke("ticket-triage", sample)
    assert (answer.status, answer.deployment) == (200, deployment.name)
    assert set(json.loads(answer.body)) == {"category", "urgency", "reply"}


def test_a_second_version_gets_its_share_beside_the_first(in_azure: InAzure) -> None:
    host = in_azure.host
    with changed_use_case(host.ports.settings) as folder:
        chain = host.request(USE_CASE, "build-2", folder=folder, variants="classify.defined", commit="b" * 40)
    assert host.approve(host.until_waiting(chain)) == 303
    ended = host.until_ended(chain)

    assert ended.status is ChainStatus.SUCCEEDED, host.log(chain)
    endpoint = host.ports.endpoints.describe("ticket-triage")
    first, second = sorted(endpoint.traffic)
    assert dict(endpoint.traffic) == {first: 90, second: 10}
    assert ended.deployment is not None
    assert ended.deployment.traffic_before == {first: 100}


def test_an_uploaded_dataset_is_evaluated_anew_and_only_its_changed_rows_are_submitted(in_azure: InAzure) -> None:
    host = in_azure.host
    before = len(in_azure.world.management.prompt_flow.runs)
    content = (ROOT / "data" / USE_CASE / "tickets_mail_changed.csv").read_bytes()
    blob = f"{USE_CASE}/tickets_mail/changed.csv"
    etag = host.ports.blobs.write("datasets", blob, content)
    chain = chain_id(USE_CASE, "dataset", hashlib.sha256(f"{blob}\n{etag}".encode()).hexdigest())
    ended = host.until_ended(chain)

    assert ended.progress.runs_completed == 5, host.log(chain)
    assert ended.created_data[0].version == "2"
    submitted: list[Any] = list(in_azure.world.management.prompt_flow.runs.values())[before:]
    storage = in_azure.world.management.storage.of("azureml-blobstore")
    lines = [
        len(storage[run.body["batchDataInput"]["dataUri"].partition("/paths/")[2]].content.splitlines())
        for run in submitted
    ]
    rows = content.count(b"\n") - 1
    assert lines, "there were changed rows"
    assert max(lines) < rows, "no run was given what an earlier one had answered"


def test_nothing_is_left_in_the_queues_and_nobody_gave_up(in_azure: InAzure) -> None:
    assert in_azure.host.dead_letters() == []
    in_azure.host.until(
        lambda: (
            not any(
                in_azure.world.broker.counts(queue).active for queue in in_azure.host.ports.settings.queues.values()
            )
        ),
        "all messages are done",
    )


def test_no_secret_lies_in_any_blob_or_log(in_azure: InAzure, identity: IdentityEndpoint) -> None:
    secrets = {"a-key-of-the-workspace", *identity.issued[-50:]}
    blobs = in_azure.host.ports.blobs
    said = in_azure.host.said()
    for container in ("chains", "results", "reports", "endpoints", "bundles", "dead-letters", "messages"):
        for info in blobs.list(container):
            content = blobs.read(container, info.name).decode("utf-8", "replace")
            assert not [secret for secret in secrets if secret in content], info.name
    assert not [secret for secret in secrets if secret in said]

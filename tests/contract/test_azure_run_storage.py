"""The storage that runs leave their outputs in: what a datastore's record, a flow's names or its answers may not do."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.azure.machine_learning.runs.artifacts import WorkspaceStorage
from shared.errors import BusinessFailure, NotFound
from tests.contract.azure_runs import CloudRuns, cloud_runs


@pytest.fixture
def cloud(request: pytest.FixtureRequest) -> Iterator[CloudRuns]:
    found = cloud_runs(request)
    found.management.reset()
    yield found
    found.management.reset()


@pytest.fixture
def storage(cloud: CloudRuns) -> WorkspaceStorage:
    return WorkspaceStorage(cloud.workspace, retries=0, timeout_s=10.0)


@pytest.mark.parametrize(
    "changes",
    [{"endpoint": "elsewhere.example"}, {"protocol": "http"}, {"account": "elsewhere.example/"}],
    ids=["endpoint", "protocol", "account"],
)
def test_the_apps_token_goes_to_storage_accounts_of_azure_alone(
    cloud: CloudRuns, storage: WorkspaceStorage, tmp_path: Path, changes: dict[str, Any]
) -> None:
    stores = cloud.management.workspace.datastores
    stores[0] = dataclasses.replace(stores[0], **changes)
    (tmp_path / "lines.jsonl").write_text("{}\n")
    with pytest.raises(BusinessFailure, match=r"default datastore 'workspaceblobstore'.*no storage account of Azure"):
        storage.upload(tmp_path / "lines.jsonl", "genaiops/a/lines.jsonl")


@pytest.mark.parametrize("name", ["run/../../chains/state.json", "/flow_artifacts/", "run/./x", "run//x"])
def test_a_name_that_leads_out_of_the_container_is_not_read(storage: WorkspaceStorage, name: str) -> None:
    for read in (storage.lines, storage.names):
        with pytest.raises(BusinessFailure, match="leads out of its container"):
            list(read(name))
    with pytest.raises(BusinessFailure, match="leads out of its container"):
        storage.first_line(name)


def test_lines_come_whole_however_they_are_cut_and_one_without_end_is_refused(
    storage: WorkspaceStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.adapters.azure.machine_learning.runs.artifacts._CHUNK", 1_024)
    lines = [b"short", b"", b"x" * 5_000, b"last"]
    (tmp_path / "lines.jsonl").write_bytes(b"\n".join(lines))
    storage.upload(tmp_path / "lines.jsonl", "genaiops/a/lines.jsonl")
    assert list(storage.lines("genaiops/a/lines.jsonl")) == lines
    monkeypatch.setattr("shared.adapters.azure.machine_learning.runs.artifacts._LONGEST", 4_000)
    with pytest.raises(BusinessFailure, match=r"A line of genaiops/a/lines.jsonl .* have the flow answer less"):
        list(storage.lines("genaiops/a/lines.jsonl"))
    with pytest.raises(NotFound):
        list(storage.lines("genaiops/b/lines.jsonl"))

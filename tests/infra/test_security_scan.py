"""The security scan of infra/ has no finding without a reason, and no reason without its finding."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from tests.infra import scan
from tests.infra.world import INFRA

ACCEPTED = Path(__file__).with_name("accepted_findings.toml")


def test_every_finding_is_explained_and_every_explanation_is_needed():
    accepted = tomllib.loads(ACCEPTED.read_text())
    assert all(reason.strip() for reason in accepted.values())
    found = scan.findings(INFRA)
    assert found - set(accepted) == set(), "a new finding: repair it, or accept it with a reason"
    assert set(accepted) - found == set(), "no longer found: remove it from accepted_findings.toml"


def test_a_weakness_is_found(tmp_path: Path):
    shutil.copytree(INFRA / "modules", tmp_path / "infra/modules")
    account = tmp_path / "infra/modules/storage-account.bicep"
    account.write_text(account.read_text().replace("supportsHttpsTrafficOnly: true", "supportsHttpsTrafficOnly: false"))
    assert "CKV_AZURE_3 modules/storage-account.bicep account" in scan.findings(tmp_path / "infra")


def test_a_missing_scanner_is_a_failure_that_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scan, "PROGRAM", tmp_path / "checkov")
    with pytest.raises(scan.ScanError, match="make scanner"):
        scan.findings(INFRA)


def test_a_file_that_the_scanner_cannot_read_is_a_failure(tmp_path: Path):
    shutil.copytree(INFRA / "modules", tmp_path / "infra/modules")
    (tmp_path / "infra/modules/broken.bicep").write_text(
        "resource x 'Microsoft.Storage/storageAccounts@2023-05-01' = {{\n"
    )
    with pytest.raises(scan.ScanError, match="could not read"):
        scan.findings(tmp_path / "infra")

"""Wiring the ports of a profile."""

from __future__ import annotations

import pytest

from shared import bootstrap
from shared.adapters.local.blobs import FileBlobStore
from shared.settings import InvalidSettings, read


def test_the_home_is_nobody_elses_business(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o755)
    ports = bootstrap.wire(read({"GENAIOPS_HOME": str(home)}))
    assert isinstance(ports.blobs, FileBlobStore)
    assert home.stat().st_mode & 0o777 == 0o700


def test_every_wrong_setting_is_named_at_once():
    wrong = {"GENAIOPS_PROFILE": "moon", "GENAIOPS_HTTP_PORT": "eighty", "GENAIOPS_CELLS_IN_FLIGHT": "0"}
    with pytest.raises(InvalidSettings) as caught:
        read(wrong)
    assert all(name in str(caught.value) for name in wrong)


def test_the_ports_of_a_process_are_those_it_was_told_to_use(tmp_path):
    ports = bootstrap.wire(read({"GENAIOPS_HOME": str(tmp_path)}))
    bootstrap.use(ports)
    assert bootstrap.ports() is ports

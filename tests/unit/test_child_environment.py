"""Child processes get what any program needs, and nothing that only this process was given."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from genaiops.stand_in_model import start_stand_in
from shared.child_environment import inherited_environment


def test_neither_connections_nor_secrets_nor_settings_are_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("aoai", "AZURE_CLIENT_SECRET", "GENAIOPS_HOME"):
        monkeypatch.setenv(name, '{"api_key": "SECRET-1"}')
    monkeypatch.setenv("LC_TIME", "C")
    given = inherited_environment()
    assert "SECRET-1" not in str(given)
    assert given["LC_TIME"] == "C"
    assert "PATH" in given


def test_the_stand_in_model_is_not_given_the_keys_of_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("aoai", '{"api_key": "SECRET-2"}')
    model = start_stand_in()
    try:
        environment = Path(f"/proc/{model.process.pid}/environ")
        shown = (
            environment.read_bytes()
            if environment.exists()
            else subprocess.run(["ps", "eww", str(model.process.pid)], capture_output=True, check=True).stdout
        )
        assert b"PATH=" in shown
        assert b"SECRET-2" not in shown
    finally:
        model.stop()

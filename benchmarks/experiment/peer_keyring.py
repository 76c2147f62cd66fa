"""A keyring in a file: prompt flow's client stores connections encrypted, and its workers read the key back."""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend


class FileKeyring(KeyringBackend):
    """Keeps passwords in the home that the client was given for one comparison."""

    priority = 1

    @property
    def _file(self) -> Path:
        return Path(os.environ["PF_HOME_DIRECTORY"]) / "keyring.json"

    def _held(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text())) if self._file.exists() else {}

    def get_password(self, service: str, username: str) -> str | None:
        return self._held().get(f"{service}/{username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        self._file.write_text(json.dumps({**self._held(), f"{service}/{username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        held = self._held()
        held.pop(f"{service}/{username}", None)
        self._file.write_text(json.dumps(held))

"""Azurite, Microsoft's blob service for development, pinned in `package.json` and installed by `make azurite`.

It speaks TLS and takes tokens, so that an adapter meets it as it meets a storage account. Every test gets an account of
its own: one server does for a whole session, and no test sees what another left.
"""

from __future__ import annotations

import base64
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from tests.servers.certificates import Authority

HERE = Path(__file__).parent
MAIN = HERE / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
ACCOUNTS = 2_000
"""Accounts of one server: Azurite reads its list when it starts, from a variable that may not be long."""
KEY = base64.b64encode(b"open").decode()
"""Of all accounts: they live as long as a test."""


def missing() -> str | None:
    """What is missing to run Azurite, with what to do; None if nothing is."""
    if shutil.which("node") is None:
        return "Node.js is not installed (Debian: apt-get install nodejs npm), then `make azurite`"
    if not MAIN.is_file():
        return "Azurite is not installed: `make azurite`"
    return None


class Azurite:
    """`with Azurite(folder, authority) as azurite:` serves until the end; `azurite.account()` is a fresh account.

    With `on_disk` its blobs survive `restart`, which ends it gently: killed, it may lose what it has acknowledged.
    """

    def __init__(self, folder: Path, authority: Authority, *, on_disk: bool = False) -> None:
        self._folder, self._authority, self._on_disk = folder, authority, on_disk
        self._numbers: Iterator[int] = iter(range(ACCOUNTS))
        self._process: subprocess.Popen[str] | None = None
        self.port = 0
        """Free at the first start, and kept from then on."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def account(self) -> str:
        """Address of the blob service of an account that nobody has used."""
        return f"https://127.0.0.1:{self.port}/account{next(self._numbers)}"

    def connection_string(self, account: str) -> str:
        """For clients that come with the account's key: tests that look at what an adapter did."""
        name = account.rpartition("/")[2]
        return f"DefaultEndpointsProtocol=https;AccountName={name};AccountKey={KEY};BlobEndpoint={account};"

    def start(self) -> None:
        """Return when it serves."""
        certificate = self._authority.certificate()
        place = ["--location", str(self._folder)] if self._on_disk else ["--inMemoryPersistence"]
        command = ["node", "--require", str(HERE / "ends_with_its_starter.js"), str(MAIN)]
        command += ["--blobHost", "127.0.0.1", "--blobPort", str(self.port), *place, "--oauth", "basic"]
        command += ["--cert", str(certificate.chain), "--key", str(certificate.key)]
        command += ["--silent", "--skipApiVersionCheck", "--disableTelemetry"]
        accounts = ";".join(f"account{number}:{KEY}" for number in range(ACCOUNTS))
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=self._folder,
            env={**os.environ, "AZURITE_ACCOUNTS": accounts},
        )
        assert self._process.stdout is not None
        said = []
        for line in self._process.stdout:
            said.append(line)
            if "successfully listens on" in line:
                self.port = int(line.rstrip().rpartition(":")[2])
                break
        else:
            raise RuntimeError(f"Azurite did not start: {''.join(said)}")
        # A pipe that nobody reads would stop it in the middle of a word one day.
        threading.Thread(target=self._process.stdout.read, daemon=True).start()

    def stop(self) -> None:
        """End it gently, so that what it has acknowledged is on the disk."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:  # a client that holds its connection open
                self._process.kill()
                self._process.wait(10)
            self._process = None

    def restart(self) -> None:
        """Stop and start on the same port."""
        self.stop()
        self.start()

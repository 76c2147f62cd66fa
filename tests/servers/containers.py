"""Containers for the stand-ins of platforms: the server of an image's context, started by its CMD with this Python.

What an image adds is left out: its base, its own packages and its user. `tests/acceptance/test_image.py` installs those.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from shared.connections import Connection
from tests.dockerfile import instructions
from tests.servers.management.running import CannotStart, Start

_REFERENCE = re.compile(r"\$\{\{azureml://connections/([^/]+)/(credentials/key|target|metadata/\w+)\}\}")


class Container:
    """A process that serves the context in `folder`, on a port of its own."""

    def __init__(self, folder: Path, variables: Mapping[str, str]) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        (command,) = [each for each in instructions((folder / "Dockerfile").read_text()) if each.keyword == "CMD"]
        (folder / "tmp").mkdir(exist_ok=True)
        self._output = folder / "container.log"
        own = {"PORT": str(self.port), "HOME": str(folder / "tmp"), "TMPDIR": str(folder / "tmp")}
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, *command.words[1:]],
                cwd=folder / "app",
                env={"PATH": os.environ["PATH"], **variables, **own, "GENAIOPS_SERVE_HOST": "127.0.0.1"},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def is_ready(self) -> bool:
        if self._process.poll() is not None:
            raise CannotStart(f"The container ended: {self.log()[-2000:]}")
        try:
            return self._request("GET", "/ready", b"")[0] == 200
        except OSError:
            return False

    def score(self, body: bytes) -> tuple[int, bytes]:
        return self._request("POST", "/score", body)

    def log(self) -> str:
        return self._output.read_text("utf-8", errors="replace")

    def stop(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def _request(self, method: str, path: str, body: bytes) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body=body or None, headers={"Content-Type": "application/json"})
            answer = connection.getresponse()
            return answer.status, answer.read()
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()


class Engine:
    """Starts containers of contexts, and ends all of them at the end."""

    def __init__(self, folder: Path, fetch: Callable[[str, Path], None], connections: Mapping[str, Connection]) -> None:
        """`fetch` brings the context at an address into a folder; `connections` are those of the workspace."""
        self._folder, self._fetch, self._connections = folder, fetch, connections
        self.containers: list[Container] = []

    def __call__(self, start: Start) -> Container:
        folder = self._folder / f"container-{len(self.containers)}"
        self._fetch(start.context, folder)
        container = Container(folder, {name: self._resolved(value) for name, value in start.variables.items()})
        self.containers.append(container)
        return container

    def close(self) -> None:
        for container in self.containers:
            container.stop()

    def _resolved(self, value: str) -> str:
        """References to the workspace's connections, as the platform fills them in when a container starts."""
        found = _REFERENCE.fullmatch(value)
        if found is None:
            return value
        connection = self._connections.get(found[1])
        if connection is None:
            raise CannotStart(f"The workspace has no connection {found[1]!r}.")
        match found[2]:
            case "credentials/key":
                return connection.api_key
            case "target":
                return connection.api_base
            case "metadata/ApiVersion":
                return connection.api_version
            case "metadata/ApiType":
                return connection.api_type
            case _:
                raise CannotStart(f"The connection {found[1]!r} has no {found[2]}.")

"""The program of an image, run in place of a container: the image's CMD with the image's variables, and a host's."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Self

from tests.dockerfile import Built

KEY = "planted-key-9f8e7d6c5b4a"
"""Of every connection; no output may hold it."""


def connection(url: str) -> str:
    return json.dumps({"api_base": url, "api_key": KEY})


@dataclass
class Container:
    """A container's first process, in place of the container."""

    built: Built
    variables: dict[str, str]
    port: int = 0
    process: subprocess.Popen[bytes] = field(init=False)
    log: Path = field(init=False)

    def __post_init__(self) -> None:
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = found.getsockname()[1]
        self.log = self.built.app.parent / f"log-{self.port}.jsonl"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.built.command("CMD"),
                cwd=self.built.app,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    @property
    def environment(self) -> dict[str, str]:
        return self.built.environment(PORT=str(self.port), GENAIOPS_SERVE_HOST="127.0.0.1", **self.variables)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        return self.answer(method, path, json.dumps(body).encode() if body is not None else None, **headers)[:2]

    def answer(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, Any, dict[str, str]]:
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            lower = {name.lower(): value for name, value in response.getheaders()}
            return response.status, json.loads(response.read()), lower
        finally:
            connection.close()

    def until(self, path: str, status: int, seconds: float = 60) -> Any:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process.poll() is None, self.log.read_text()
            try:
                found, content = self.ask("GET", path)
                if found == status:
                    return content
            except OSError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"{path} did not answer {status}: {self.log.read_text()}")

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(40)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

"""What a served flow's container can make the app do by its answers: nothing, and it costs little."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from shared.adapters.azure.arm import ResourceManager
from shared.adapters.azure.endpoints import scoring
from shared.adapters.azure.endpoints.exchange import exchange
from shared.errors import BusinessFailure, Transient


class _Hostile(BaseHTTPRequestHandler):
    """Answers as its path says."""

    asked: list[str]

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.send_response(307 if self.path == "/redirect" else 200)
        if self.path == "/redirect":
            self.send_header("Location", "/elsewhere")
        self.end_headers()
        try:
            while self.path == "/endless":
                self.wfile.write(b"x" * 65_536)
            while self.path == "/slow":
                self.wfile.write(b"x")
                self.wfile.flush()
                if self.server.stopping.wait(0.02):  # type: ignore[attr-defined]
                    break
        except OSError:
            return  # whoever asked has had enough
        self.wfile.write(b"ok")

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def hostile() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Hostile,), {"asked": asked}))
    server.stopping = threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.stopping.set()  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


def test_a_redirect_is_an_answer_and_is_not_followed(hostile: tuple[str, list[str]]) -> None:
    url, asked = hostile
    answer = exchange("POST", f"{url}/redirect", {}, b"{}", 5.0)
    assert (answer.status, answer.headers["location"]) == (307, "/elsewhere")
    assert scoring.post(f"{url}/redirect", {}, None, "a-token", 5.0).status == 307
    assert asked == ["/redirect", "/redirect"]


def test_an_answer_without_end_is_cut_off(hostile: tuple[str, list[str]]) -> None:
    url, _ = hostile
    with pytest.raises(
        BusinessFailure, match="/endless has more than 1,024 KB: a flow that is served must answer less"
    ):
        exchange("POST", f"{url}/endless", {}, b"{}", 5.0, largest=1024 * 1024)


def test_an_answer_that_drips_ends_with_its_time(
    hostile: tuple[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, _ = hostile
    monkeypatch.setattr("shared.adapters.azure.endpoints.exchange._CONNECT_S", 0.1)
    with pytest.raises(requests.Timeout):
        exchange("POST", f"{url}/slow", {}, b"{}", 0.2)
    with pytest.raises(Transient, match=r"No answer from .*/slow within"):
        scoring.post(f"{url}/slow", {}, None, "a-token", 0.2)


class _Nobody:
    def get_token(self, *_: str, **__: object) -> object:
        raise AssertionError("the token goes nowhere")


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/operations/1",
        "https://management.azure.com.elsewhere.example/operations/1",
        "https://management.azure.com@elsewhere.example/operations/1",
        "/subscriptions/s/../../elsewhere",
    ],
)
def test_an_operations_address_elsewhere_is_not_asked_with_the_apps_token(address: str) -> None:
    manager = ResourceManager("https://management.azure.com", _Nobody())  # type: ignore[arg-type]
    with pytest.raises(BusinessFailure, match="is not Azure Resource Manager"):
        manager.request("GET", address, "2023-10-01", role="Reader")

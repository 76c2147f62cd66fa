"""A router over an in-memory fleet, in front of deployments that are played by small HTTP servers."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.adapters.local.endpoints.fleet import Fleet
from shared.adapters.local.endpoints.router import EndpointRouter
from shared.adapters.local.endpoints.state import DesiredDeployment, EndpointStore
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.ports import DeploymentState
from tests.contract.endpoint_host import free_port

PIN = "azureml-model-deployment"
Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def says(content: bytes, status: int = 200, **headers: str) -> Answer:
    def answer(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            request.send_header(name.replace("_", "-"), value)
        request.end_headers()
        request.wfile.write(content)

    return answer


def hangs_up(request: BaseHTTPRequestHandler, body: bytes) -> None:
    request.close_connection = True


class FakeDeployment:
    """An HTTP server in the place of a served process; it keeps what it was sent."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.bodies: list[bytes] = []
        self.headers: list[Mapping[str, str]] = []
        deployment = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                deployment.bodies.append(body)
                deployment.headers.append({name.lower(): value for name, value in self.headers.items()})
                deployment.answer(self, body)

            def do_GET(self) -> None:
                deployment.answer(self, b"")

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Town:
    """A router over an in-memory fleet; tests put deployments into it."""

    def __init__(self) -> None:
        self.blobs = MemoryBlobStore()
        self.fleet = Fleet(self.blobs)
        self.port = free_port()
        self.router = EndpointRouter(self.fleet, self.port, max_body=100_000)
        self.deployments: list[FakeDeployment] = []
        self.router.start()

    def put(self, name: str, answer: Answer, *, endpoint: str = "shop") -> FakeDeployment:
        deployment = FakeDeployment(answer)
        self.deployments.append(deployment)
        self.place(name, deployment.port, endpoint=endpoint)
        return deployment

    def place(self, name: str, port: int | None, *, endpoint: str = "shop") -> None:
        wanted = DesiredDeployment(
            name=name, creation=f"c-{name}", folder=f"{endpoint}/{name}", flow_digest="d", flow_version="1"
        )
        EndpointStore(self.blobs).update(
            endpoint,
            lambda before: before.model_copy(update={"deployments": {**before.deployments, name: wanted}}),
            create=True,
        )
        self.fleet.refresh()
        if port is not None:
            self.fleet.set_state(endpoint, f"c-{name}", DeploymentState.READY, port=port, pid=1)

    def split(self, endpoint: str = "shop", **traffic: int) -> None:
        EndpointStore(self.blobs).update(
            endpoint, lambda before: before.model_copy(update={"traffic": traffic}), create=False
        )
        self.fleet.refresh()

    def request(
        self, path: str, body: bytes | None = b"{}", method: str = "POST", **headers: str
    ) -> tuple[int, bytes, dict[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host="Host" in headers, skip_accept_encoding=True)
            for name, value in {"Content-Length": str(len(body or b"")), **headers}.items():
                connection.putheader(name.replace("_", "-"), value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read(), {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()

    def score(self, body: bytes = b"{}", **headers: str) -> tuple[int, bytes, dict[str, str]]:
        return self.request("/shop/score", body, **headers)

    def counts(self, name: str) -> tuple[int, int]:
        counts = self.fleet.observed()["shop"].deployments[name].counts
        return counts.requests, counts.errors

    def close(self) -> None:
        self.router.stop()
        for deployment in self.deployments:
            deployment.close()


def message(body: bytes) -> str:
    error = json.loads(body)["error"]
    assert error["code"]
    return str(error["message"])

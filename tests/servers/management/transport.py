"""HTTPS/1.1 for the stand-in: one thread per connection, connections kept open, bodies of known length or in chunks."""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.servers.management.messages import Request, Response

Answer = Callable[[Request], Response | None]
"""None: the connection is cut in place of an answer."""


class Https(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], answer: Answer, certificate: ssl.SSLContext) -> None:
        self._certificate = certificate
        super().__init__(address, _handler(answer))

    def finish_request(self, request: Any, client_address: Any) -> None:
        # In the connection's own thread: a client that is slow with its handshake keeps nobody waiting.
        request.settimeout(60)
        with self._certificate.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that go away are none of a test's business."""


def _handler(answer: Answer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_one_request(self) -> None:
            self.raw_requestline = self.rfile.readline(65537)
            if not self.raw_requestline or not self.parse_request():
                self.close_connection = True
                return
            parts = urlsplit(self.path)
            request = Request(
                method=self.command,
                path=re.sub("/{2,}", "/", parts.path),
                query=dict(parse_qsl(parts.query, keep_blank_values=True)),
                headers={name.lower(): value for name, value in self.headers.items()},
                body=self._body(),
                base_url=f"https://{self.headers.get('Host', '')}",
            )
            response = answer(request)
            if response is None:
                self.close_connection = True
                return
            content = response.body if isinstance(response.body, bytes) else _encoded(response.body)
            self.send_response(response.status)
            for name, value in {"Content-Type": "application/json", **response.headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":  # a body would be read as the beginning of the next answer
                self.wfile.write(content)
            self.wfile.flush()

        def _body(self) -> bytes:
            if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                return b"".join(parts)
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
            """`requests` is the log."""

    return Handler


def _encoded(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body).encode()

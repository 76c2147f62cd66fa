"""A company's proxy: it takes `CONNECT host:443` and leads chosen hosts to servers of the tests; it refuses all others.

The SDKs build the addresses of storage accounts from their names (`https://<account>.blob.core.windows.net`), and go
through the proxy that HTTPS_PROXY names, as on a network behind one. So their requests reach a server on loopback whose
certificate bears the account's name.
"""

from __future__ import annotations

import contextlib
import fnmatch
import socket
import threading
from collections.abc import Mapping
from typing import Self


class Proxy:
    """`with Proxy({"*.blob.core.windows.net": 8443}) as proxy:` serves; `proxy.environment` names it."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self.ports = dict(ports)
        """Pattern of a host name → port on loopback."""
        self.refused: list[str] = []
        """Hosts that somebody asked for and that lead nowhere."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def environment(self) -> Mapping[str, str]:
        """The variables by which the HTTP libraries find it."""
        return {"HTTPS_PROXY": self.url, "https_proxy": self.url}

    def __enter__(self) -> Self:
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._lead, args=(connection,), daemon=True).start()

    def _lead(self, connection: socket.socket) -> None:
        with connection:
            asked = b""
            while b"\r\n\r\n" not in asked:
                part = connection.recv(4096)
                if not part:
                    return
                asked += part
            host = asked.split(b" ", 2)[1].decode().rpartition(":")[0]
            port = next((port for pattern, port in self.ports.items() if fnmatch.fnmatch(host, pattern)), None)
            if port is None:
                self.refused.append(host)
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")
                return
            with socket.create_connection(("127.0.0.1", port)) as server:
                connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = threading.Thread(target=_pump, args=(server, connection), daemon=True)
                back.start()
                _pump(connection, server)
                back.join(timeout=60)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)

"""A stretch of network between a client and a server on this machine: bytes pass, until a test cuts the connection.

It looks into nothing, so TLS goes through it: the client still speaks with the real server.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self


class Relay:
    """`with Relay(port) as relay:` listens on `relay.port` and passes everything on to `port`."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._lock = threading.Lock()
        self._cut_up_after: int | None = None
        self._cut_down_after: int | None = None
        self._lose = 0
        self.cuts = 0
        """Connections that were cut."""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]

    def cut_upload_after(self, count: int) -> None:
        """Cut once, when so many further bytes have come from clients."""
        with self._lock:
            self._cut_up_after = count

    def cut_download_after(self, count: int) -> None:
        """Cut once, when so many further bytes have come from the server."""
        with self._lock:
            self._cut_down_after = count

    def lose_answers(self, count: int = 1) -> None:
        """Let the next requests on connections that are open reach the server, and cut when its answer comes.

        A new connection's first bytes from the server are TLS's: open one by a request before.
        """
        with self._lock:
            self._lose = count

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
            threading.Thread(target=self._pass, args=(client, server, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(server, client, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, up: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if self._cuts_now(len(data), up):
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _cuts_now(self, count: int, up: bool) -> bool:
        with self._lock:
            if not up and self._lose:
                self._lose -= 1
                self.cuts += 1
                return True
            left = self._cut_up_after if up else self._cut_down_after
            if left is None:
                return False
            left = left - count if left > count else None
            if up:
                self._cut_up_after = left
            else:
                self._cut_down_after = left
            self.cuts += left is None
            return left is None

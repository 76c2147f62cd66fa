"""HTTP for a container: waitress, with JSON for the requests that it refuses by itself, and an end that drains."""

from __future__ import annotations

import json
import time
from threading import Thread
from typing import Any, Final

from waitress.channel import HTTPChannel  # type: ignore[import-untyped]
from waitress.server import TcpWSGIServer  # type: ignore[import-untyped]
from waitress.task import ErrorTask  # type: ignore[import-untyped]

_QUIET_S: Final = 1.0
_LOOK_S: Final = 0.05


class _JsonError(ErrorTask):  # type: ignore[misc]
    def execute(self) -> None:
        error = self.request.error
        content = {"error": {"code": error.reason.replace(" ", ""), "message": f"{error.reason}: {error.body}"}}
        body = json.dumps(content).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]
    error_task_class = _JsonError


class WebServer:
    """Listens from the start, in a thread of its own."""

    def __init__(self, app: Any, *, host: str, port: int, threads: int, max_body: int) -> None:
        """Raises OSError where it cannot listen."""
        self._server = TcpWSGIServer(
            app,
            host=host,
            port=port,
            threads=threads,
            connection_limit=1000,
            max_request_body_size=max_body,
            # Bodies and answers stay in memory: the file system may be read-only.
            inbuf_overflow=max_body + 1,
            outbuf_overflow=1 << 30,
            # Longer than any router in front waits: a connection must not close under it.
            channel_timeout=600,
            # select() cannot watch file descriptors above 1023.
            asyncore_use_poll=True,
            ident=None,
        )
        self._server.channel_class = _Channel
        self._thread = Thread(target=self._server.run, name="web-server", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.effective_port)

    def drain(self, limit_s: float) -> bool:
        """Go on answering until nothing has been in work for a second: whoever routes to us learns only by and by that
        we stop. False: something was still in work after `limit_s`.
        """
        end = time.monotonic() + limit_s
        quiet_since = time.monotonic()
        while (now := time.monotonic()) < end:
            if self._is_at_work():
                quiet_since = now
            elif now - quiet_since >= _QUIET_S:
                return True
            time.sleep(_LOOK_S)
        return not self._is_at_work()

    def _is_at_work(self) -> bool:
        channels = list(self._server.active_channels.values())
        # A request that is being read, worked on, or answered.
        return any(channel.request or channel.requests or channel.total_outbufs_len for channel in channels)

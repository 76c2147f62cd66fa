"""The embedded profile as a user runs it: `python -m genaiops start` in a home of its own, killed and started at will.

What a test asks of it goes the way that pipelines, approvers and callers go: a message on the bus, a blob, HTTP.
"""

from __future__ import annotations

import hashlib
import html
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil

from shared import bootstrap, chain_store, dead_letters
from shared.approvals.links import link_for
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.chain.state import Chain, ChainStatus
from shared.errors import NotFound
from shared.names import chain_id
from shared.ports import AssetKind, OutgoingMessage, Ports
from shared.settings import read
from shared.use_case import bundle, opened

ROOT = Path(__file__).parents[2]
PATIENCE_S = 300.0
"""Nothing here takes so long, but machines may be busy: a hang shall fail, slowness shall not."""


class Embedded:
    """One home with its ports. `start` and `kill` as often as a test likes; what lies in the home stays."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        home.mkdir(parents=True)
        http_port, router_port, stand_in_port = _free_ports(3)
        self.variables = {
            "GENAIOPS_HOME": str(home),
            "GENAIOPS_HTTP_PORT": str(http_port),
            "GENAIOPS_ROUTER_PORT": str(router_port),
            "GENAIOPS_STAND_IN_PORT": str(stand_in_port),
            "GENAIOPS_ENV_FILE": str(home / "connections.env"),
        } | environment
        self.url = f"http://127.0.0.1:{http_port}"
        self.router_url = f"http://127.0.0.1:{router_port}"
        self.stand_in_url = f"http://127.0.0.1:{stand_in_port}"
        self.arguments: list[str] = []
        """Of `start`, on the command line."""
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0

    # -------------------------------------------------------------------------------------------------------- process

    def start(self) -> None:
        """Begin to start the host, in a process group of its own; `until_serving` waits for it."""
        assert self.process is None
        self.starts += 1
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "genaiops", "start", *self.arguments],
                cwd=ROOT,
                env=os.environ | self.variables,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def until_serving(self) -> None:
        self.until(lambda: "Everything is up." in self.said(), "the host is up")

    def kill(self) -> None:
        """SIGKILL the host, and nothing but the host: what it started has to end by itself."""
        self.check_alive()
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.process = None

    def stop(self) -> None:
        """As Ctrl-C does. Must be quick to end and say so."""
        if self.process is not None:
            self.process.send_signal(signal.SIGINT)
            assert self.process.wait(PATIENCE_S) == 0, self.said()
            self.process = None

    @property
    def output(self) -> Path:
        return self.home / f"start-{self.starts}.log"

    def said(self) -> str:
        """What the host last started has printed."""
        return self.output.read_text("utf-8", errors="replace")

    def check_alive(self) -> None:
        code = self.process.poll() if self.process is not None else None
        assert code is None, f"the host ended by itself with exit code {code}:\n{self.said()[-4000:]}"

    def processes(self) -> list[str]:
        """Every process that knows of this home: by its command line, its environment or its working directory."""
        return [found for process in psutil.process_iter() if (found := self._trace(process))]

    def _trace(self, process: psutil.Process) -> str:
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                return ""
            command = " ".join(process.cmdline())
            known = f"{command}\n{process.environ()}\n{process.cwd()}"
        except psutil.Error:
            return ""  # it ended meanwhile, or belongs to somebody else
        return f"{process.pid}: {command}" if str(self.home) in known else ""

    def until_no_process_is_left(self) -> None:
        self.until(lambda: not self.processes(), lambda: f"all processes have ended: {self.processes()}")

    # -------------------------------------------------------------------------------------------------- what lies there

    @cached_property
    def ports(self) -> Ports:
        """The same ports in the test's process: several processes may use a home."""
        return bootstrap.wire(read(self.variables))

    def find(self, chain: str) -> Chain | None:
        try:
            return chain_store.load(self.ports.blobs, chain)[0]
        except NotFound:
            return None

    def chain(self, chain: str) -> Chain:
        return chain_store.load(self.ports.blobs, chain)[0]

    def log(self, chain: str) -> str:
        return "\n".join(entry.text for entry in chain_store.read_log(self.ports.blobs, chain))

    def dead_letters(self) -> list[dead_letters.DeadLetter]:
        return dead_letters.listed(self.ports)

    def messages(self) -> dict[str, tuple[int, int, int]]:
        """Queue → messages active, scheduled and dead-lettered, where there are any."""
        receiver: Any = self.ports.bus
        counts = {name: receiver.counts(name) for name in self.ports.settings.queues.values()}
        return {
            n: (c.active, c.scheduled, c.dead_letter)
            for n, c in counts.items()
            if c.active + c.scheduled + c.dead_letter
        }

    # -------------------------------------------------------------------------------------------------- from outside

    def send(self, body: bytes, message_id: str, queue: Queue = Queue.CHAIN_REQUESTS) -> None:
        self.ports.bus.send(self.ports.settings.queues[queue], [OutgoingMessage(body, message_id)])

    def request(
        self, use_case: str, request_id: str, kind: str = "ci", folder: Path | None = None, **fields: Any
    ) -> str:
        """Publish as a pipeline does: the bundle first (if there is a folder), then the message; returns the chain."""
        if folder is not None:
            fields["bundle"] = self.publish(folder)
        asked = ChainRequest(request_id=request_id, kind=ChainKind(kind), use_case=use_case, **fields)
        self.send(asked.model_dump_json().encode(), f"{kind}-{request_id}")
        return chain_id(use_case, kind, request_id)

    def publish(self, folder: Path) -> str:
        made = bundle.make(folder, self.ports.settings.data)
        return self.publish_bytes(made.content, made.digest)

    def publish_bytes(self, content: bytes, digest: str | None = None) -> str:
        digest = digest or hashlib.sha256(content).hexdigest()
        self.ports.blobs.write(opened.CONTAINER, opened.bundle_blob(digest), content)
        return digest

    def upload(self, blob: str, content: bytes) -> None:
        self.ports.blobs.write("datasets", blob, content)

    def http(
        self, url: str, body: bytes | None = None, headers: Mapping[str, str] | None = None, method: str | None = None
    ) -> tuple[int, bytes]:
        """One HTTP call; raises OSError (or HTTPException) where nobody, or only half a host, answers."""
        parts = urlsplit(url)
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
        try:
            path = parts.path + (f"?{parts.query}" if parts.query else "")
            connection.request(
                method or ("GET" if body is None else "POST"), path, body=body, headers=dict(headers or {})
            )
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def page(self, chain: str) -> str:
        """The chain's page as a browser gets it."""
        status, content = self.http(f"{self.url}/api/chains/{chain}")
        assert status == 200, content
        return content.decode()

    def approve(self, chain: Chain) -> int:
        """Open the first approver's link, send the form; returns the status. Raises OSError while the host is down."""
        assert chain.approval is not None
        link = link_for(self.ports, chain, chain.approval.approvers[0])
        status, page = self.http(link)
        assert status == 200, page
        form = urlencode({"verdict": "approve", "comment": "The gates hold."}).encode()
        return self.http(link, form, {"Content-Type": "application/x-www-form-urlencoded"})[0]

    def counts_of_model_calls(self) -> dict[str, int]:
        counts: dict[str, int] = json.loads(self.http(f"{self.stand_in_url}/control")[1])["counts"]
        return counts

    # -------------------------------------------------------------------------------------------------------- waiting

    def until(self, condition: Callable[[], object], what: str | Callable[[], str]) -> None:
        """Wait until the condition holds, as long as the host (if it was started) lives."""
        deadline = time.monotonic() + PATIENCE_S
        while not condition():
            self.check_alive()
            if time.monotonic() > deadline:
                raise AssertionError(f"never happened: {what() if callable(what) else what}")
            time.sleep(0.05)

    def until_waiting(self, chain: str) -> Chain:
        """Until the chain waits for its approvers and for nothing else."""
        self.until(lambda: waits_for_approval(self.find(chain)) or self._ended(chain), lambda: self._where(chain))
        state = self.chain(chain)
        assert waits_for_approval(state), self.log(chain)
        return state

    def until_ended(self, chain: str) -> Chain:
        self.until(lambda: self._ended(chain), lambda: self._where(chain))
        return self.chain(chain)

    def _ended(self, chain: str) -> bool:
        found = self.find(chain)
        return found is not None and found.status.is_final and not found.awaiting

    def _where(self, chain: str) -> str:
        found = self.find(chain)
        if found is None:
            return f"the chain {chain} begins"
        return f"{chain} ends; it is {found.status}, awaits {found.awaiting} and says:\n{self.log(chain)}"


def waits_for_approval(chain: Chain | None) -> bool:
    """Whether it is people's turn: the links are out, and nobody has answered."""
    return chain is not None and chain.status is ChainStatus.AWAITING_APPROVAL and not chain.awaiting


def facts(embedded: Embedded, chain: str) -> dict[str, Any]:
    """What a chain has brought about, as far as it must not depend on how often the host died."""
    state, registry = embedded.chain(chain), embedded.ports.registry
    assert state.approval is not None
    return {
        "status": (state.status, state.reason),
        "steps": [(step.step, step.status, step.detail.partition(" in ")[0]) for step in state.steps],
        "decision": (state.approval.decided_by, state.approval.verdict, state.approval.comment),
        "evidence": state.evidence,
        "data": [(a.name, a.version, a.content_hash, dict(a.tags)) for a in registry.list(AssetKind.DATA)],
        "models": [(a.name, a.version, a.content_hash, dict(a.tags)) for a in registry.list(AssetKind.MODEL)],
        "endpoints": [
            (e.name, dict(e.traffic), [(d.name, d.flow_version, d.state) for d in e.deployments])
            for e in embedded.ports.endpoints.list()
        ],
        "log": sorted(line.partition(" in ")[0] for line in embedded.log(chain).splitlines()),
    }


def words(page: str) -> str:
    """A page's text, as a reader sees it."""
    without = re.sub(r"<(style|script|svg)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", without)).split())


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]

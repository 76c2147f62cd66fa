"""Where the demo plays: a home of its own, free ports, and the message that a pipeline's publisher would send."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from genaiops.host import HostError
from genaiops.host.lock import HomeLock
from shared.chain.messages import ChainKind, ChainRequest, Queue
from shared.claim_check import send
from shared.names import chain_id
from shared.ports import OutgoingMessage, Ports
from shared.settings import Settings, read
from shared.use_case import bundle, opened

USE_CASE: Final = "ticket_triage"
BRANCH: Final = "main"


def demo_settings() -> Settings:
    """Settings of the demo: `<home>/demo`, emptied, and free ports where the usual ones are taken.

    Raises:
        HostError: a host runs there; nothing was deleted.
    """
    settings = read()
    home = settings.home / "demo"
    if home.exists():
        _empty(home)
    http, router, stand_in = _free_ports([settings.http_port, settings.router_port, settings.stand_in_port])
    url = settings.functions_url
    if "GENAIOPS_FUNCTIONS_URL" not in os.environ:
        url = f"http://127.0.0.1:{http}"
    return replace(settings, home=home, http_port=http, router_port=router, stand_in_port=stand_in, functions_url=url)


def _empty(home: Path) -> None:
    state = home / "host"
    state.mkdir(exist_ok=True)
    lock = HomeLock(state)
    try:
        lock.acquire()
    except HostError as error:
        pid = lock.holder()
        raise HostError(
            f"A host (pid {pid}) runs in {home}, which the demo empties when it begins. Nothing was deleted. "
            f"Stop the host (Ctrl-C where it runs, or `kill {pid}`), or set GENAIOPS_HOME to another folder."
        ) from error
    try:
        shutil.rmtree(home)
    finally:
        lock.release()


def _free_ports(wanted: list[int]) -> list[int]:
    """Each wanted port, or a free one in its place; all of them different."""
    with ExitStack() as held:
        ports = []
        for port in wanted:
            probe = held.enter_context(socket.socket())
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
        return ports


@contextmanager
def changed_use_case(settings: Settings) -> Iterator[Path]:
    """A copy of the use case with one prompt edited, as the next commit of its author would have it."""
    folder = settings.home / "next-commit" / USE_CASE
    shutil.copytree(settings.flows / USE_CASE, folder, ignore=shutil.ignore_patterns("__pycache__", ".promptflow"))
    prompt = folder / "flows" / "ticket_triage" / "reply__guarded.jinja2"
    text = prompt.read_text("utf-8")
    prompt.write_text(text.replace("system:\n", "system:\nThank the customer for writing.\n", 1), "utf-8")
    if prompt.read_text("utf-8") == text:
        raise AssertionError(f"{prompt} has no system message: the demo has nothing to change")
    try:
        yield folder
    finally:
        shutil.rmtree(folder.parent)


def publish(ports: Ports, folder: Path, build: int) -> str:
    """Do what a pipeline's publisher does after a merge: store the bundle, send one message. Returns the chain's id."""
    made = bundle.make(folder, ports.settings.data)
    ports.blobs.write(opened.CONTAINER, opened.bundle_blob(made.digest), made.content)
    request = ChainRequest(
        request_id=f"demo-build-{build}",
        kind=ChainKind.CI,
        use_case=USE_CASE,
        commit=hashlib.sha1(made.digest.encode(), usedforsecurity=False).hexdigest(),
        branch=BRANCH,
        build_id=str(build),
        requester="demo pipeline",
        bundle=made.digest,
    )
    # An id of its own: a namespace may remember the messages of an earlier demo, which had a home of its own.
    message = OutgoingMessage(body=request.model_dump_json().encode(), message_id=str(uuid.uuid4()))
    send(ports, Queue.CHAIN_REQUESTS, [message])
    return chain_id(request.use_case, request.kind, request.request_id)

"""Building and sending a request for a chain, as the pipeline's publisher does: bundle first, then the message.

The bundle is named by its content and stored before the message is sent, so that whoever reads the message finds it.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genaiops.cli.wiring import user
from shared import chain_store
from shared.chain.messages import ChainRequest, DatasetUpload, Queue
from shared.claim_check import send
from shared.errors import Conflict, NotFound
from shared.names import chain_id
from shared.ports import OutgoingMessage

if TYPE_CHECKING:
    from shared.chain.state import ChainStatus
    from shared.ports import Ports
    from shared.use_case.bundle import Bundle


@dataclass(frozen=True)
class GitState:
    """What git says of a folder; nothing where it is in no repository."""

    commit: str | None = None
    branch: str | None = None


def git_state(folder: Path) -> GitState:
    """Commit and branch of the repository that holds the folder."""

    def ask(*arguments: str) -> str | None:
        try:
            done = subprocess.run(  # noqa: S603
                ["git", "-C", str(folder), *arguments],  # noqa: S607
                capture_output=True,
                text=True,
                timeout=10,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    commit = ask("rev-parse", "HEAD")
    if commit is None or not re.fullmatch(r"[0-9a-f]{7,64}", commit):
        return GitState()
    branch = ask("rev-parse", "--abbrev-ref", "HEAD")
    return GitState(commit, None if branch in (None, "", "HEAD") else branch)


def store_bundle(ports: Ports, folder: Path) -> tuple[Bundle, bool]:
    """Zip the use case folder and store the zip under its SHA-256; returns it, and whether it was stored before."""
    from shared.use_case import bundle, opened

    made = bundle.make(folder, ports.settings.data)
    blob = opened.bundle_blob(made.digest)
    try:
        ports.blobs.info(opened.CONTAINER, blob)  # looked at first, so that a large bundle is sent once
    except NotFound:
        with suppress(Conflict):  # another run of the same content was faster
            ports.blobs.write(opened.CONTAINER, blob, made.content, if_absent=True)
        return made, False
    return made, True


def build_request(
    made: Bundle,
    *,
    request_id: str | None,
    upload: str | None,
    requester: str | None,
    attempt: str | None = None,
    **fields: Any,
) -> ChainRequest:
    """Describe the chain that is asked for.

    Args:
        made: the use case's bundle.
        request_id: names the request; None: it follows from the content, the commit, the build and its attempt.
        upload: a blob of the container `datasets`, `<use case>/<dataset>/<file>`.
        requester: who asks; None: the user who is logged in.
        attempt: of the build, where it can be run again under the same id.
        fields: further fields of ChainRequest.

    Raises:
        pydantic.ValidationError: a field's value is not allowed.
        InvalidName: the upload's name is not of that form.
    """
    dataset = None
    if upload is not None:
        from shared.datasets.uploads import parsed

        dataset = DatasetUpload(name=parsed(upload)[1], blob=upload)
    content = {**fields, "bundle": made.digest, "dataset": upload} | ({"attempt": attempt} if attempt else {})
    named = request_id or hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()[:32]
    return ChainRequest(
        request_id=named,
        use_case=made.use_case,
        bundle=made.digest,
        dataset=dataset,
        requester=requester or user(),
        **fields,
    )


def id_of(request: ChainRequest) -> str:
    """The chain that the request asks for."""
    return chain_id(request.use_case, request.kind, request.request_id)


def status_of(ports: Ports, request: ChainRequest) -> ChainStatus | None:
    """The status of the request's chain; None where it was not asked for before."""
    try:
        return chain_store.load(ports.blobs, id_of(request))[0].status
    except NotFound:
        return None


def send_request(ports: Ports, request: ChainRequest) -> str:
    """Put the request on its queue; returns the chain's id."""
    chain = id_of(request)
    message = OutgoingMessage(
        body=request.model_dump_json().encode(),
        message_id=f"{chain}/request",
        subject="ChainRequest",
        correlation_id=chain,
    )
    send(ports, Queue.CHAIN_REQUESTS, [message])
    return chain

"""The blob service of the workspace's own storage account, as far as runs need it: put, get by range, list, metadata.

It is reached under the account's real name through `tests/servers/proxy.py`; the stand-in's certificate must bear
`*.blob.core.windows.net`. https://learn.microsoft.com/rest/api/storageservices/blob-service-rest-api
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import partial
from xml.sax.saxutils import escape

from tests.servers.management.server import Refused, Request, Response, Route
from tests.servers.management.workspace import Workspaces

PAGE = 5_000


@dataclass
class Blob:
    """One blob."""

    content: bytes
    metadata: dict[str, str] = field(default_factory=dict)
    changed: str = field(default_factory=lambda: formatdate(usegmt=True))

    @property
    def headers(self) -> dict[str, str]:
        tag = hashlib.sha256(self.content + repr(self.metadata).encode()).hexdigest()[:16]
        return {"ETag": f'"{tag}"', "Last-Modified": self.changed, "x-ms-blob-type": "BlockBlob"}


class WorkspaceBlobs:
    """The containers of the workspace's datastores; `blobs` is container → name → blob."""

    def __init__(self, workspace: Workspaces) -> None:
        self._workspace = workspace
        self.blobs: dict[str, dict[str, Blob]] = {}

    def routes(self) -> Iterable[Route]:
        for container in sorted({datastore.container for datastore in self._workspace.datastores}):
            yield Route("GET", f"/{container}", partial(self._list, container=container))
            for method, handler in (("PUT", self._put), ("GET", self._get), ("HEAD", self._head)):
                yield Route(method, f"/{container}/{{blob*}}", partial(handler, container=container))

    def of(self, container: str) -> dict[str, Blob]:
        """The blobs of a container."""
        return self.blobs.setdefault(container, {})

    def _found(self, request: Request, container: str) -> Blob:
        blob = self.of(container).get(request["blob"])
        if blob is None:
            raise Refused(404, "BlobNotFound", "The blob does not exist.", {"x-ms-error-code": "BlobNotFound"})
        return blob

    def _put(self, request: Request, container: str) -> Response:
        name = request["blob"]
        metadata = {k.removeprefix("x-ms-meta-"): v for k, v in request.headers.items() if k.startswith("x-ms-meta-")}
        if request.query.get("comp") == "metadata":
            self._found(request, container).metadata = metadata
            return Response(None, 200, self.of(container)[name].headers)
        if request.headers.get("if-none-match") == "*" and name in self.of(container):
            raise Refused(409, "BlobAlreadyExists", "It exists.", {"x-ms-error-code": "BlobAlreadyExists"})
        self.of(container)[name] = Blob(request.body, metadata)
        return Response(None, 201, self.of(container)[name].headers)

    def _head(self, request: Request, container: str) -> Response:
        blob = self._found(request, container)
        return Response(None, 200, {**blob.headers, **{f"x-ms-meta-{k}": v for k, v in blob.metadata.items()}})

    def _get(self, request: Request, container: str) -> Response:
        blob = self._found(request, container)
        asked = re.fullmatch(
            r"bytes=(\d+)-(\d*)", request.headers.get("x-ms-range") or request.headers.get("range", "")
        )
        first, size = int(asked[1]) if asked else 0, len(blob.content)
        last = min(size - 1, int(asked[2])) if asked and asked[2] else size - 1
        if asked and first >= size:
            raise Refused(416, "InvalidRange", "The range is beyond the blob.", {"x-ms-error-code": "InvalidRange"})
        headers = {**blob.headers, "Content-Type": "application/octet-stream"}
        if asked:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        return Response(blob.content[first : last + 1], 206 if asked else 200, headers)

    def _list(self, request: Request, container: str) -> Response:
        prefix, after = request.query.get("prefix", ""), request.query.get("marker", "")
        names = [name for name in sorted(self.of(container)) if name.startswith(prefix) and name > after]
        listed = "".join(
            f"<Blob><Name>{escape(name)}</Name><Properties><Content-Length>{len(self.of(container)[name].content)}"
            f"</Content-Length><BlobType>BlockBlob</BlobType></Properties></Blob>"
            for name in names[:PAGE]
        )
        following = f"<NextMarker>{escape(names[PAGE - 1])}</NextMarker>" if len(names) > PAGE else "<NextMarker />"
        body = (
            f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{container}">'
            f"<Prefix>{escape(prefix)}</Prefix><Blobs>{listed}</Blobs>{following}</EnumerationResults>"
        )
        return Response(body.encode(), 200, {"Content-Type": "application/xml"})

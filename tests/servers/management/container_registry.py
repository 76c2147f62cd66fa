"""A container registry's tasks: `Microsoft.ContainerRegistry/registries`, its upload address, its runs and their logs.

https://learn.microsoft.com/azure/container-registry/container-registry-tasks-overview. A context is uploaded to a signed
address of the registry's own storage; a scheduled run ends after so many looks. Only what a build reads is checked here:
that the archive holds a Dockerfile whose COPY sources are in it.
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable
from typing import Any

from tests.dockerfile import instructions
from tests.servers.management.server import ManagementServer, Refused, Request, Response, Route, now

NAME = "genaiopsregistry"
LOGIN_SERVER = f"{NAME}.azurecr.io"
REGISTRY = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.ContainerRegistry/registries/{registry}"
)
SIGNATURE = "c2lnbmVkLWJ5LW5vYm9keS1idXQtc2VjcmV0"
"""Of the links that are given out: no log, error or record may hold it."""


class ContainerRegistries:
    """One registry: `runs` by id, `sources` by path."""

    def __init__(self, server: ManagementServer) -> None:
        self._server = server
        self.looks = 0
        """How many looks a run takes until it ends."""
        self.failing: str = ""
        """Not empty: runs that are scheduled from now on fail, and this is their log."""
        self.ending = "Failed"
        self.runs: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, bytes] = {}
        self.images: dict[str, bytes] = {}
        """`repository:tag` of each image that was pushed → the archive that it was built of."""
        self._logs: dict[str, str] = {}

    def routes(self) -> Iterable[Route]:
        yield Route("POST", REGISTRY + "/listBuildSourceUploadUrl", self._upload_address)
        yield Route("POST", REGISTRY + "/scheduleRun", self._schedule)
        yield Route("GET", REGISTRY + "/runs", self._list)
        yield Route("GET", REGISTRY + "/runs/{run}", self._get)
        yield Route("POST", REGISTRY + "/runs/{run}/listLogSasUrl", self._log_address)
        yield Route("PUT", "/acrtasks/sources/{source*}", self._put_source, public=True)
        yield Route("GET", "/acrtasks/logs/{run}", self._log, public=True)

    def _check(self, request: Request) -> None:
        if request["registry"].lower() != NAME:
            raise Refused(404, "ResourceNotFound", f"The registry {request['registry']!r} was not found.")

    def _upload_address(self, request: Request) -> Response:
        self._check(request)
        path = f"source/20261123/{len(self.sources)}.tar.gz"
        self.sources[path] = b""
        link = f"{request.base_url}/acrtasks/sources/{path}?sv=2024-11-04&sp=cw&sig={SIGNATURE}"
        return Response({"uploadUrl": link, "relativePath": path})

    def _put_source(self, request: Request) -> Response:
        self._signed(request)
        if request.headers.get("x-ms-blob-type") != "BlockBlob" or request["source"] not in self.sources:
            raise Refused(400, "InvalidHeaderValue", "The blob's type is wrong, or nobody asked for this address.")
        self.sources[request["source"]] = request.body
        return Response(None, 201, {"ETag": '"1"', "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT"})

    def _schedule(self, request: Request) -> Response:
        self._check(request)
        asked = request.json
        if asked.get("type") != "DockerBuildRequest" or not asked.get("isPushEnabled"):
            raise Refused(400, "InvalidRequest", "A pushed docker build was expected.")
        archive = self.sources.get(asked["sourceLocation"])
        if not archive:
            raise Refused(400, "InvalidSourceLocation", f"There is no source {asked['sourceLocation']!r}.")
        problem = self.failing or _problem(archive, asked["dockerFilePath"])
        run = f"cb{len(self.runs) + 1}"
        (image,) = asked["imageNames"]
        repository, _, tag = image.partition(":")
        self.runs[run] = {
            "id": f"{request.path.removesuffix('/scheduleRun')}/runs/{run}",
            "name": run,
            "type": "Microsoft.ContainerRegistry/registries/runs",
            "properties": {
                "runId": run,
                "status": "Queued",
                "runType": "QuickBuild",
                "createTime": now(),
                "platform": asked["platform"],
                "provisioningState": "Succeeded",
            },
            "left": self.looks,
            "problem": problem,
            "archive": archive,
            "image": {"registry": LOGIN_SERVER, "repository": repository, "tag": tag},
        }
        self._advance(self.runs[run], by=0)
        return Response(_shown(self.runs[run]))

    def _get(self, request: Request) -> Response:
        self._check(request)
        run = self.runs.get(request["run"])
        if run is None:
            raise Refused(404, "RunNotFound", f"The run {request['run']!r} was not found.")
        self._advance(run)
        return Response(_shown(run))

    def _list(self, request: Request) -> Response:
        self._check(request)
        asked = re.fullmatch(r"Status eq '(\w+)'", request.query.get("$filter", ""))
        found = [r for r in reversed(self.runs.values()) if not asked or r["properties"]["status"] == asked[1]]
        return self._server.page(request, [_shown(run) for run in found])

    def _advance(self, run: dict[str, Any], by: int = 1) -> None:
        properties = run["properties"]
        if properties["status"] not in ("Queued", "Running"):
            return
        if run["left"] > 0:
            run["left"] -= by
            properties["status"] = "Running" if by else "Queued"
            return
        image = run["image"]
        if run["problem"]:
            properties["status"] = self.ending
            properties["runErrorMessage"] = "failed during run, err: exit status 1"
            self._logs[run["name"]] = run["problem"]
        else:
            properties["status"] = "Succeeded"
            properties["outputImages"] = [image]
            self.images[f"{image['repository']}:{image['tag']}"] = run["archive"]
            self._logs[run["name"]] = "Run ID was successful"

    def _log_address(self, request: Request) -> Response:
        self._check(request)
        if request["run"] not in self._logs:
            raise Refused(404, "LogNotFound", "There is no log yet.")
        return Response(
            {"logLink": f"{request.base_url}/acrtasks/logs/{request['run']}?sv=2024-11-04&sp=r&sig={SIGNATURE}"}
        )

    def _log(self, request: Request) -> Response:
        self._signed(request)
        content = self._logs[request["run"]].encode()
        common = {
            "Last-Modified": "Mon, 23 Nov 2026 12:00:00 GMT",
            "ETag": '"1"',
            "x-ms-blob-type": "BlockBlob",
            "Accept-Ranges": "bytes",
        }
        first, last = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers["x-ms-range"]).groups()  # type: ignore[union-attr]
        part = content[int(first) : int(last) + 1]
        ranged = f"bytes {first}-{int(first) + len(part) - 1}/{len(content)}"
        return Response(part, 206, {**common, "Content-Range": ranged, "Content-Type": "text/plain"})

    def _signed(self, request: Request) -> None:
        if request.query.get("sig") != SIGNATURE:
            raise Refused(403, "AuthenticationFailed", "The signature is wrong.")


def _shown(run: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in run.items() if key in ("id", "name", "type", "properties")}


def _problem(archive: bytes, dockerfile: str) -> str:
    """What a build of the archive would fail of, before any of its steps."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as context:
        names = context.getnames()
        file = context.extractfile(dockerfile) if dockerfile in names else None
        text = file.read().decode() if file else ""
    if not text:
        return f"unable to evaluate symlinks in Dockerfile path: no such file: {dockerfile}"
    for each in instructions(text):
        if each.keyword == "COPY" and "--from=packages" not in each.words:
            for source in each.words[:-1]:
                if not any(name == source or name.startswith(f"{source}/") for name in names):
                    return f"COPY failed: file not found in build context: {source}"
    return ""

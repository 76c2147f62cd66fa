"""Runs of pipelines: builds, in the service's own API, with their tags."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.servers.azure_devops.server import AzureDevOpsServer, Refusal, as_json
from tests.servers.management.messages import Request, Response


@dataclass
class Build:
    """A run with its tags."""

    number: int
    tags: list[str] = field(default_factory=list)


class Builds:
    def __init__(self, server: AzureDevOpsServer) -> None:
        self._server = server
        self.builds: dict[int, Build] = {}

    def routes(self) -> Iterable[tuple[str, str, str, Callable[[Request], Response]]]:
        return (("POST", "/{project}/_apis/build/builds/{number}/tags", "7.1", self._add_tags),)

    def add(self, number: int) -> Build:
        self.builds[number] = Build(number)
        return self.builds[number]

    def _add_tags(self, request: Request) -> Response:
        self._server.user(request, "EditBuildQuality")
        build = self.builds.get(int(request["number"]))
        if build is None:
            raise Refusal(404, f"The requested build {request['number']} could not be found.", "BuildNotFoundException")
        tags = as_json(request)
        if not isinstance(tags, list) or not all(isinstance(tag, str) and tag and ":" not in tag for tag in tags):
            raise Refusal(400, "Tags are a list of texts without a colon.")
        build.tags += [tag for tag in tags if tag not in build.tags]
        return Response({"count": len(build.tags), "value": build.tags})

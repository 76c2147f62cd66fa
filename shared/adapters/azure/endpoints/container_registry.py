"""Builds images of served flows by ACR tasks: the context is uploaded, a run is scheduled, and looked at later.

    context ──tar.gz──▶ the upload address that the registry gives ──▶ scheduled run ──▶ look, look … ──▶ the image
    https://learn.microsoft.com/azure/container-registry/container-registry-tasks-overview#quick-task

An image that a run has built already is found by the registry's list of runs, with the right that building needs
anyway: reading tags would need a role on its data, and a token of the registry's own. A run that the list has
forgotten, or two callers at once, cost a second build of the same image and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.arm import client_options
from shared.adapters.azure.endpoints.image_context import image_context
from shared.adapters.azure.endpoints.log_ends import last_lines
from shared.adapters.azure.errors import explained, translated
from shared.azure_settings import AzureSettings
from shared.errors import BusinessFailure, GenAIOpsError, NotFound
from shared.ports import DeploymentSpec, DeploymentState
from shared.secret_shapes import masked

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential
    from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient
    from azure.mgmt.containerregistrytasks.models import Run

REPOSITORY: Final = "served-flows"
"""Of all images: the tag, a digest, says which one."""
ROLE: Final = "Container Registry Tasks Contributor"
IMAGE: Final = "image"
REGISTRY: Final = "registry"
GROUP: Final = "group"
RUN: Final = "run"
"""Empty: the image is there already."""
_RUNS_SEEN: Final = 300
"""Of the newest runs that have succeeded: those whose image is looked for before it is built."""
_TIMEOUT_S: Final = 1800
_LOG_CHARACTERS: Final = 1_200
_LOG_BYTES: Final = 64 * 1024
_REGISTRY_NAME: Final = re.compile(r"[A-Za-z0-9]{5,50}")
RESOURCE_GROUP: Final = re.compile(r"[\w.()-]{0,89}[\w()-]")
"""https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules."""


class RegistryImages:
    """Images in the registry of the settings, or in the one that a target names. Safe for threads."""

    def __init__(self, settings: AzureSettings, credential: TokenCredential, *, retries: int = 3) -> None:
        self._settings = settings
        self._credential = credential
        self._retries = retries
        self._made: ContainerRegistryTasksMgmtClient | None = None

    def check(self, options: Mapping[str, object]) -> None:
        """Raise BusinessFailure where no registry is named."""
        self._place(options)

    def begin(self, spec: DeploymentSpec, options: Mapping[str, object]) -> Mapping[str, str]:
        """Begin to build the image, or find it. What `look` needs is returned.

        Args:
            spec: what it serves.
            options: of the target: `REGISTRY_NAME` and `REGISTRY_RG_NAME`, if another registry is meant than that of
                the settings.

        Raises:
            BusinessFailure: there is no such registry, or this app may not build there.
            Throttled, Transient, Conflict: see `errors.py`.
        """
        login_server, group = self._place(options)
        context = image_context(spec)
        registry = login_server.split(".", maxsplit=1)[0]
        begun = {IMAGE: f"{login_server}/{REPOSITORY}:{context.tag}", REGISTRY: registry, GROUP: group, RUN: ""}
        try:
            with _translated(registry):
                if any(_has_built(run, context.tag) for run in self._succeeded(group, registry)):
                    return begun
                source = self._client.registries.get_build_source_upload_url(group, registry)
        except NotFound as error:
            raise BusinessFailure(
                f"The resource group {group!r} has no container registry {registry!r}: correct "
                "GENAIOPS_CONTAINER_REGISTRY, or REGISTRY_NAME and REGISTRY_RG_NAME in configs/deployment_config.json. "
                f"{error}"
            ) from error
        self._upload(str(source.upload_url), context.archive(), registry)
        with _translated(registry):
            request = _request(context.tag, str(source.relative_path))
            run = self._client.registries.schedule_run(group, registry, request)
        return begun | {RUN: str(run.properties.run_id if run.properties else run.name)}

    def look(self, prepared: Mapping[str, str]) -> tuple[DeploymentState, str]:
        """READY with the image's reference, CREATING, or FAILED with the reason and the end of the log."""
        if not prepared[RUN]:
            return DeploymentState.READY, prepared[IMAGE]
        registry, group, name = prepared[REGISTRY], prepared[GROUP], prepared[RUN]
        try:
            with _translated(registry):
                run = self._client.runs.get(group, registry, name)
        except NotFound:
            reason = f"the container registry {registry!r} knows nothing of the build {name!r} any more"
            return DeploymentState.FAILED, reason
        properties = run.properties
        status = str(getattr(properties and properties.status, "value", "Queued"))
        match status:
            case "Succeeded":
                return DeploymentState.READY, prepared[IMAGE]
            case "Failed" | "Canceled" | "Error" | "Timeout":
                said = str((properties.run_error_message if properties else None) or "")
                log = self._log_end(group, registry, name)
                ends = f"its log ends: {log}" if log else ""
                parts = (f"the image could not be built (run {name}: {status.lower()})", said, ends)
                return DeploymentState.FAILED, masked("; ".join(part for part in parts if part))
            case _:
                return DeploymentState.CREATING, f"its image is being built (run {name}: {status.lower()})"

    def _place(self, options: Mapping[str, object]) -> tuple[str, str]:
        """Login server and resource group."""
        own = self._settings.container_registry or ""
        named = str(options.get("REGISTRY_NAME") or "")
        group = str(options.get("REGISTRY_RG_NAME") or "") or self._settings.resource_group
        for key, value, form, meaning in (
            ("REGISTRY_NAME", named, _REGISTRY_NAME, "a registry's name, 5 to 50 letters and digits"),
            ("REGISTRY_RG_NAME", group, RESOURCE_GROUP, "a resource group's name"),
        ):
            # It becomes part of the images' address: whatever else is in it would have them pulled from elsewhere.
            if value and not form.fullmatch(value):
                raise BusinessFailure(f"configs/deployment_config.json: {key} is {value[:80]!r}; it must be {meaning}.")
        if not named and not own:
            raise BusinessFailure(
                "There is no container registry to build images in: set GENAIOPS_CONTAINER_REGISTRY to its login "
                "server (<name>.azurecr.io), or name it in configs/deployment_config.json as REGISTRY_NAME."
            )
        if not named or named == own.split(".", maxsplit=1)[0]:
            return own, group
        suffix = own.partition(".")[2] or "azurecr.io"  # a sovereign cloud has another one
        return f"{named.lower()}.{suffix}", group

    @property
    def _client(self) -> ContainerRegistryTasksMgmtClient:
        from azure.mgmt.containerregistrytasks import ContainerRegistryTasksMgmtClient

        if self._made is None:
            self._made = ContainerRegistryTasksMgmtClient(
                self._credential, self._settings.subscription_id, **client_options(self._settings, self._retries)
            )
        return self._made

    def _succeeded(self, group: str, registry: str) -> Iterable[Run]:
        """The newest first, as the service lists them."""
        runs = self._client.runs.list(group, registry, filter="Status eq 'Succeeded'", top=100)
        return islice(runs, _RUNS_SEEN)

    def _upload(self, url: str, archive: bytes, registry: str) -> None:
        from azure.core.exceptions import AzureError
        from azure.storage.blob import BlobClient

        # The address bears a signature: what goes wrong here is told without it.
        try:
            with BlobClient.from_blob_url(url, retry_policy=self._blob_retries()) as blob:
                blob.upload_blob(archive, overwrite=True)
        except AzureError as error:
            raise explained(error, f"the upload of a context to {_named(registry)}", ROLE) from None

    def _blob_retries(self) -> Any:
        """Of connections alone; what the SDK does by itself begins with a pause of 15 seconds."""
        from azure.storage.blob import LinearRetry

        return LinearRetry(backoff=1, random_jitter_range=0, retry_total=self._retries, retry_status=0)

    def _log_end(self, group: str, registry: str, run: str) -> str:
        """The last lines of a run's log; empty where there is none."""
        from azure.core.exceptions import AzureError
        from azure.storage.blob import BlobClient

        try:
            with _translated(registry):
                link = str(self._client.runs.get_log_sas_url(group, registry, run).log_link or "")
            with BlobClient.from_blob_url(link, retry_policy=self._blob_retries()) as blob:
                # What a build prints has no end that could be relied on: of a long log only that is fetched.
                found = blob.download_blob(offset=0, length=_LOG_BYTES)
                size = int(str(found.properties.content_range).rpartition("/")[2])
                if size > _LOG_BYTES:
                    found = blob.download_blob(offset=size - _LOG_BYTES, length=_LOG_BYTES)
                content: bytes = found.readall()
        except (AzureError, GenAIOpsError, ValueError):
            return ""  # a run that never began has none, and the reason stands without it
        return last_lines(content)[-_LOG_CHARACTERS:]


def _named(registry: str) -> str:
    return f"the container registry {registry!r}"


def _translated(registry: str) -> AbstractContextManager[None]:
    return translated(_named(registry), role=ROLE)


def _request(tag: str, source: str) -> Any:
    from azure.mgmt.containerregistrytasks.models import DockerBuildRequest, PlatformProperties

    return DockerBuildRequest(
        docker_file_path="Dockerfile",
        image_names=[f"{REPOSITORY}:{tag}"],
        is_push_enabled=True,
        platform=PlatformProperties(os="Linux", architecture="amd64"),
        source_location=source,
        timeout=_TIMEOUT_S,
    )


def _has_built(run: Run, tag: str) -> bool:
    images = (run.properties.output_images if run.properties else None) or []
    return any(image.repository == REPOSITORY and image.tag == tag for image in images)

"""What a deployment needs of its Azure ML workspace beside the endpoint: its image's environment, its data assets."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.azure.endpoints.image_context import ImageContext
from shared.adapters.azure.endpoints.online_entities import INFERENCE
from shared.adapters.azure.machine_learning.client import Workspace

if TYPE_CHECKING:
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import OnlineDeployment

ENVIRONMENT: Final = "genaiops-served-flow"
"""Name of the environments; their version is the image's tag."""
COLLECTED: Final = "azureml://datastores/workspaceblobstore/paths/modelDataCollector"
"""Where azure-ai-ml has data collected by default (`DEFAULT_MDC_PATH`)."""


def workspace_id(client: MLClient) -> str:
    """The workspace's resource id."""
    return (
        f"/subscriptions/{client.subscription_id}/resourceGroups/{client.resource_group_name}"
        f"/providers/Microsoft.MachineLearningServices/workspaces/{client.workspace_name}"
    )


def environment_id(client: MLClient, tag: str) -> str:
    """The resource id of the environment with the image of this tag."""
    return f"{workspace_id(client)}/environments/{ENVIRONMENT}/versions/{tag}"


class OnlineAssets:
    """Environments and data assets of the workspace; errors are the SDK's, for the caller to translate."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace
        self._location = ""

    def location(self, client: MLClient) -> str:
        """The workspace's Azure region; asked for once."""
        if not self._location:
            self._location = str(client.workspaces.get(client.workspace_name).location)
        return self._location

    def environment(self, tag: str) -> Any:
        """The environment, or None."""
        from azure.core.exceptions import ResourceNotFoundError

        try:
            return self._workspace.client().environments.get(ENVIRONMENT, tag)
        except ResourceNotFoundError:
            return None

    def upload(self, context: ImageContext) -> None:
        """Into the workspace's blob store, from where Azure ML builds; files that lie there already are left alone."""
        from azure.ai.ml.entities import BuildContext

        with tempfile.TemporaryDirectory() as folder:
            context.write(Path(folder, "context"))
            path = str(Path(folder, "context"))
            self.register(context.tag, build=BuildContext(path=path, dockerfile_path="Dockerfile"))

    def register(self, tag: str, **source: Any) -> None:
        """Make the environment of an `image`, or of the context in `build`."""
        from azure.ai.ml.entities import Environment

        environment = Environment(name=ENVIRONMENT, version=tag, inference_config=INFERENCE, **source)
        self._workspace.client().environments.create_or_update(environment)

    def register_collections(self, client: MLClient, deployment: OnlineDeployment) -> None:
        """Azure ML writes what it collects below a data asset each, which has to be there."""
        from azure.ai.ml.entities import Data

        collector = deployment.data_collector
        for name, collection in (collector.collections if collector is not None else {}).items():
            asset = f"{deployment.endpoint_name}-{deployment.name}-{name}"
            path = f"{COLLECTED}/{deployment.endpoint_name}/{deployment.name}/{name}"
            client.data.create_or_update(Data(name=asset, version="1", path=path))
            collection.data = f"{workspace_id(client)}/data/{asset}/versions/1"

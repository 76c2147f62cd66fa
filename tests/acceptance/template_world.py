"""The use cases of `tests/template_use_cases`, configured as their people have them: by variables, keys and a model.

What is set is what such a folder asks for: `<connection>_<name>` for each `${name}` of a connection, one variable with
the whole connection where its address stands in the file, and the variables of `environment/env.yaml`.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest

from genaiops import lab
from shared import model_connections, settings
from shared.adapters.local.blobs import FileBlobStore
from shared.adapters.local.endpoints.adapter import LocalEndpoints
from shared.adapters.local.endpoints.supervisor import EndpointSupervisor
from shared.ports import DeploymentSpec, DeploymentState
from shared.use_case.model import UseCase
from tests.acceptance.template_model import TemplateModel
from tests.contract.endpoint_host import free_port

FOLDERS: Final = Path(__file__).parents[1] / "template_use_cases"
KEY: Final = "a-key-that-nobody-may-see"
USE_CASES: Final = ("ask_the_manual", "card_writer", "kitchen_sums", "notice_board", "parcel_notes", "town_guide")
ADDRESS_IN_FILE: Final = ("card_writer", "kitchen_sums", "parcel_notes")
"""Their connections name an address: only a variable with the whole connection leads elsewhere."""


def environment_of(use_case: str, model: str) -> dict[str, str]:
    """What people set for this use case, with a model at the address `model`."""
    variables = {
        "AZURE_OPENAI_API_KEY": KEY,
        "AZURE_OPENAI_ENDPOINT": model,
        "OPENAI_API_VERSION": "2023-07-01-preview",
        "CHAT_MODEL_DEPLOYMENT_NAME": "gpt-4",
        "PROMPT_WORD_LIMIT": "200",
        "VERBOSE": "true",
        "CHUNK_SIZE": "300",
    }
    for connection in ("aoai", "aoai1"):
        if use_case in ADDRESS_IN_FILE:
            variables[connection] = json.dumps({"api_base": model, "api_key": KEY, "api_type": "azure"})
        else:
            variables |= {f"{connection}_api_endpoint": model, f"{connection}_api_key": KEY}
    return variables


class Template:
    """One lab and one model for all of the use cases."""

    def __init__(self, bench: lab.Lab, model: TemplateModel) -> None:
        self.bench = bench
        self.model = model

    def run(self, use_case: str, environment: str = "dev", **options: Any) -> lab.Results:
        """A whole `pr` chain on all rows."""
        with pytest.MonkeyPatch.context() as patch:
            self.configure(patch, use_case)
            return self.bench.run(lab.load(FOLDERS / use_case, environment), **{"sample": None, **options})

    def configure(self, patch: pytest.MonkeyPatch, use_case: str) -> None:
        """Set what the use case asks for."""
        for name, value in environment_of(use_case, self.model.url).items():
            patch.setenv(name, value)


class Host:
    """Serves use cases on this machine, as the local profile does."""

    def __init__(self, home: Path) -> None:
        port = free_port()
        blobs = FileBlobStore(home / "blobs")
        self.settings = replace(settings.read(), home=home)
        self.endpoints = LocalEndpoints(blobs, home, f"http://127.0.0.1:{port}")
        self.supervisor = EndpointSupervisor(
            blobs,
            home,
            port,
            partial(model_connections.resolved, self.settings),
            fill_in=partial(model_connections.filled_in, self.settings),
        )

    def deploy(self, use_case: UseCase) -> str:
        """Begin to deploy the flow as a chain does; returns its endpoint."""
        assert use_case.deployment is not None
        endpoint = use_case.deployment.endpoint
        self.endpoints.deploy(
            DeploymentSpec(
                endpoint=endpoint,
                name="v1",
                flow=use_case.flow,
                flow_digest=use_case.name,
                flow_version="1",
                connections=model_connections.resolved(self.settings, use_case.connections),
                connection_specs=use_case.connections,
                environment=model_connections.served_variables(use_case),
                flow_file=use_case.flow_file,
                package=use_case.name,
                root=use_case.folder,
            )
        )
        return endpoint

    def invoke(self, endpoint: str, request: dict[str, Any], traffic: int) -> tuple[int, Any]:
        """Once the deployment is ready and has its traffic: status and answer."""
        limit = time.monotonic() + 150
        while (info := self.endpoints.look(endpoint, "v1")).state is DeploymentState.CREATING:
            assert time.monotonic() < limit, f"still {info}"
            time.sleep(0.05)
        assert info.state is DeploymentState.READY, info.reason
        self.endpoints.set_traffic(endpoint, {"v1": traffic})
        answer = self.endpoints.invoke(endpoint, request)
        return answer.status, json.loads(answer.body)

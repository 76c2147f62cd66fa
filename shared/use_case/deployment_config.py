"""`configs/deployment_config.json`, read as microsoft/genaiops-promptflow-template has it.

Its lists, one a kind of target, hold an entry per environment, by `ENV_NAME`. Where `experiment.yaml` has no block
`deployment`, the environment's entry says where the flow is deployed; beside such a block, it only adds the targets.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from shared.use_case.block import Block
from shared.use_case.flow_model import FlowFacts
from shared.use_case.json_file import read_json
from shared.use_case.model import Deployment, DeploymentTarget
from shared.use_case.problems import Problems, one_of
from shared.use_case.sample_request import sample_request
from shared.use_case.sources import file_in
from shared.use_case.variables import variables_block

FILE: Final = "configs/deployment_config.json"
KINDS: Final = ("azure_managed_endpoint", "kubernetes_endpoint", "webapp_endpoint", "kubernetes_cluster")
"""The first three are the template's; `kubernetes_cluster` is a cluster without Azure ML."""
_TRAFFIC: Final = "CURRENT_DEPLOYMENT_TRAFFIC_ALLOCATION"
_ENVIRONMENT: Final = "ENV_NAME"
_ENDPOINT: Final = "ENDPOINT_NAME"


def endpoint_of(use_case: str) -> str:
    """The endpoint's name where none is given: the use case's, as Azure allows it."""
    return use_case.replace("_", "-")


class DeploymentConfig:
    """What the file says of one environment; nothing where there is no file."""

    def __init__(self, folder: Path, environment: str, problems: Problems) -> None:
        path = file_in(folder, FILE)
        document = read_json(path, FILE, problems) if path is not None else None
        whole = Block(document, (), document.value, problems, folder).mapping() if document is not None else None
        self._entries = _entries(whole, environment) if whole is not None else []

    @property
    def targets(self) -> tuple[DeploymentTarget, ...]:
        """Every entry of this environment, in the file's order of kinds."""
        return tuple(DeploymentTarget(kind, dict(entry.value)) for kind, entry in self._entries)

    def deployment(self, facts: FlowFacts | None, use_case: str) -> Deployment | None:
        """The deployment that the first entry with an endpoint's name describes; None: there is no entry.

        A ci chain never goes on with it by itself. What keeps the endpoint from being tested is a warning, since the
        use case may never be deployed.
        """
        if not self._entries:
            return None
        blocks = [entry for _, entry in self._entries]
        chosen = next((block for block in blocks if block.value.get(_ENDPOINT)), blocks[0])
        named = chosen.name(_ENDPOINT, required=False) if chosen.value.get(_ENDPOINT) else ""
        default = Deployment(endpoint=named or endpoint_of(use_case))
        traffic = _traffic(chosen)
        return Deployment(
            endpoint=default.endpoint,
            traffic=default.traffic if traffic is None else traffic,
            sample_request=sample_request(chosen, "TEST_FILE_PATH", facts, chosen.warn),
            environment_variables=variables_block(chosen.child("ENVIRONMENT_VARIABLES")),
            targets=self.targets,
            target=next(t for t, entry in zip(self.targets, blocks, strict=True) if entry is chosen),
        )


def _entries(whole: Block, environment: str) -> list[tuple[str, Block]]:
    for key in whole.value:
        if key not in KINDS:
            whole.warn(one_of(key, KINDS, "kind of target") + "; it is left out", key)
    found = []
    for kind in KINDS:
        for entry in whole.child(kind).items():
            if entry.mapping() is None:
                continue
            of: Any = entry.value.get(_ENVIRONMENT)
            if not isinstance(of, str) or not of.strip():
                entry.problem(f"is {of!r}; expected the environment that the entry is for: 'dev'"[:200], _ENVIRONMENT)
            elif of == environment:
                found.append((kind, entry))
    return found


def _traffic(entry: Block) -> int | None:
    """Percent, as a number or as a text; None where there is none."""
    written = entry.value.get(_TRAFFIC)
    if written in (None, ""):
        return None
    text = str(written).strip()
    is_whole = text.isascii() and text.isdigit() and len(text) <= 3 and not isinstance(written, bool)
    if not is_whole or int(text) > 100:
        entry.problem(f"is {written!r}; expected a whole number from 0 to 100"[:200], _TRAFFIC)
        return None
    return int(text)

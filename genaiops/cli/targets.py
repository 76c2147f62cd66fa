"""Whether the options of a use case's deployment target would be taken: by the readers that `deploy` uses, beforehand.

They are warnings, for a laptop serves every endpoint itself, whatever `configs/deployment_config.json` says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.errors import BusinessFailure

if TYPE_CHECKING:
    from shared.use_case.model import Deployment, Problem, UseCase

_ANY_GROUP = "resource-group"
"""For entries without `WEB_APP_RG_NAME`: the app's own is not known here, and is right by itself."""


def warnings_of(use_case: UseCase) -> list[Problem]:
    """What is wrong with the options of the target that serves the endpoint in this environment."""
    from shared.use_case.deployment_config import FILE
    from shared.use_case.model import Problem

    deployment = use_case.deployment
    if deployment is None or deployment.target is None:
        return []
    kind = deployment.target.kind
    key = f"{kind} ({use_case.environment})"
    text = (use_case.folder / FILE).read_text(encoding="utf-8-sig")
    line = text[: max(text.find(f'"{kind}"'), 0)].count("\n") + 1
    return [Problem(FILE, line, key, f"{each}; a deployment in Azure would fail") for each in _wrong(deployment)]


def _wrong(deployment: Deployment) -> list[str]:
    from shared.adapters.azure.endpoints import online_options, web_app_options
    from shared.adapters.azure.endpoints.cluster import options as cluster_options

    target = deployment.target
    if target is None:
        return []
    try:
        match target.kind:
            case online_options.MANAGED | online_options.KUBERNETES:
                online_options.read_options(target.kind, target.options)
            case web_app_options.KIND:
                web_app_options.read(target.options, deployment.endpoint, _ANY_GROUP)
            case cluster_options.KIND:
                cluster_options.read(target.options)
            case _:  # kinds that there are not: the folder's own check names them
                pass
    except BusinessFailure as failure:
        return str(failure).split("\n  ")[1:]  # the first line names file and kind, which the problem does
    return []

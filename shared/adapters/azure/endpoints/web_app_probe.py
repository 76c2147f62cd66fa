"""Where a slot's container is, as it tells itself: asked over HTTP at the slot's own address."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Final

from shared.adapters.azure.endpoints.exchange import Answer, exchange
from shared.adapters.serving.front import CANNOT_SERVE, DEPLOYMENT_HEADER, NOT_READY
from shared.errors import BusinessFailure
from shared.ports import DeploymentState
from shared.secret_shapes import masked

_PROBE_S: Final = 10.0
_LARGEST: Final = 64 * 1024
_SHOWN: Final = 2_000
"""Characters of a reason: a container says why it cannot serve in one sentence."""


def probed(host: str) -> tuple[DeploymentState, str]:
    """Where a slot's container is, as it tells itself."""
    import requests

    if not host:
        return DeploymentState.CREATING, "its slot is being created"
    try:
        answer = exchange("GET", f"https://{host}/ready", {}, None, _PROBE_S, largest=_LARGEST)
    except BusinessFailure as error:
        return DeploymentState.FAILED, str(error)
    except requests.RequestException as error:
        return DeploymentState.CREATING, f"its container does not answer yet ({type(error).__name__})"
    found = refusal(answer)
    if found is not None:
        code, message = found
        return (DeploymentState.FAILED if code == CANNOT_SERVE else DeploymentState.CREATING), masked(message[:_SHOWN])
    if answer.status == HTTPStatus.OK and DEPLOYMENT_HEADER.lower() in answer.headers:
        return DeploymentState.READY, ""
    if answer.status == HTTPStatus.FORBIDDEN:
        reason = "the web app's access restrictions do not let this app in: allow the network of the functions there"
        return DeploymentState.FAILED, reason
    return DeploymentState.CREATING, f"its container does not answer yet ({answer.status})"


def refusal(answer: Answer) -> tuple[str, str] | None:
    """Code and message of a container of ours that is not ready; None: it is another answer."""
    if answer.status != HTTPStatus.SERVICE_UNAVAILABLE or DEPLOYMENT_HEADER.lower() not in answer.headers:
        return None
    try:
        error = json.loads(answer.body)["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return (code, message) if code in (NOT_READY, CANNOT_SERVE) else None

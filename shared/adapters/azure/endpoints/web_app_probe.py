"""Where a slot's container is, as it tells itself: asked over HTTP at the slot's own address."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any, Final

from shared.adapters.serving.front import CANNOT_SERVE, DEPLOYMENT_HEADER, NOT_READY
from shared.ports import DeploymentState
from shared.secret_shapes import masked

_PROBE_S: Final = (5.0, 10.0)
"""To connect, and for the answer."""


def probed(host: str) -> tuple[DeploymentState, str]:
    """Where a slot's container is, as it tells itself."""
    import requests

    if not host:
        return DeploymentState.CREATING, "its slot is being created"
    try:
        answer = requests.get(f"https://{host}/ready", timeout=_PROBE_S)
    except requests.RequestException as error:
        return DeploymentState.CREATING, f"its container does not answer yet ({type(error).__name__})"
    found = refusal(answer)
    if found is not None:
        code, message = found
        return (DeploymentState.FAILED if code == CANNOT_SERVE else DeploymentState.CREATING), masked(message)
    if answer.status_code == HTTPStatus.OK and DEPLOYMENT_HEADER in answer.headers:
        return DeploymentState.READY, ""
    if answer.status_code == HTTPStatus.FORBIDDEN:
        reason = "the web app's access restrictions do not let this app in: allow the network of the functions there"
        return DeploymentState.FAILED, reason
    return DeploymentState.CREATING, f"its container does not answer yet ({answer.status_code})"


def refusal(answer: Any) -> tuple[str, str] | None:
    """Code and message of a container of ours that is not ready; None: it is another answer."""
    if answer.status_code != HTTPStatus.SERVICE_UNAVAILABLE or DEPLOYMENT_HEADER not in answer.headers:
        return None
    try:
        error = answer.json()["error"]
        code, message = str(error["code"]), str(error["message"])
    except (ValueError, KeyError, TypeError):
        return None
    return (code, message) if code in (NOT_READY, CANNOT_SERVE) else None

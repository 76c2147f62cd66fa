"""Scoring requests to Azure ML's online endpoints: the header that names a deployment, what the answers mean.

https://learn.microsoft.com/azure/machine-learning/how-to-authenticate-online-endpoint (tokens and keys) and
https://learn.microsoft.com/azure/machine-learning/how-to-troubleshoot-online-endpoints#http-status-codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from shared.adapters.azure.endpoints.exchange import Answer, score
from shared.adapters.azure.errors import retry_after
from shared.errors import BusinessFailure, Throttled, Transient
from shared.ports import Invocation

DEPLOYMENT_HEADER: Final = "azureml-model-deployment"
MODEL_STATUS_HEADER: Final = "ms-azureml-model-error-statuscode"
"""Of an answer 424: the status that the container itself gave."""
SCOPE: Final = "https://ml.azure.com/.default"
ROLE: Final = "AzureML Data Scientist"
_SHOWN: Final = 300
_NOBODY: Final = (HTTPStatus.NOT_FOUND, HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.FAILED_DEPENDENCY)


def post(url: str, payload: Mapping[str, object], deployment: str | None, bearer: str, timeout_s: float) -> Answer:
    """Send one request, through the split or to the named deployment.

    Raises:
        Transient: nothing answered, or not in time.
        BusinessFailure: the answer is too long.
    """
    headers = {"Authorization": f"Bearer {bearer}"}
    if deployment is not None:
        headers[DEPLOYMENT_HEADER] = deployment
    return score(url, payload, timeout_s, headers)


def meant(answer: Answer, endpoint: str, deployment: str | None) -> Invocation:
    """What an answer tells: a container's own answer, whatever its status, or that none could answer.

    Raises:
        Transient: no deployment answered: there is no traffic, or what has it is not ready.
        Throttled: the endpoint has more requests than it takes.
        BusinessFailure: this app may not score there.
    """
    who = answer.headers.get(DEPLOYMENT_HEADER, "")
    model_status = answer.headers.get(MODEL_STATUS_HEADER, "")
    status = int(model_status) if answer.status == HTTPStatus.FAILED_DEPENDENCY and model_status.isdigit() else None
    if status is not None or who or answer.status < HTTPStatus.BAD_REQUEST:
        return Invocation(status or answer.status, answer.body, answer.latency_ms, who or deployment or "")
    said = answer.body.decode("utf-8", "replace")[:_SHOWN]
    if answer.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
        raise BusinessFailure(
            f"The endpoint {endpoint!r} did not let this app in ({answer.status}): give the app's managed identity the "
            f"role {ROLE} in the workspace; a new assignment takes some minutes to work. It said: {said}"
        )
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        raise Throttled(f"The endpoint {endpoint!r} has too many requests: {said}", retry_after(answer.headers))
    if answer.status in _NOBODY or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise Transient(f"Nothing answered at endpoint {endpoint!r} ({answer.status}): {said}")
    return Invocation(answer.status, answer.body, answer.latency_ms, deployment or "")

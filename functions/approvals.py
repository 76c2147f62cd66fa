"""HTTP `approvals`: the approver's page (GET) and answer (POST). The signed link is the key, hence no function key.

Where people sign in, the last part of the address may be a chain's id instead (`shared/approvals/opening.py`).
"""

from __future__ import annotations

import azure.functions as func

from shared.approvals import checks, page
from shared.bootstrap import ports
from shared.pages.http import respond

blueprint = func.Blueprint()


@blueprint.route("approvals/{token}", methods=["GET", "HEAD", "POST"], auth_level=func.AuthLevel.ANONYMOUS)
def approvals(req: func.HttpRequest) -> func.HttpResponse:
    """Show the evidence, or take an answer."""
    token = req.route_params["token"]
    if req.method == "POST":
        return respond(req, lambda request: page.answer(ports(), token, request))
    return respond(req, lambda request: page.show(ports(), token, request))


@blueprint.route("approvals/{token}/report", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
def approval_report(req: func.HttpRequest) -> func.HttpResponse:
    """The full report behind an approval."""
    return respond(req, lambda request: page.report(ports(), req.route_params["token"], request))


@blueprint.route("approval-checks", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
def approval_checks(req: func.HttpRequest) -> func.HttpResponse:
    """A check of an environment in Azure DevOps waits for an approval; it is called back."""
    return respond(req, lambda _: checks.register(ports(), req.headers, req.get_body()))

"""HTTP `chains`: dashboard, one chain, its state and report files, cancel. Without key only where the host is local."""

from __future__ import annotations

import os

import azure.functions as func

from shared.bootstrap import ports
from shared.dashboard import pages
from shared.pages.http import respond

AUTH = func.AuthLevel.FUNCTION if os.environ.get("GENAIOPS_PROFILE") == "azure" else func.AuthLevel.ANONYMOUS
blueprint = func.Blueprint()


@blueprint.route("dashboard", methods=["GET", "HEAD"], auth_level=AUTH)
def dashboard(req: func.HttpRequest) -> func.HttpResponse:
    """All chains, approvals, endpoints and dead letters."""
    return respond(req, lambda request: pages.overview(ports(), request))


@blueprint.route("chains/{chain}", methods=["GET", "HEAD"], auth_level=AUTH)
def chain(req: func.HttpRequest) -> func.HttpResponse:
    """One chain's steps, log and report."""
    return respond(req, lambda request: pages.chain(ports(), request, req.route_params["chain"]))


@blueprint.route("chains/{chain}/{part}", methods=["GET", "HEAD", "POST"], auth_level=AUTH)
def chain_part(req: func.HttpRequest) -> func.HttpResponse:
    """GET state: the chain as JSON. POST cancel: ask the chain to stop."""
    return respond(req, lambda request: pages.part(ports(), request, **req.route_params))


@blueprint.route("chains/{chain}/files/{name}", methods=["GET", "HEAD"], auth_level=AUTH)
def chain_file(req: func.HttpRequest) -> func.HttpResponse:
    """A file of the chain's report."""
    return respond(req, lambda request: pages.file(ports(), request, **req.route_params))

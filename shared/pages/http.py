"""Between the Functions host and a page: a request as pages need it, errors as pages, and who may send what.

Nothing redelivers HTTP, so a handler only reads, or puts one message on a queue.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, urlsplit

from shared import loopback
from shared.errors import InvalidName, Malformed, NotFound, Throttled, Transient
from shared.pages.page import Page, message
from shared.process_secrets import hidden
from shared.settings import InvalidSettings, Settings
from shared.telemetry.handling import answering

if TYPE_CHECKING:
    import azure.functions as func

FORM_LIMIT: Final = 64 * 1024
"""Bytes of a form."""

_ROUTE_WORDS: Final = frozenset(
    {"api", "approvals", "approval-checks", "report", "chains", "files", "state", "cancel", "dashboard"}
)


@dataclass(frozen=True)
class Request:
    """What a page needs to know of a request."""

    method: str = "GET"
    host: str = ""
    """The Host header: name and port."""
    origin: str | None = None
    fetch_site: str | None = None
    """The Sec-Fetch-Site header: who made the browser send this."""
    principal: str = field(default="", repr=False)
    """The X-MS-CLIENT-PRINCIPAL header: who is signed in, if the platform has set it (`approvals/sign_in.py`)."""
    user_agent: str = ""
    by_script: bool = False
    """Whether it says that a script fetched it, not somebody who opened it (Sec-Fetch-Dest)."""
    form: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)


def respond(req: func.HttpRequest, handle: Callable[[Request], Page]) -> func.HttpResponse:
    """Answer a request with the page that `handle` gives; an error becomes a page that says what to do."""
    import azure.functions as func

    with answering(req.method, _route(req)) as answer:
        page = _page(req, handle)
        answer.tell(outcome=str(page.status))
    return func.HttpResponse(
        body=page.body,
        status_code=page.status,
        headers={**page.headers, "Content-Type": page.content_type},
    )


def _route(req: func.HttpRequest) -> str:
    """What was asked for, without the values in the path: a link of an approver is a key."""
    parts = urlsplit(req.url).path.split("/")
    return "/".join(part if part in _ROUTE_WORDS else "…" for part in parts if part)


def _page(req: func.HttpRequest, handle: Callable[[Request], Page]) -> Page:
    try:
        page = handle(request_of(req))
    except InvalidSettings:
        # Which settings those are is the operator's business: this page may be anybody's.
        logging.getLogger(__name__).exception("A page could not be shown: the settings are missing or wrong")
        page = message(503, "Not set up", "Settings of this app are missing or wrong; its log lists them all.")
    except (NotFound, InvalidName) as error:
        page = message(404, "Not found", hidden(str(error)))
    except Malformed as error:
        page = message(400, "This request cannot be understood", hidden(str(error)))
    except (Transient, Throttled):
        logging.getLogger(__name__).warning("A page could not be shown for now", exc_info=True)
        page = message(503, "Not available for now", "A service that this page needs did not answer. Try again.")
    except Exception:
        logging.getLogger(__name__).exception("A page could not be shown")
        page = message(500, "This page could not be shown", "The reason is in the function app's log.")
    return page


def request_of(req: func.HttpRequest) -> Request:
    """Take what the Functions host passed. Raises Malformed where a form is too large or is none."""
    headers = {name.lower(): value for name, value in req.headers.items()}
    form: dict[str, str] = {}
    if req.method == "POST" and not headers.get("content-type", "").startswith("application/json"):
        body = req.get_body()
        if len(body) > FORM_LIMIT:
            raise Malformed(f"The form has {len(body):,} bytes; at most {FORM_LIMIT:,} are allowed.")
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=20, errors="strict")
        except ValueError as error:
            raise Malformed("The form must be application/x-www-form-urlencoded in UTF-8 with few fields.") from error
        form = dict(pairs)
    return Request(
        method=req.method,
        host=headers.get("host", ""),
        origin=headers.get("origin"),
        fetch_site=headers.get("sec-fetch-site"),
        principal=headers.get("x-ms-client-principal", ""),
        user_agent=headers.get("user-agent", ""),
        by_script=headers.get("sec-fetch-dest") == "empty",
        form=form,
        query=dict(req.params),
    )


def from_elsewhere(settings: Settings, request: Request) -> bool:
    """Whether another site made the browser send this.

    Our pages send no referrer, and then browsers give `null` as a form's origin: `null` alone tells nothing, and
    Sec-Fetch-Site decides.
    """
    if loopback.from_another_site(request.fetch_site):
        return True
    if request.origin is None or request.origin == "null":
        return False
    ours = {urlsplit(settings.functions_url).netloc.lower(), request.host.lower()}
    try:
        return urlsplit(request.origin).netloc.lower() not in ours
    except ValueError:  # it is no origin at all
        return True


def strange_host(settings: Settings, request: Request) -> bool:
    """Whether a page of the laptop is asked for under a name that is not the laptop's.

    A foreign name that resolves to 127.0.0.1 (DNS rebinding) would let its site read our pages. In Azure the function
    key guards them, and the front end has matched the name already.
    """
    if settings.profile != "local":
        return False
    name = loopback.host_name(request.host)
    return name not in loopback.NAMES and (name is None or name != urlsplit(settings.functions_url).hostname)

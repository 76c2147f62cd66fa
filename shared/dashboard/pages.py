"""The dashboard: what runs, what waits for whom, what is deployed and what failed; and one page for each chain.

Pages are complete without script; with it they exchange what has changed. They only read; cancelling enqueues an event.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from shared import chain_store, dead_letters, reporting
from shared.approvals import audit, links
from shared.chain.messages import CancelRequested
from shared.chain.state import Chain, ChainStatus
from shared.envelopes import send_event
from shared.errors import GenAIOpsError, NotFound, Throttled, Transient
from shared.names import CHAIN_ID_RULE
from shared.pages import http, page
from shared.pages.page import Page
from shared.pages.words import plural, status_word

if TYPE_CHECKING:
    from shared.ports import EndpointInfo, Ports

log = logging.getLogger(__name__)

CHAINS: Final = 50
"""Chains on the overview."""
DEAD_LETTERS: Final = 50
LOG_ENTRIES: Final = 500
"""Of one chain's log, the last ones: the page is fetched again every few seconds."""
MOST_BYTES: Final = 64 * 1024 * 1024
"""Of a file that is sent: a function holds the whole of its answer, more than once, in memory."""
LINKED_BYTES: Final = 8 * 1024 * 1024
"""Files from here on are fetched from the blob store itself, where it gives links."""
LINK_LIFE: Final = timedelta(minutes=5)
"""Of such a link: it is followed at once."""
_CHAIN_ID: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,95}")
_TYPES: Final = {"report.html": "text/html", "evidence.json": "application/json"}


def overview(ports: Ports, request: http.Request) -> Page:
    """All chains, waiting approvals, endpoints and dead letters."""
    if refused := _refused(ports, request):
        return refused
    chains = chain_store.recent(ports.blobs, CHAINS)
    letters = dead_letters.listed(ports)
    waiting = [chain for chain in chains if chain.status is ChainStatus.AWAITING_APPROVAL]
    running = sum(chain.status is ChainStatus.RUNNING for chain in chains)
    return page.render(
        "dashboard.html",
        live=True,
        now=ports.clock.now(),
        chains=chains,
        running=running,
        waiting=[(chain, _links(ports, chain)) for chain in waiting],
        endpoints=_endpoints(ports),
        letters=letters[:DEAD_LETTERS],
        letters_in_all=len(letters),
        summary=", ".join(
            (
                f"{plural(running, 'chain')} running",
                f"{plural(len(waiting), 'approval')} waiting",
                plural(len(letters), "dead letter"),
            )
        ),
        key=_key(request),
    )


def chain(ports: Ports, request: http.Request, chain: str) -> Page:
    """One chain: where it stands, its steps, its report, its log; and a form that cancels it."""
    if refused := _refused(ports, request):
        return refused
    state = _load(ports, chain)
    log = list(chain_store.read_log(ports.blobs, state.id))
    return page.render(
        "chain.html",
        live=True,
        forms=True,
        chain=state,
        now=None if state.status.is_final else ports.clock.now(),
        log=log[-LOG_ENTRIES:],
        log_left_out=max(0, len(log) - LOG_ENTRIES),
        files=_files(ports, state),
        progress=_progress(state),
        approval_links=_links(ports, state) if state.status is ChainStatus.AWAITING_APPROVAL else {},
        audit=list(audit.read(ports, state.id))[-LOG_ENTRIES:] if state.approval else [],
        cancel_token=_cancel_token(ports, state.id),
        cancelling=request.query.get("cancelled") == "1",
        key=_key(request),
    )


def part(ports: Ports, request: http.Request, chain: str, part: str) -> Page:
    """`state`: the chain as JSON. `cancel`: ask it to stop."""
    if refused := _refused(ports, request):
        return refused
    match part, request.method:
        case "state", "GET" | "HEAD":
            return page.json_answer(_load(ports, chain).model_dump_json(indent=2).encode())
        case "cancel", "POST":
            return _cancel(ports, request, _load(ports, chain))
        case "state" | "cancel", _:
            return page.message(405, "Not allowed", f"{part} does not take {request.method}.")
        case _:
            raise NotFound(f"A chain has no page {part!r}; there are state (GET) and cancel (POST).")


def file(ports: Ports, request: http.Request, chain: str, name: str) -> Page:
    """A file of the report: the page is shown in a sandbox, CSV files are saved; large ones come from the store."""
    if refused := _refused(ports, request):
        return refused
    state = _load(ports, chain)
    if name not in reporting.FILES:
        raise NotFound(f"A report has no file {name!r}; there are {', '.join(reporting.FILES)}.")
    size = next((info.size for info in ports.blobs.list(reporting.CONTAINER, f"{state.id}/{name}")), 0)
    if size > LINKED_BYTES and (link := _link(ports, f"{state.id}/{name}")):
        return page.redirect(link)
    if size > MOST_BYTES:
        return page.message(
            413,
            "Too large to send",
            f"{name} has {size / 2**20:,.0f} MB. `python -m genaiops report {state.id}` writes it to a file.",
        )
    try:
        content = ports.blobs.read(reporting.CONTAINER, f"{state.id}/{name}")
    except NotFound as error:
        raise NotFound(f"The chain {state.id} has no {name} yet: it is written by its report step.") from error
    if name == "report.html":
        return page.report(content)
    return page.download(content, f"{state.id}-{name}", _TYPES.get(name, "text/csv; charset=utf-8"))


def _link(ports: Ports, blob: str) -> str | None:
    """None where there are no links, or none for now: then the file is sent from here, as far as that goes."""
    try:
        return ports.blobs.link(reporting.CONTAINER, blob, LINK_LIFE)
    except GenAIOpsError:
        log.warning("There is no link to %s/%s", reporting.CONTAINER, blob, exc_info=True)
        return None


def _cancel(ports: Ports, request: http.Request, chain: Chain) -> Page:
    if http.from_elsewhere(ports.settings, request) or not hmac.compare_digest(
        request.form.get("token", "").encode(), _cancel_token(ports, chain.id).encode()
    ):
        return page.message(403, "Not from this page", "The form is not ours or is old. Open the chain's page again.")
    if chain.status.is_final:
        return page.message(409, "Nothing to cancel", f"The chain is {status_word(chain.status).lower()} already.")
    event = CancelRequested(
        id=f"{chain.id}/cancel/page",  # pressing twice is one event
        chain=chain.id,
        at=ports.clock.now(),
        by="the dashboard",
        reason=request.form.get("reason", "").strip()[:2_000],
    )
    send_event(ports, event)
    return page.redirect(f"../{chain.id}?cancelled=1" + _key(request).replace("?", "&"))


def _load(ports: Ports, chain_id: str) -> Chain:
    if not _CHAIN_ID.fullmatch(chain_id):
        raise NotFound(f"{chain_id[:100]!r} is no chain: a chain's id has {CHAIN_ID_RULE}.")
    try:
        return chain_store.load(ports.blobs, chain_id)[0]
    except NotFound as error:
        raise NotFound(f"There is no chain {chain_id}.") from error


def _refused(ports: Ports, request: http.Request) -> Page | None:
    if not http.strange_host(ports.settings, request):
        return None
    return page.message(
        403, "Unknown address", f"Open these pages under {ports.settings.functions_url}, not under another name."
    )


def _links(ports: Ports, chain: Chain) -> dict[str, str]:
    """Approver → link; only on a laptop, where whoever reads this page is the approver anyway."""
    if ports.settings.profile != "local" or chain.approval is None:
        return {}
    return {name: f"/api/approvals/{links.token_for(ports, chain, name)}" for name in chain.approval.approvers}


def _endpoints(ports: Ports) -> list[EndpointInfo] | None:
    """None where the platform does not answer: the rest of the page is still of use."""
    try:
        return ports.endpoints.list()
    except (Transient, Throttled):
        return None


def _files(ports: Ports, chain: Chain) -> list[str]:
    there = {info.name.rpartition("/")[2] for info in ports.blobs.list(reporting.CONTAINER, f"{chain.id}/")}
    return [name for name in reporting.FILES if name in there]


def _progress(chain: Chain) -> tuple[int, int]:
    """(ended, in all) of runs and evaluations, as far as they are known."""
    done = chain.progress
    ended = done.runs_completed + done.runs_failed + done.evaluations_completed + done.evaluations_failed
    runs_to_come = done.cells - done.runs_completed - done.runs_failed
    return ended, ended + runs_to_come + (
        done.evaluations_started - done.evaluations_completed - done.evaluations_failed
    )


def _cancel_token(ports: Ports, chain_id: str) -> str:
    return hmac.new(links.signing_key(ports), f"cancel\n{chain_id}".encode(), hashlib.sha256).hexdigest()


def _key(request: http.Request) -> str:
    """`?code=…` where the page was opened with a function key, so that its links work too."""
    code = request.query.get("code")
    return f"?code={quote(code, safe='')}" if code else ""

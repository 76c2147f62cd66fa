"""What an answer of Azure DevOps means for the message at hand, and what a person should do about a refusal.

Beside the statuses that all of Azure shares (`shared/adapters/azure/errors.py`), Azure DevOps answers who is not let in
with its sign-in page (203 or a redirect), and names in `typeKey` what an error is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from shared.adapters.azure.errors import SHOWN, of_status
from shared.errors import BusinessFailure, Conflict, NotFound, Transient

_GONE: Final = re.compile(r"(NotFound|Terminated|AlreadyCompleted|Deleted)\w*$")
"""The ends of `typeKey`s of what is there no more, such as `TaskOrchestrationPlanNotFoundException`."""


class NoAnswer(Transient):
    """Nobody knows whether the request took effect, or still will: its answer was lost, or a proxy did not wait."""


@dataclass(frozen=True)
class Caller:
    """As whom a request is sent."""

    refused: str
    """What to do where the service does not let it in."""
    missing: str
    """What it means where the service does not know what was asked for."""
    token: str | None = field(default=None, repr=False)
    """None: the app's identity."""


def app(right: str) -> Caller:
    """The app's identity, which needs this right."""
    return Caller(
        refused=(
            "Azure DevOps did not let this app in: add the app's managed identity (or whoever has logged in here) as a "
            f"user of the organisation (Organization settings, Users, access level Basic) and give it {right}"
        ),
        missing="It was deleted, or the app's identity may not see it: then give it Reader in the project",
    )


def task(token: str) -> Caller:
    """A task that waits, by the token that came with it."""
    return Caller(
        refused=(
            "The task's token has expired or was revoked: its job waits no longer, for it was completed or cancelled, "
            "or its timeout passed. Run the job again if its result is needed, with a longer timeout if that was why"
        ),
        missing="Nobody waits for the task any more: its run has ended or was deleted",
        token=token,
    )


def understood(status: int, headers: Mapping[str, str], content: bytes, what: str, caller: Caller) -> Any:
    """The JSON of an answer, None where it is empty.

    Raises:
        NotFound, Throttled, Transient, BusinessFailure: what the answer means.
    """
    is_page = "html" in headers.get("Content-Type", "").lower()
    if status in (203, 401, 403) or 300 <= status < 400 or (is_page and 200 <= status < 300):
        raise BusinessFailure(f"{what}: {caller.refused}. It answered {status}: {_said(content, is_page, caller)}")
    if 200 <= status < 300:
        try:
            return json.loads(content) if content.strip() else None
        except ValueError as error:
            raise Transient(f"{what}: Azure DevOps answered {status} with what is no JSON.") from error
    text = _said(content, is_page, caller)
    if status == 404 or (status < 500 and _GONE.search(_type_key(content))):
        raise NotFound(f"{what}: {caller.missing}. It answered {status}: {text}")
    told = of_status(status, what, "", text, headers)
    if isinstance(told, Conflict):  # changed at the same time: the same again works
        raise Transient(str(told))
    if status in (408, 502, 504):
        raise NoAnswer(str(told))
    raise told or BusinessFailure(f"{what}: Azure DevOps refused the request ({status}): {text}")


def part(found: Any, key: str) -> Any:
    """One member of an answer that says nothing without it. Raises Transient where it is missing."""
    if not isinstance(found, dict) or key not in found:
        raise Transient(f"Azure DevOps gave an answer without {key!r}, which every such answer has.")
    return found[key]


def _said(content: bytes, is_page: bool, caller: Caller) -> str:
    """What the service says, on one line, without a token."""
    if is_page:
        return "a page to sign in"
    found = _object(content).get("message")
    text = found if isinstance(found, str) else content[: 4 * SHOWN].decode("utf-8", "replace")
    if caller.token:
        text = text.replace(caller.token, "…")
    return " ".join(text.split())[:SHOWN] or "nothing"


def _type_key(content: bytes) -> str:
    return str(_object(content).get("typeKey") or "")


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}

"""Cards: a notice in a channel of Teams, posted to a workflow's webhook, or to anything else that takes Adaptive Cards.

Many read a channel: a card never holds an approver's own link. The webhook's address lets whoever knows it post there:
no error and no log says it. Format: https://learn.microsoft.com/connectors/teams/#microsoft-teams-webhook.
"""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from shared.adapters.azure.errors import retry_after
from shared.adapters.people.delivery import ASKS, Delivery, headline
from shared.errors import BusinessFailure, Throttled, Transient
from shared.notification.markdown import JOINER
from shared.pages.words import when
from shared.ports import Notice, NoticeKind
from shared.visible import visible

CHANNEL: Final = "card"
LARGEST: Final = 24_000
"""Bytes: Teams refuses a message of more than about 28 KB: https://learn.microsoft.com/connectors/teams/."""
_FACTS: Final = 20
_VALUE: Final = 200
"""Characters of a fact's value."""
_WHAT: Final = "The webhook of GENAIOPS_WEBHOOK_URL"


class CardChannel:
    """Cards for a webhook.

    Args:
        url: its address, a secret.
        elsewhere: where approvers find their links when the card has none that many may see.
        timeout_s: of each wait for an answer.
    """

    def __init__(self, url: str, elsewhere: str, *, timeout_s: float = 15.0) -> None:
        self._url = url
        self._elsewhere = elsewhere
        self._timeout_s = timeout_s

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """One card for each approval, reminder and alert."""
        match notice.kind:
            case NoticeKind.APPROVAL | NoticeKind.REMINDER | NoticeKind.ALERT:
                return [Delivery(CHANNEL, "webhook", notice, notice.open_link)]
            case NoticeKind.COMMENT | NoticeKind.RESULT | NoticeKind.PROGRESS:
                return []

    def deliver(self, delivery: Delivery) -> None:
        """Post the card.

        Raises:
            Throttled, Transient: it may be taken later.
            BusinessFailure: the webhook does not take it: its workflow was removed, or wants something else.
        """
        body = json.dumps(card(delivery.notice, self._elsewhere), ensure_ascii=False).encode()
        # Errors quote the address, and so would a traceback: none of them is kept (`from None`).
        try:
            opener = build_opener(_NoRedirects, HTTPSHandler(context=ssl.create_default_context()))
            request = Request(self._url, body, {"Content-Type": "application/json"}, method="POST")  # noqa: S310
            with opener.open(request, timeout=self._timeout_s) as response:
                response.read(1)
        except HTTPError as error:
            raise _refused(error) from None
        except URLError as error:
            raise _unreachable(error.reason) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _unreachable(error) from None


def card(notice: Notice, elsewhere: str) -> dict[str, Any]:
    """The message that a Teams workflow takes: one Adaptive Card, at most `LARGEST` bytes."""
    asks = notice.kind in ASKS
    title = _without_links(" ".join(visible(headline(notice)).split())[:_VALUE])
    facts = [_fact(name, value) for name, value in list(notice.facts.items())[:_FACTS]]
    if notice.recipients:
        facts.append(_fact("Approvers", ", ".join(notice.recipients)))
    ending = []
    if notice.deadline:
        ending.append(f"Answer until {when(notice.deadline)}. No answer counts as a rejection.")
    if asks and not notice.open_link:
        ending.append(elsewhere)
    links = {} if asks else dict(notice.links)
    if asks and notice.open_link:
        links = {"Open the approval": notice.open_link}
    text = visible(notice.text)
    if asks:  # whatever wrote the text: no personal link goes where many read
        for own in notice.links.values():
            text = text.replace(own, "…")
    while True:
        made = _envelope(title, facts, text, " ".join(ending), links)
        if not text or len(json.dumps(made, ensure_ascii=False).encode()) <= LARGEST:
            return made
        text = text[: len(text) * 3 // 4] + "…" if len(text) > 100 else ""


def _fact(name: str, value: str) -> dict[str, str]:
    return {"title": _without_links(visible(name)[:_VALUE]), "value": _without_links(visible(value)[:_VALUE])}


def _without_links(text: str) -> str:
    """Plain text in which a card finds no link: whoever asks for a chain could word one like the approval's own.

    Titles and facts, too, are read as Markdown: https://learn.microsoft.com/adaptive-cards/authoring-cards/text-features.
    """
    return text.replace("](", f"]{JOINER}(").replace("]:", f"]{JOINER}:")


def _envelope(title: str, facts: list[dict[str, str]], text: str, ending: str, links: dict[str, str]) -> dict[str, Any]:
    body: list[dict[str, Any]] = [
        {"type": "TextBlock", "text": title, "size": "Large", "weight": "Bolder", "wrap": True, "style": "heading"}
    ]
    if facts:
        body.append({"type": "FactSet", "facts": facts})
    if text.strip():
        body.append({"type": "TextBlock", "text": text, "wrap": True})
    if ending:
        body.append({"type": "TextBlock", "text": ending, "wrap": True, "weight": "Bolder", "color": "Warning"})
    content: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": body,
    }
    if links:
        content["actions"] = [{"type": "Action.OpenUrl", "title": name, "url": url} for name, url in links.items()]
    kind = "application/vnd.microsoft.card.adaptive"
    return {"type": "message", "attachments": [{"contentType": kind, "contentUrl": None, "content": content}]}


class _NoRedirects(HTTPRedirectHandler):
    """The card goes to the address that was set, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _refused(error: HTTPError) -> BusinessFailure | Throttled | Transient:
    with error:
        if error.code == 429:
            return Throttled(f"{_WHAT} asks for a pause.", retry_after(dict(error.headers.items())))
        if error.code == 408 or error.code >= 500:
            return Transient(f"{_WHAT} is not well ({error.code}).")
        return BusinessFailure(
            f"{_WHAT} did not take the card ({error.code}): look whether its workflow is there and switched on, and "
            "copy the workflow's address anew."
        )


def _unreachable(error: object) -> BusinessFailure | Transient:
    if isinstance(error, ssl.SSLCertVerificationError):
        return BusinessFailure(f"{_WHAT} has a certificate that is not trusted here ({error.verify_message}).")
    return Transient(f"{_WHAT} cannot be reached ({type(error).__name__}).")

"""Letters by Azure Communication Services Email, as the app's identity.

A letter's operation id follows from the letter, and the operation is looked for before it is begun: a letter that was
handed over by a process that died then is not handed over again. The role that lets the app send is Communication and
Email Service Owner. REST: https://learn.microsoft.com/rest/api/communication/email/email.
"""

from __future__ import annotations

import logging
import time
import uuid
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.people.delivery import Refused
from shared.adapters.people.letter import Letter
from shared.errors import BusinessFailure, GenAIOpsError, NotFound
from shared.ports import Clock
from shared.visible import visible

if TYPE_CHECKING:
    from azure.communication.email import EmailClient
    from azure.core.credentials import TokenCredential

log: Final = logging.getLogger("genaiops.notices")

API_VERSION: Final = "2025-09-01"
ROLE: Final = "Communication and Email Service Owner"


class CommunicationCarrier:
    """The Communication Services resource at `endpoint`. Safe for use by several threads.

    Args:
        endpoint: `https://<name>.communication.azure.com`.
        credential: the app's identity.
        retries: of a request whose connection failed; an answer such as 429 is not waited for.
        patience_s: how long the service is watched handing a mail on; after that it counts as taken.
        pause_s: between two looks, where the service names none.
    """

    def __init__(
        self,
        endpoint: str,
        credential: TokenCredential,
        *,
        retries: int = 3,
        patience_s: float = 15.0,
        pause_s: float = 1.0,
    ) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._credential = credential
        self._retries = retries
        self._patience_s = patience_s
        self._pause_s = pause_s
        self._what = f"Communication Services at {self._endpoint}"
        self._lock = Lock()
        self._client: EmailClient | None = None

    def send(self, mail: Letter, clock: Clock) -> None:  # noqa: ARG002 - the service dates mails itself
        """Hand one letter over, and watch for a few seconds what becomes of it.

        Raises:
            Refused: the service sends nothing to this address.
            Throttled, Transient, Conflict: later.
            BusinessFailure: endpoint, role or sender are not as they must be.
        """
        from shared.adapters.azure.errors import translated

        operation = str(uuid.UUID(hex=mail.digest[:32]))
        try:
            found = self._status(operation)
            if found is None:
                with translated(self._what, role=ROLE):
                    self._made().begin_send(_message(mail), operation_id=operation, polling=False)
        except NotFound as error:
            raise BusinessFailure(
                f"{error} Look at GENAIOPS_COMMUNICATION_ENDPOINT, and whether the domain of GENAIOPS_MAIL_FROM is "
                "connected to that resource."
            ) from error
        self._watch(operation, mail.recipient)

    def _watch(self, operation: str, recipient: str) -> None:
        """Raises Refused where the service gave the mail up; it took the mail in any case."""
        waited = 0.0
        while True:
            try:
                found = self._status(operation)
            except Refused:
                raise
            except GenAIOpsError as error:
                log.info("%s has taken a mail and does not say what became of it: %s", self._what, error)
                return
            status, pause, reason = found or ("Running", self._pause_s, "")
            if status in ("Failed", "Canceled"):
                raise Refused(f"{self._what} did not send the mail to {visible(recipient)}: {reason or status}.")
            if status == "Succeeded" or waited + pause > self._patience_s:
                return
            time.sleep(pause)
            waited += pause

    def _status(self, operation: str) -> tuple[str, float, str] | None:
        """Status, seconds until the next look, and why it failed; None where there is no such operation."""
        from azure.core.rest import HttpRequest

        from shared.adapters.azure.errors import translated

        # The SDK has no method of its own for this; it puts its endpoint in front.
        request = HttpRequest("GET", f"/emails/operations/{operation}", params={"api-version": API_VERSION})
        with translated(self._what, role=ROLE):
            response = self._made().send_request(request)
            if response.status_code == 404:
                return None
            response.raise_for_status()
            body: dict[str, Any] = response.json()
        error = body.get("error") or {}
        said = ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
        asked = response.headers.get("Retry-After", "")
        return str(body.get("status")), float(asked) if asked.isdigit() else self._pause_s, visible(said)[:500]

    def _made(self) -> EmailClient:
        from azure.communication.email import EmailClient

        with self._lock:
            if self._client is None:
                self._client = EmailClient(
                    self._endpoint,
                    self._credential,
                    api_version=API_VERSION,
                    retry_total=self._retries,
                    retry_status=0,
                    retry_backoff_factor=0.4,
                    permit_redirects=False,
                    connection_timeout=10,
                    read_timeout=30,
                )
            return self._client


def _message(mail: Letter) -> dict[str, Any]:
    return {
        "senderAddress": mail.sender,
        "recipients": {"to": [{"address": mail.recipient}]},
        "content": {"subject": mail.subject, "plainText": mail.text, "html": mail.html},
        "userEngagementTrackingDisabled": True,
    }

"""A mail server on a loopback port, by the package aiosmtpd: it speaks SMTP (RFC 5321), STARTTLS (3207) and AUTH (4954).

It keeps what it takes, and fails as it is told to: refusals for good and for now, and connections that break off.
"""

from __future__ import annotations

import ssl
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword


class MailServer(Controller):
    """`with MailServer() as server:` serves at `server.address`.

    Args:
        tls: offer STARTTLS with this context.
        implicit: speak TLS from the first byte.
        user: who must log in, with which password.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: ssl.SSLContext | None = None,
        user: tuple[str, str] | None = None,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        """Of each mail, the one that the envelope named."""
        self.over_tls: list[bool] = []
        self.answers: dict[str, list[str]] = {}
        """Recipient → what is said to the next mails for it, instead of taking them; the last one stays."""
        self.cut_after_taking = 0
        """How many mails are taken, with the connection cut before that is said."""
        self._user = user
        super().__init__(
            self,
            hostname="127.0.0.1",
            port=0,
            ssl_context=implicit,
            tls_context=tls,
            auth_required=user is not None,
            authenticator=self._authenticate,
            auth_require_tls=user is not None,
            decode_data=False,
        )

    @property
    def address(self) -> str:
        return f"{'smtps' if self.ssl_context else 'smtp'}://127.0.0.1:{self.port}"

    def to(self, recipient: str) -> list[EmailMessage]:
        return [mail for mail, name in zip(self.mails, self.recipients, strict=True) if name == recipient]

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
        super()._trigger_server()

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        given = (data.login.decode(), data.password.decode()) if isinstance(data, LoginPassword) else None
        return AuthResult(success=given == self._user, handled=False)

    # ------------------------------------------------------------------------------------------ hooks of aiosmtpd

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        told = self.answers.get(address)
        if told:
            return told.pop(0) if len(told) > 1 else told[0]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = message_from_bytes(envelope.content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        self.over_tls.append(session.ssl is not None or self.ssl_context is not None)
        if self.cut_after_taking:
            self.cut_after_taking -= 1
            server.transport.abort()
        return "250 taken"

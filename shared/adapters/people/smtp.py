"""Letters by SMTP (RFC 5321), over TLS where the server has it and never without where a password is sent.

One connection a letter: a server that hangs up after one of them takes no other one with it.
"""

from __future__ import annotations

import logging
import smtplib
import ssl
from contextlib import suppress
from typing import Final
from urllib.parse import unquote, urlsplit

from shared.adapters.people.delivery import Refused
from shared.adapters.people.letter import Letter
from shared.errors import BusinessFailure, Throttled, Transient
from shared.ports import Clock
from shared.process_secrets import hidden
from shared.visible import visible

log: Final = logging.getLogger("genaiops.notices")

PAUSE_S: Final = 60.0
"""After a refusal for now (RFC 5321, 4.2.1: 4yz). Servers that greylist take a mail some minutes later."""
_PORTS: Final = {"smtp": 587, "smtps": 465}
"""Submission, and submission over TLS from the first byte (RFC 8314)."""
_SHOWN: Final = 300
"""Characters of a server's answer that an error repeats."""


class SmtpCarrier:
    """The server at `address`, `smtp://[user@]host[:port]` or `smtps://…`.

    Args:
        address: its user may be percent-encoded, as one that is a mail address has to be.
        password: of the user.
        timeout_s: of each wait for the server.
        pause_s: after which a mail that was refused for now is tried again.
    """

    def __init__(
        self, address: str, password: str | None = None, *, timeout_s: float = 15.0, pause_s: float = PAUSE_S
    ) -> None:
        parts = urlsplit(address)
        self._tls = parts.scheme == "smtps"
        self._host = parts.hostname or ""
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = password or ""
        self._timeout_s = timeout_s
        self._pause_s = pause_s
        self._what = f"The mail server {self._host}:{self._port}"

    def send(self, mail: Letter, clock: Clock) -> None:
        """Hand one letter over.

        Raises:
            Refused: the server does not take it for this recipient.
            Throttled: not now.
            Transient: the server cannot be reached, or the connection broke off.
            BusinessFailure: user, password, sender, TLS or certificate are not as they must be.
        """
        message = mail.message(clock.now())
        server: smtplib.SMTP | None = None
        try:
            server = self._connected(mail.sender.rpartition("@")[2])
            server.send_message(message, mail.sender, [mail.recipient])
        except smtplib.SMTPRecipientsRefused as error:
            ((code, said),) = error.recipients.values()
            raise self._answered(code, said, f"does not take mail for {visible(mail.recipient)}", Refused) from error
        except smtplib.SMTPSenderRefused as error:
            what = f"does not take mail from {mail.sender} (GENAIOPS_MAIL_FROM)"
            raise self._answered(error.smtp_code, error.smtp_error, what, BusinessFailure) from error
        except smtplib.SMTPDataError as error:
            what = f"did not take the mail to {visible(mail.recipient)}"
            raise self._answered(error.smtp_code, error.smtp_error, what, Refused) from error
        except smtplib.SMTPNotSupportedError as error:  # SMTPUTF8, for an address outside ASCII
            raise Refused(f"{self._what} cannot send to {visible(mail.recipient)}: {error}") from error
        except (smtplib.SMTPServerDisconnected, OSError) as error:
            raise self._unreachable(error) from error
        finally:
            if server is not None:
                with suppress(smtplib.SMTPException, OSError):  # it has the letter: how it says goodbye does not matter
                    server.quit()
                server.close()

    def _connected(self, own_name: str) -> smtplib.SMTP:
        """A server that is ready for a letter; each refusal on the way has its own reason."""
        context = ssl.create_default_context()
        server: smtplib.SMTP | None = None
        try:
            if self._tls:
                server = smtplib.SMTP_SSL(self._host, self._port, own_name, timeout=self._timeout_s, context=context)
            else:
                server = smtplib.SMTP(self._host, self._port, own_name, timeout=self._timeout_s)
            server.ehlo_or_helo_if_needed()
            if not self._tls:
                self._start_tls(server, context)
            if self._user:
                server.login(self._user, self._password)
        except BaseException as error:
            if server is not None:
                server.close()
            if isinstance(error, smtplib.SMTPAuthenticationError):
                # What the server said may repeat what it was sent.
                why = "did not accept the user of GENAIOPS_SMTP with the password of GENAIOPS_SMTP_PASSWORD"
                raise self._answered(error.smtp_code, b"", why, BusinessFailure) from None
            if isinstance(error, smtplib.SMTPNotSupportedError):
                raise BusinessFailure(
                    f"{self._what} lets nobody log in: leave the user out of GENAIOPS_SMTP, or name another server."
                ) from error
            if isinstance(error, smtplib.SMTPResponseException):
                raise self._answered(error.smtp_code, error.smtp_error, "greets with a refusal", Transient) from error
            raise
        return server

    def _start_tls(self, server: smtplib.SMTP, context: ssl.SSLContext) -> None:
        if server.has_extn("starttls"):
            server.starttls(context=context)
            server.ehlo()
        elif self._user:
            raise BusinessFailure(
                f"{self._what} offers no STARTTLS, and a password is not sent in clear: name it as smtps:// in "
                "GENAIOPS_SMTP if it speaks TLS from the first byte, or leave the user out."
            )
        else:
            log.warning("%s offers no STARTTLS: mails with approval links go there in clear", self._what)

    def _answered(
        self, code: int, said: bytes | str, what: str, refusal: type[BusinessFailure | Transient]
    ) -> BusinessFailure | Transient | Throttled:
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else said
        reason = f"{self._what} {what} ({code}{' ' if text else ''}{hidden(visible(' '.join(text.split())))[:_SHOWN]})."
        return Throttled(reason, self._pause_s) if 400 <= code < 500 else refusal(reason)

    def _unreachable(self, error: Exception) -> BusinessFailure | Transient:
        if isinstance(error, ssl.SSLCertVerificationError):
            return BusinessFailure(
                f"{self._what} has a certificate that is not trusted here ({error.verify_message}): name it in "
                "GENAIOPS_SMTP as the certificate does, or let SSL_CERT_FILE name its authority."
            )
        return Transient(f"{self._what} cannot be reached: {hidden(str(error)) or type(error).__name__}")

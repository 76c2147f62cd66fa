"""What carries letters: SMTP with its passwords and certificates, and Communication Services by the real SDK."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from shared.adapters.azure import credential
from shared.adapters.azure.lazy_credential import LazyCredential
from shared.adapters.memory.clock import ManualClock
from shared.adapters.people.communication import CommunicationCarrier
from shared.adapters.people.delivery import Refused
from shared.adapters.people.letter import Letter
from shared.adapters.people.smtp import SmtpCarrier
from shared.errors import BusinessFailure, Throttled, Transient
from tests.servers.certificates import Authority
from tests.servers.identity import IdentityEndpoint
from tests.servers.mail.communication import CommunicationServices
from tests.servers.mail.smtp import MailServer

PASSWORD = "planted-9-password"
LETTER = Letter("genaiops@example.org", "maria@example.org", "Approve", "text", "<p>html</p>", "ab" * 32, "shop-1")
CLOCK = ManualClock()


def with_user(server: MailServer) -> str:
    return server.address.replace("://", "://app%40example.org@")


@pytest.mark.parametrize("implicit", [False, True])
def test_a_user_logs_in_over_tls(authority: Authority, implicit: bool) -> None:
    tls = authority.certificate().server_context()
    user = ("app@example.org", PASSWORD)
    offered = {"implicit": tls} if implicit else {"tls": tls}
    if implicit:
        with MailServer(**offered) as server:
            SmtpCarrier(server.address, timeout_s=5).send(LETTER, CLOCK)
            assert server.over_tls == [True]
        return
    with MailServer(user=user, **offered) as server:
        SmtpCarrier(with_user(server), PASSWORD, timeout_s=5).send(LETTER, CLOCK)
        assert server.over_tls == [True]


def test_a_wrong_password_is_a_failure_that_names_the_settings_and_no_password(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    tls = authority.certificate().server_context()
    with MailServer(tls=tls, user=("app@example.org", "another")) as server:
        with pytest.raises(BusinessFailure, match="GENAIOPS_SMTP_PASSWORD") as raised:
            SmtpCarrier(with_user(server), PASSWORD, timeout_s=5).send(LETTER, CLOCK)
        assert server.mails == []
    assert PASSWORD not in f"{raised.value} {caplog.text}"


def test_no_password_is_sent_to_a_server_without_starttls() -> None:
    with MailServer() as server:
        with pytest.raises(BusinessFailure, match="offers no STARTTLS"):
            SmtpCarrier(with_user(server), PASSWORD, timeout_s=5).send(LETTER, CLOCK)
        SmtpCarrier(server.address, timeout_s=5).send(LETTER, CLOCK)
        assert server.over_tls == [False]


def test_a_certificate_of_another_name_is_refused(authority: Authority) -> None:
    tls = authority.certificate("mail.example").server_context()
    with MailServer(tls=tls) as server:
        with pytest.raises(BusinessFailure, match="not trusted here"):
            SmtpCarrier(server.address, timeout_s=5).send(LETTER, CLOCK)
        assert server.mails == []


def test_a_server_that_is_not_there_is_a_passing_fault() -> None:
    with MailServer() as server:
        address = server.address
    with pytest.raises(Transient, match="cannot be reached"):
        SmtpCarrier(address, timeout_s=5).send(LETTER, CLOCK)


@pytest.fixture
def service(authority: Authority, identity: IdentityEndpoint) -> Iterator[CommunicationServices]:
    credential.forget()
    with CommunicationServices(authority.certificate().server_context()) as service:
        yield service
    credential.forget()


def carrier(service: CommunicationServices) -> CommunicationCarrier:
    identity = LazyCredential(lambda: credential.of_identity(None))
    return CommunicationCarrier(service.url, identity, retries=0, patience_s=0.2, pause_s=0.01)


def test_communication_services_get_a_letter_once_as_the_apps_identity(service: CommunicationServices) -> None:
    for _ in range(2):
        carrier(service).send(LETTER, CLOCK)
    ((operation, sent),) = service.sent.items()
    assert operation.replace("-", "") == LETTER.digest[:32]
    assert sent["recipients"] == {"to": [{"address": LETTER.recipient}]}
    assert sent["content"] == {"subject": "Approve", "plainText": "text", "html": "<p>html</p>"}
    assert sent["userEngagementTrackingDisabled"] is True
    assert len(service.authorizations) == 1
    assert service.authorizations[0].startswith("Bearer ")


def test_a_suppressed_address_is_refused(service: CommunicationServices) -> None:
    service.suppressed = {LETTER.recipient}
    with pytest.raises(Refused, match="EmailDroppedAllRecipientsSuppressed"):
        carrier(service).send(LETTER, CLOCK)


@pytest.mark.parametrize(
    ("status", "headers", "family", "said"),
    [
        (429, {"Retry-After": "37"}, Throttled, "pause"),
        (503, {}, Transient, "not well"),
        (403, {}, BusinessFailure, "Communication and Email Service Owner"),
        (404, {}, BusinessFailure, "GENAIOPS_MAIL_FROM"),
    ],
)
def test_what_the_service_answers_says_what_happens_next(
    service: CommunicationServices, status: int, headers: dict[str, str], family: type[Exception], said: str
) -> None:
    service.faults = [(status, headers)]
    with pytest.raises(family, match=said):
        carrier(service).send(LETTER, CLOCK)
    carrier(service).send(LETTER, CLOCK)
    assert len(service.sent) == 1

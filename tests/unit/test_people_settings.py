"""Settings of what reaches people: what belongs together is asked for together, and no secret is quoted."""

from __future__ import annotations

import re

import pytest

from shared import names, people_settings
from shared.people_settings import PeopleSettings

MAIL = {"GENAIOPS_MAIL_FROM": "genaiops@example.org"}


def read(**variables: str) -> tuple[PeopleSettings, list[str]]:
    wrong: list[str] = []
    return people_settings.read(variables, wrong), wrong


def test_nothing_has_to_be_set() -> None:
    assert read() == (PeopleSettings(), [])


def test_a_mail_server_with_its_user_and_a_channel_are_read() -> None:
    people, wrong = read(
        **MAIL,
        GENAIOPS_SMTP="smtp://app%40example.org@smtp.example.org:587",
        GENAIOPS_SMTP_PASSWORD="a password",
        GENAIOPS_ALERT_MAIL="ops@example.org, lead@example.org",
        GENAIOPS_WEBHOOK_URL="https://flows.example/workflows/1?sig=planted",
    )
    assert wrong == []
    assert people.alert_mail == ("ops@example.org", "lead@example.org")
    assert people.smtp == "smtp://app%40example.org@smtp.example.org:587"
    assert people.smtp_password == "a password"
    assert "planted" not in repr(people)
    assert "a password" not in repr(people)


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        (MAIL, "neither GENAIOPS_SMTP nor GENAIOPS_COMMUNICATION_ENDPOINT"),
        ({"GENAIOPS_SMTP": "smtp://mail.example"}, "GENAIOPS_MAIL_FROM is not"),
        ({"GENAIOPS_MAIL_FROM": "a@b@c", "GENAIOPS_SMTP": "smtp://mail.example"}, "must be a mail address"),
        ({**MAIL, "GENAIOPS_SMTP": "mail.example"}, "it must be smtp://"),
        ({**MAIL, "GENAIOPS_SMTP": "smtp://mail.example:99999"}, "from 1 to 65535"),
        ({**MAIL, "GENAIOPS_SMTP": "smtp://app@mail.example"}, "GENAIOPS_SMTP_PASSWORD is not set"),
        ({**MAIL, "GENAIOPS_SMTP": "smtp://mail.example", "GENAIOPS_SMTP_PASSWORD": "x"}, "names no user"),
        (
            {**MAIL, "GENAIOPS_SMTP": "smtp://m.example", "GENAIOPS_COMMUNICATION_ENDPOINT": "https://c.example"},
            "mail goes one way",
        ),
        ({"GENAIOPS_ALERT_MAIL": "ops"}, "mail addresses by commas"),
        ({"GENAIOPS_WEBHOOK_URL": "http://flows.example/?sig=planted"}, "https address of a workflow"),
        ({"GENAIOPS_WEBHOOK_URL": "@Microsoft.KeyVault(SecretUri=x)"}, "Key Vault reference that was not resolved"),
        ({"GENAIOPS_SMTP_PASSWORD": "@Microsoft.KeyVault(SecretUri=x)"}, "Key Vault reference that was not resolved"),
    ],
)
def test_what_is_wrong_is_told_without_a_secret(variables: dict[str, str], told: str) -> None:
    _, wrong = read(**variables)
    assert any(told in text for text in wrong), wrong
    assert "planted" not in " ".join(wrong)


@pytest.mark.parametrize(
    "address", ["(x)maria@example.com", "maria(x)@example.com", "a b@example.com", "a,b@example.com"]
)
def test_a_mail_address_holds_no_comment_so_that_one_mailbox_has_one_name(address: str) -> None:
    assert re.fullmatch(names.MAIL_ADDRESS, address) is None
    assert re.fullmatch(names.MAIL_ADDRESS, "maria.o'neil+flows@mail.example.com")

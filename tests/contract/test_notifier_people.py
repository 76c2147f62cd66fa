"""Notices by mail and card: each recipient once, with their own link alone; what one meets keeps no other one waiting."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from markdown_it import MarkdownIt

from shared.adapters.local.notifier import ConsoleNotifier
from shared.adapters.memory.blobs import MemoryBlobStore
from shared.adapters.memory.clock import ManualClock
from shared.adapters.people.card import LARGEST, CardChannel
from shared.adapters.people.mail import MailChannel
from shared.adapters.people.notifier import PeopleNotifier
from shared.adapters.people.smtp import SmtpCarrier
from shared.errors import BusinessFailure, Throttled, Transient
from shared.ports import Notice, NoticeKind
from tests.servers.certificates import Authority
from tests.servers.mail.smtp import MailServer
from tests.servers.mail.webhook import SIGNATURE, Webhook

MARIA, JONAS = "maria@example.org", "jonas@example.org"
LINKS = {
    MARIA: "https://app.example/api/approvals/token-of-maria",
    JONAS: "https://app.example/api/approvals/token-of-jonas",
}
NOTICE = Notice(
    "shop-1/approval",
    NoticeKind.APPROVAL,
    "shop-1",
    "Approve the deployment of shop version 3",
    "- gates: done. All **4** gates are met.",
    (MARIA, JONAS),
    links=LINKS,
    facts={"accuracy": "0.88"},
    deadline=datetime(2026, 11, 24, 15, 25, tzinfo=UTC),
)


class Stage:
    """A notifier on its servers, as the azure profile has it; `send` may be repeated by another process."""

    def __init__(self, mail: MailServer, webhook: Webhook) -> None:
        self.mail, self.webhook = mail, webhook
        self.blobs, self.out = MemoryBlobStore(), io.StringIO()

    def send(self, notice: Notice) -> None:
        clock = ManualClock()
        carrier = SmtpCarrier(self.mail.address, timeout_s=5)
        channels = [
            MailChannel(carrier, "genaiops@example.org", ("ops@example.org",), clock),
            CardChannel(self.webhook.address, "Each approver has the link in a mail of their own.", timeout_s=5),
        ]
        console = ConsoleNotifier(self.blobs, self.out, personal_links=False)
        PeopleNotifier(console, channels, self.blobs, clock, console_is_read=False).send(notice)

    @property
    def kept(self) -> str:
        return "".join(self.blobs.read("notices", info.name).decode() for info in self.blobs.list("notices"))


@pytest.fixture
def stage(authority: Authority) -> Iterator[Stage]:
    tls = authority.certificate().server_context()
    with MailServer(tls=tls) as mail, Webhook(tls) as webhook:
        yield Stage(mail, webhook)


def parts(stage: Stage, recipient: str) -> tuple[str, str]:
    (mail,) = stage.mail.to(recipient)
    plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert plain is not None
    assert html is not None
    return plain.get_content(), html.get_content()


def test_each_approver_gets_one_mail_with_their_own_link_however_often_it_is_sent(stage: Stage) -> None:
    for _ in range(3):
        stage.send(NOTICE)
    assert sorted(stage.mail.recipients) == [JONAS, MARIA]
    assert stage.mail.over_tls == [True, True]
    for part in parts(stage, MARIA):
        assert LINKS[MARIA] in part
        assert LINKS[JONAS] not in part
        assert "Open the approval" in part
        assert "24 Nov 2026, 15:25 UTC" in part
        assert "No answer counts as a rejection" in part
        assert "0.88" in part
    assert "<strong>4</strong>" in parts(stage, MARIA)[1]
    (mail,) = stage.mail.to(MARIA)
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Subject"] == NOTICE.title
    assert len(stage.webhook.posted) == 1


def test_in_azure_no_link_of_an_approver_is_printed_or_kept_or_posted(stage: Stage) -> None:
    stage.send(NOTICE)
    for told in (stage.out.getvalue(), stage.kept, json.dumps(stage.webhook.posted)):
        assert "Approve the deployment" in told or MARIA in told
        assert "token-of" not in told


def test_a_card_is_an_adaptive_card_with_facts_and_leads_to_the_page_that_all_may_open(stage: Stage) -> None:
    stage.send(NOTICE)
    stage.send(replace(NOTICE, key="shop-1/reminder", kind=NoticeKind.REMINDER, open_link="https://app.example/open"))
    without, with_link = [posted["attachments"][0] for posted in stage.webhook.posted]
    assert without["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert without["content"]["type"] == "AdaptiveCard"
    assert {"title": "accuracy", "value": "0.88"} in without["content"]["body"][1]["facts"]
    assert "actions" not in without["content"]
    assert "in a mail of their own" in without["content"]["body"][-1]["text"]
    assert with_link["content"]["actions"][0]["url"] == "https://app.example/open"
    assert with_link["content"]["body"][0]["text"].startswith("Reminder: ")


def test_a_card_stays_within_what_teams_takes_and_repeats_no_personal_link_of_its_text(stage: Stage) -> None:
    stage.send(replace(NOTICE, text=f"{LINKS[MARIA]} " + "é" * 60_000))
    (posted,) = stage.webhook.posted
    assert len(json.dumps(posted, ensure_ascii=False).encode()) <= LARGEST
    assert "token-of" not in json.dumps(posted)


def test_nothing_that_a_requester_wrote_becomes_a_link_of_a_card(stage: Stage) -> None:
    bait = "[Open the approval](https://evil.example)"
    stage.send(replace(NOTICE, title=bait, facts={"Branch": bait, bait: "x"}, recipients=(bait, JONAS)))
    (posted,) = stage.webhook.posted
    title, facts = posted["attachments"][0]["content"]["body"][:2]
    texts = [title["text"], *(part for fact in facts["facts"] for part in fact.values())]
    assert sum("evil.example" in text for text in texts) == 4
    assert not any("<a" in MarkdownIt().render(text) for text in texts)


def test_hostile_text_stays_text_in_a_mail_and_adds_no_header(stage: Stage) -> None:
    text = '<img src="https://evil.example/x.png"> ![i](https://evil.example/y.png) [l](javascript:alert(1))'
    stage.send(replace(NOTICE, title="Hi\r\nBcc: eve@example.org\r\n\r\nbody", text=text))
    html = parts(stage, MARIA)[1]
    assert "<img" not in html
    assert 'href="javascript' not in html
    (mail,) = stage.mail.to(MARIA)
    assert mail["Bcc"] is None
    assert mail["Subject"] == "Hi Bcc: eve@example.org body"
    assert "eve@example.org" not in stage.mail.recipients


def test_a_refused_recipient_keeps_nobody_else_from_their_mail_and_is_not_tried_again(stage: Stage) -> None:
    stage.mail.answers[MARIA] = ["550 no such mailbox", "250 OK"]
    stage.send(NOTICE)
    stage.send(NOTICE)
    assert stage.mail.recipients == [JONAS]
    assert "no such mailbox" in stage.kept


def test_a_mailbox_that_is_busy_is_tried_again_and_the_others_get_nothing_twice(stage: Stage) -> None:
    stage.mail.answers[MARIA] = ["450 greylisted", ""]
    with pytest.raises(Throttled, match="greylisted"):
        stage.send(NOTICE)
    assert stage.mail.recipients == [JONAS]
    stage.mail.answers.clear()
    stage.send(NOTICE)
    assert stage.mail.recipients == [JONAS, MARIA]
    assert len(stage.webhook.posted) == 1


def test_a_connection_that_is_cut_after_the_mail_was_taken_repeats_it_with_the_same_id(stage: Stage) -> None:
    stage.mail.cut_after_taking = 1
    with pytest.raises(Transient, match="cannot be reached"):
        stage.send(NOTICE)
    stage.send(NOTICE)
    first, second = stage.mail.to(MARIA)
    assert first["Message-ID"] == second["Message-ID"]
    assert len(stage.mail.to(JONAS)) == 1


def test_a_crash_before_the_record_sends_again_with_the_same_id_and_never_not_at_all(stage: Stage) -> None:
    stage.send(NOTICE)
    stage.blobs = MemoryBlobStore()  # what a process that died had not recorded
    stage.send(NOTICE)
    first, second = stage.mail.to(MARIA)
    assert first["Message-ID"] == second["Message-ID"]


def test_nobody_reached_by_any_channel_is_a_failure_that_says_why(stage: Stage) -> None:
    stage.mail.answers |= {MARIA: ["550 gone"], JONAS: ["550 gone"]}
    for _ in range(2):
        with pytest.raises(BusinessFailure, match=r"Nobody could be told.*550 gone"):
            stage.send(NOTICE)
    stage.send(replace(NOTICE, open_link="https://app.example/open"))  # the card leads there


def test_alerts_go_to_their_addresses_and_results_to_the_console_alone(stage: Stage) -> None:
    stage.send(
        replace(NOTICE, key="shop-1/alert", kind=NoticeKind.ALERT, recipients=(), links={"Report": "https://r.example"})
    )
    stage.send(replace(NOTICE, key="shop-1/result", kind=NoticeKind.RESULT))
    assert stage.mail.recipients == ["ops@example.org"]
    assert "https://r.example" in parts(stage, "ops@example.org")[0]
    assert len(stage.webhook.posted) == 1
    assert "[result]" in stage.out.getvalue()


@pytest.mark.parametrize(
    ("status", "family"), [(429, Throttled), (503, Transient), (401, BusinessFailure), (302, BusinessFailure)]
)
def test_the_webhooks_address_is_in_no_error_and_no_log(
    stage: Stage, status: int, family: type[Exception], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    stage.mail.answers |= {MARIA: ["550 gone"], JONAS: ["550 gone"]}
    stage.webhook.faults = [(status, {"Retry-After": "7", "Location": stage.webhook.address})]
    with pytest.raises(family) as raised:
        stage.send(NOTICE)
    for told in (str(raised.value), caplog.text, stage.kept, stage.out.getvalue()):
        assert SIGNATURE not in told
        assert "planted-path" not in told
    assert stage.webhook.posted == []


def test_a_failed_card_keeps_no_mail_back_and_is_posted_later(stage: Stage) -> None:
    stage.webhook.faults = [(503, {})]
    with pytest.raises(Transient):
        stage.send(NOTICE)
    stage.send(NOTICE)
    assert sorted(stage.mail.recipients) == [JONAS, MARIA]
    assert len(stage.webhook.posted) == 1

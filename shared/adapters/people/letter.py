"""A letter: what a mail says, as text and as HTML, made from a notice; and the mail with its headers.

A notice's text is Markdown that may quote data and models: raw HTML and images in it stay text, and the page around it
loads nothing and tracks nobody.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from shared.adapters.people.delivery import ASKS, Delivery, Refused, headline
from shared.pages.words import when
from shared.visible import visible

if TYPE_CHECKING:
    from jinja2 import Template
    from markdown_it import MarkdownIt

_TEXT_LIMIT: Final = 20_000
"""Characters of a notice's text: mail programs cut off longer mails, with what stands at their end."""
_SUBJECT_LIMIT: Final = 200
_TO_OPEN: Final = "Open the approval"
_FOOTNOTE: Final = (
    "The link is yours alone: whoever has it can answer in your name, so do not forward this mail. "
    "Opening it decides nothing; you answer on the page."
)
_OPEN_NOTE: Final = "The page asks you to sign in. Opening it decides nothing; you answer there."
_STYLES: Final = {
    "table_open": "border-collapse:collapse;margin:0 0 12px",
    "th_open": "text-align:left;padding:4px 12px 4px 0;border-bottom:2px solid #dde2ea",
    "td_open": "text-align:left;vertical-align:top;padding:4px 12px 4px 0;border-bottom:1px solid #dde2ea",
    "paragraph_open": "margin:0 0 12px",
    "bullet_list_open": "margin:0 0 12px;padding-left:20px",
    "link_open": "color:#1f53b5",
}
"""Mail programs drop style sheets: what Markdown makes carries its style itself."""


@dataclass(frozen=True)
class Letter:
    """A mail to one person. `text` and `html` hold that person's link."""

    sender: str
    recipient: str
    subject: str
    text: str = field(repr=False)
    html: str = field(repr=False)
    digest: str
    """Names the letter: a repeated one is known by it."""
    chain: str

    def message(self, at: datetime) -> EmailMessage:
        """The mail with its headers. Raises Refused for an address that no mail can bear."""
        domain = self.sender.rpartition("@")[2]
        made = EmailMessage(policy=SMTP)
        try:
            made["To"] = Address(addr_spec=self.recipient)
            made["From"] = Address("GenAIOps", addr_spec=self.sender)
        except (ValueError, IndexError, MessageError) as error:
            raise Refused(f"{visible(self.recipient)} or {self.sender} is no mail address: {error}") from error
        made["Subject"] = self.subject
        made["Date"] = format_datetime(at)
        # A letter that is sent again, after a crash, has the same id: mail systems fold the two into one.
        made["Message-ID"] = f"<{self.digest[:40]}@{domain}>"
        made["References"] = f"<{self.chain}@{domain}>"  # one conversation a chain
        made["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic replies, please
        made["X-Auto-Response-Suppress"] = "All"  # the same for Exchange
        made.set_content(self.text, cte="quoted-printable")
        made.add_alternative(self.html, subtype="html", cte="quoted-printable")
        return made


def write(delivery: Delivery, sender: str) -> Letter:
    """The letter that this recipient gets."""
    notice = delivery.notice
    title = " ".join(visible(headline(notice)).split())
    body = visible(notice.text)
    if len(body) > _TEXT_LIMIT:
        body = f"{body[:_TEXT_LIMIT]}…\n\nThe rest is in the report."
    links = {} if notice.kind in ASKS else dict(notice.links)
    button = _TO_OPEN if notice.kind in ASKS and delivery.link else ""
    until = f"Answer until {when(notice.deadline)}. No answer counts as a rejection." if notice.deadline else ""
    note = ""
    if button:
        note = _OPEN_NOTE if delivery.link == notice.open_link else _FOOTNOTE
    facts = {" ".join(visible(name).split()): " ".join(visible(value).split()) for name, value in notice.facts.items()}
    lines = [title, ""]
    lines += [f"{button}: {delivery.link}"] if button else []
    lines += [until, ""] if until else [""]
    lines += [f"{name}: {value}" for name, value in facts.items()] + ([""] if facts else [])
    lines += [body, ""]
    lines += [f"{label}: {address}" for label, address in links.items()]
    lines += [note, "", f"Chain {notice.chain}"]
    html = _template().render(
        title=title,
        button=button,
        link=delivery.link,
        until=until,
        facts=facts,
        body=_html_of(body),
        links=links,
        note=note,
        chain=notice.chain,
    )
    return Letter(
        sender=sender,
        recipient=delivery.recipient,
        subject=title[:_SUBJECT_LIMIT],
        text="\n".join(lines).strip() + "\n",
        html=html,
        digest=delivery.digest,
        chain=notice.chain,
    )


def _html_of(text: str) -> str:
    markdown = _markdown()
    tokens = markdown.parse(text)
    for token in [*tokens, *(child for outer in tokens for child in outer.children or ())]:
        if token.type in _STYLES:
            token.attrSet("style", _STYLES[token.type])
    rendered: str = markdown.renderer.render(tokens, markdown.options, {})
    return rendered


@cache
def _markdown() -> MarkdownIt:
    from markdown_it import MarkdownIt

    # `html` off: tags are text. `image` off: an image from elsewhere would tell its server who reads the mail.
    return MarkdownIt("commonmark", {"html": False}).enable("table").disable("image")


@cache
def _template() -> Template:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    folder = Path(__file__).parent / "templates"
    templates = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return templates.get_template("mail.html")

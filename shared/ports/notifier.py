"""Notifier: tells people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol


class NoticeKind(StrEnum):
    """What people are told."""

    APPROVAL = "approval"
    REMINDER = "reminder"
    COMMENT = "comment"
    ALERT = "alert"
    RESULT = "result"
    PROGRESS = "progress"


@dataclass(frozen=True)
class Notice:
    """One notice to people. `key` names it: the same key again replaces or repeats the same notice, never adds one."""

    key: str
    kind: NoticeKind
    chain: str
    title: str
    text: str
    """Markdown."""
    recipients: tuple[str, ...] = ()
    """Of an approval, the approvers: a mail address each, or a name that no mail reaches."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Label → address; for an approval, recipient → that recipient's own link, which nobody else may see."""
    open_link: str = ""
    """For an approval, where sign-in is configured: the page for whoever is an approver, which many may see."""
    facts: Mapping[str, str] = field(default_factory=dict)
    """Label → short value: what a card shows beside the text."""
    succeeded: bool | None = None
    deadline: datetime | None = None
    """Of an approval, until when an answer counts; silence is a rejection. Each channel says so in its own words."""
    brief: str = ""
    """The text in a few lines, for where there is no room for tables; empty: the text is short itself."""


class Notifier(Protocol):
    """Tells people."""

    def send(self, notice: Notice) -> None:
        """Deliver. Raises Throttled or Transient to be called again, BusinessFailure where it never can be."""
        ...

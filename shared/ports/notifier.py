"""Notifier: tells people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    recipients: tuple[str, ...] = ()
    links: Mapping[str, str] = field(default_factory=dict)
    """Label → address; for an approval, recipient → that recipient's own link."""
    succeeded: bool | None = None


class Notifier(Protocol):
    """Tells people."""

    def send(self, notice: Notice) -> None:
        """Deliver. Raises Throttled or Transient to be called again, BusinessFailure where it never can be."""
        ...

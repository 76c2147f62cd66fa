"""A delivery: one notice on its way to one recipient by one channel; and what a channel does with it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, Protocol

from shared.errors import BusinessFailure
from shared.ports import Notice, NoticeKind

ASKS: Final = frozenset({NoticeKind.APPROVAL, NoticeKind.REMINDER})
"""Notices that ask approvers for an answer."""


class Refused(BusinessFailure):
    """The recipient can never be reached with this notice, whatever is tried again; others may be."""


@dataclass(frozen=True)
class Delivery:
    """What one recipient gets."""

    channel: str
    recipient: str
    """A mail address, or the name of a place that many read."""
    notice: Notice
    link: str = field(default="", repr=False)
    """Where this recipient answers."""

    @property
    def lets_answer(self) -> bool:
        """Whether the recipient can do what the notice asks for."""
        return self.notice.kind not in ASKS or bool(self.link)

    @cached_property
    def digest(self) -> str:
        """Names the delivery: the same one in every process, another one if the recipient would read something else."""
        notice = self.notice
        says = [
            self.channel,
            self.recipient,
            self.link,
            notice.key,
            notice.kind,
            notice.chain,
            notice.title,
            notice.text,
        ]
        also = [sorted(notice.facts.items()), str(notice.deadline), notice.succeeded]
        if notice.kind not in ASKS:
            also.append(sorted(notice.links.items()))
        return hashlib.sha256(json.dumps([says, also]).encode()).hexdigest()


class Channel(Protocol):
    """A way to people."""

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """Whom this channel tells of the notice, and with which link."""
        ...

    def deliver(self, delivery: Delivery) -> None:
        """Send it.

        Raises:
            Refused: this recipient takes it under no circumstances.
            Throttled, Transient: it may be taken later.
            BusinessFailure: the channel itself does not work as it is set up.
        """
        ...


def headline(notice: Notice) -> str:
    """The notice's title in one line."""
    return f"Reminder: {notice.title}" if notice.kind is NoticeKind.REMINDER else notice.title

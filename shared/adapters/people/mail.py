"""Mail: who gets a letter. Approvers get their own link each; alerts go to the addresses of `GENAIOPS_ALERT_MAIL`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Protocol

from shared.adapters.people import letter
from shared.adapters.people.delivery import Delivery
from shared.names import MAIL_ADDRESS
from shared.ports import Clock, Notice, NoticeKind

CHANNEL: Final = "mail"


class Carrier(Protocol):
    """What takes letters away."""

    def send(self, mail: letter.Letter, clock: Clock) -> None:
        """Hand it over. Raises as `Channel.deliver` does."""
        ...


class MailChannel:
    """Letters from `sender`."""

    def __init__(self, carrier: Carrier, sender: str, alert_mail: Sequence[str], clock: Clock) -> None:
        self._carrier = carrier
        self._sender = sender
        self._alert_mail = alert_mail
        self._clock = clock

    def deliveries(self, notice: Notice) -> list[Delivery]:
        """One letter to each address; a name that is no address is reached by other channels."""
        match notice.kind:
            case NoticeKind.APPROVAL | NoticeKind.REMINDER:
                addresses = [name for name in dict.fromkeys(notice.recipients) if re.fullmatch(MAIL_ADDRESS, name)]
                # The own link alone: a letter never holds another one's.
                return [
                    Delivery(CHANNEL, address, notice, notice.links.get(address) or notice.open_link)
                    for address in addresses
                ]
            case NoticeKind.ALERT:
                return [Delivery(CHANNEL, address, notice) for address in dict.fromkeys(self._alert_mail)]
            case NoticeKind.COMMENT | NoticeKind.RESULT | NoticeKind.PROGRESS:
                return []

    def deliver(self, delivery: Delivery) -> None:
        """Write the letter and hand it to the carrier."""
        self._carrier.send(letter.write(delivery, self._sender), self._clock)

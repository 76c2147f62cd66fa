"""How notices reach people: the console, mails (by SMTP or Azure Communication Services) and cards in a channel.

`notifier.py` hands each notice to every channel and each recipient once; `mail.py` and `card.py` are the channels that
leave this machine, `letter.py` is what a mail says and looks like, `smtp.py` and `communication.py` carry it,
`delivery.py` is what all of them share.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from shared.adapters.people.mail import Carrier
    from shared.adapters.people.notifier import PeopleNotifier
    from shared.ports import BlobStore, Clock
    from shared.settings import Settings


def people_notifier(settings: Settings, blobs: BlobStore, clock: Clock, out: TextIO) -> PeopleNotifier:
    """The notifier that these settings ask for. Nothing is connected before the first notice."""
    from shared.adapters.local.notifier import ConsoleNotifier
    from shared.adapters.people.card import CardChannel
    from shared.adapters.people.delivery import Channel
    from shared.adapters.people.mail import MailChannel
    from shared.adapters.people.notifier import PeopleNotifier

    people = settings.people
    on_console = settings.profile == "local"
    carrier = _carrier(settings)
    channels: list[Channel] = []
    if carrier is not None and people.mail_from:
        channels.append(MailChannel(carrier, people.mail_from, people.alert_mail, clock))
    if people.webhook:
        if carrier is not None:
            elsewhere = "Each approver has the link in a mail of their own."
        elif on_console:
            elsewhere = "The approvers' links are on the dashboard."
        else:
            elsewhere = "Approvers answer with `python -m genaiops approve`."
        channels.append(CardChannel(people.webhook, elsewhere))
    console = ConsoleNotifier(blobs, out, personal_links=on_console)
    return PeopleNotifier(console, channels, blobs, clock, console_is_read=on_console)


def _carrier(settings: Settings) -> Carrier | None:
    people = settings.people
    if people.smtp:
        from shared.adapters.people.smtp import SmtpCarrier

        return SmtpCarrier(people.smtp, people.smtp_password)
    if people.communication:
        from shared.adapters.azure import credential
        from shared.adapters.azure.lazy_credential import LazyCredential
        from shared.adapters.people.communication import CommunicationCarrier

        client_id = settings.azure.client_id if settings.azure else os.environ.get("AZURE_CLIENT_ID")
        identity = LazyCredential(lambda: credential.of_identity(client_id))
        return CommunicationCarrier(people.communication, identity)
    return None

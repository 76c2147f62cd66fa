"""The notifier of an installation: each notice goes to the console, and once to every recipient of every channel.

A delivery is recorded in a blob after it was made, so that a command that comes again repeats what is missing and
nothing else; a crash between the two sends it twice, with the same message id, and never not at all.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from shared.adapters.local.notifier import CONTAINER, ConsoleNotifier
from shared.adapters.people.delivery import ASKS, Channel, Delivery, Refused
from shared.errors import BusinessFailure, Conflict, NotFound, Throttled, Transient
from shared.ports import BlobStore, Clock, Notice
from shared.process_secrets import hidden
from shared.visible import for_terminal

log: Final = logging.getLogger("genaiops.notices")


class _Outcome(StrEnum):
    """What became of a delivery for good."""

    SENT = "sent"
    REFUSED = "refused"


class PeopleNotifier:
    """Tells people by all channels.

    Args:
        console: prints notices, and keeps them.
        channels: each with its own recipients.
        blobs: where deliveries are recorded, beside the notices.
        clock: dates the records.
        console_is_read: whether whoever is asked reads the console, as on a laptop.
    """

    def __init__(
        self,
        console: ConsoleNotifier,
        channels: Sequence[Channel],
        blobs: BlobStore,
        clock: Clock,
        *,
        console_is_read: bool,
    ) -> None:
        self._console = console
        self._channels = channels
        self._blobs = blobs
        self._clock = clock
        self._console_is_read = console_is_read

    def send(self, notice: Notice) -> None:
        """Tell everybody who was not told yet; what one channel or recipient meets keeps no other one waiting.

        Raises:
            Throttled, Transient: somebody may be reached later; the others have been told.
            BusinessFailure: nobody can be reached.
        """
        passing: list[Exception] = []
        refusals: list[str] = []
        reached = self._console_is_read
        try:
            self._console.send(notice)
        except Exception as error:
            passing.append(error)
        deliveries = [(channel, made) for channel in self._channels for made in channel.deliveries(notice)]
        for channel, delivery in deliveries:
            try:
                refusal = self._delivered(channel, delivery)
            except BusinessFailure as error:
                refusal = str(error)
            except Exception as error:  # also what nobody expected: the others are told first
                passing.append(error)
                continue
            if refusal:
                refusals.append(refusal)
                log.warning("%s: %s", notice.key, for_terminal(hidden(refusal)))
            else:
                reached = reached or delivery.lets_answer
        if passing:
            _raise(passing)
        if reached:
            return
        if refusals:
            raise BusinessFailure("Nobody could be told: " + " ".join(dict.fromkeys(refusals)))
        if notice.kind in ASKS and not notice.open_link:
            log.warning(
                "%s: none of the approvers can be told (%s): set GENAIOPS_MAIL_FROM with "
                "GENAIOPS_COMMUNICATION_ENDPOINT or GENAIOPS_SMTP, and "
                "name approvers by their mail addresses; until then they answer with "
                "`python -m genaiops approve %s`",
                notice.key,
                for_terminal(", ".join(notice.recipients)),
                notice.chain,
            )

    def _delivered(self, channel: Channel, delivery: Delivery) -> str:
        """Why it was refused, now or earlier; empty where the recipient has it."""
        name = f"{delivery.notice.key}/{delivery.channel}-{delivery.digest[:32]}.json"
        try:
            known = json.loads(self._blobs.read(CONTAINER, name))
        except NotFound:
            known = None
        if known is not None:
            return str(known["reason"]) if known["outcome"] == _Outcome.REFUSED else ""
        outcome, reason = _Outcome.SENT, ""
        try:
            channel.deliver(delivery)
        except Refused as error:
            outcome, reason = _Outcome.REFUSED, hidden(str(error))
        record = {
            "channel": delivery.channel,
            "recipient": delivery.recipient,
            "at": self._clock.now().isoformat(),
            "outcome": outcome,
            "reason": reason,
        }
        self._blobs.write(CONTAINER, name, json.dumps(record).encode())
        return reason


def _raise(errors: Sequence[Exception]) -> None:
    """One error for all: what nobody expected first; then the longest pause that a service asked for."""
    for error in errors:
        if not isinstance(error, Throttled | Transient | Conflict):
            raise error
    pauses = [error for error in errors if isinstance(error, Throttled)]
    raise max(pauses, key=lambda error: error.retry_after) if pauses else errors[0]

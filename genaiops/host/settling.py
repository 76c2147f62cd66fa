"""The locks of messages and sessions that functions work on, from the receipt until each is completed or given back.

A message that failed keeps its lock while it is held back, and a session waits with its failed message, or the next one
of it would come first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from genaiops.host.held_back import HeldBack, wait_after
from genaiops.host.renewals import Renewals
from shared.errors import Conflict, GenAIOpsError
from shared.ports import Clock, QueueReceiver, ReceivedMessage

log: Final = logging.getLogger("genaiops.host")


class Settling:
    """Renews, completes, holds back and gives back; `on_given_back` is called when there may be something to take."""

    def __init__(
        self,
        receiver: QueueReceiver,
        clock: Clock,
        longest_renewal: timedelta,
        first_wait: float,
        on_given_back: Callable[[], None],
    ) -> None:
        self._receiver, self._clock = receiver, clock
        self._first_wait, self._on_given_back = first_wait, on_given_back
        self._renewals = Renewals(clock, longest_renewal)
        self._held_back = HeldBack()

    def start(self) -> None:
        """Begin to renew."""
        self._renewals.start()
        self._held_back.start()

    def give_back_all(self) -> None:
        """Give back at once what is held back, and what fails from now on."""
        self._held_back.stop()

    def stop(self, timeout: float) -> bool:
        """After `give_back_all`: renew no more; False if `timeout` seconds were not enough to give everything back."""
        given_back = self._held_back.join(timeout)
        self._renewals.stop()
        return given_back

    def keep(self, message: ReceivedMessage) -> None:
        """Renew the message's lock until it is settled."""
        renew = partial(self._renew, message)
        self._renewals.hold(message.lock_token, name_of(message), message.locked_until, renew)

    def keep_session(self, first: ReceivedMessage) -> None:
        """Renew the session's lock, which is that of its messages, until it is released."""
        queue, session = first.queue, first.session_id or ""
        renew = partial(self._renew_session, queue, session, first.locked_until - self._clock.now())
        self._renewals.hold((queue, session), f"session {session} of {queue}", first.locked_until, renew)

    def complete(self, message: ReceivedMessage) -> None:
        """Its function has returned."""
        self._renewals.drop(message.lock_token)
        self._settle(message, done=True)

    def hold_back(self, message: ReceivedMessage) -> None:
        """Its function has raised: give it back after the wait that its delivery count asks for."""

        def give_back() -> None:
            self._renewals.drop(message.lock_token)
            self._settle(message, done=False)
            self._on_given_back()

        self._after_wait(message, give_back)

    def hold_session_back(self, message: ReceivedMessage) -> None:
        """The same for a message of a session: give both back after the wait."""

        def give_back() -> None:
            self._settle(message, done=False)
            self.release_session(message.queue, message.session_id or "")
            self._on_given_back()

        self._after_wait(message, give_back)

    def release_session(self, queue: str, session: str) -> None:
        """Let any consumer have the session."""
        self._renewals.drop((queue, session))
        try:
            self._receiver.release_session(queue, session)
        except GenAIOpsError as error:
            log.debug("the session %s of %s was no longer held: %s", session, queue, error)

    def _after_wait(self, message: ReceivedMessage, give_back: Callable[[], None]) -> None:
        wait = wait_after(message.delivery_count, self._first_wait)
        log.info("%s is given back in %.3g s", name_of(message), wait)
        self._held_back.hold(wait, give_back)

    def _settle(self, message: ReceivedMessage, *, done: bool) -> None:
        try:
            (self._receiver.complete if done else self._receiver.abandon)(message)
        except Conflict:
            log.warning("the lock of %s had run out; it will be delivered again", name_of(message))
        except GenAIOpsError as error:
            # Nothing is lost: the lock runs out and the message comes again.
            log.warning("%s could not be %s: %s", name_of(message), "completed" if done else "given back", error)
        except Exception:
            # Nothing is lost: the lock runs out and the message comes again.
            log.exception("%s could not be %s", name_of(message), "completed" if done else "given back")

    def _renew(self, message: ReceivedMessage) -> datetime:
        return self._receiver.renew(message).locked_until

    def _renew_session(self, queue: str, session: str, length: timedelta) -> datetime:
        self._receiver.renew_session(queue, session)
        return self._clock.now() + length


def name_of(message: ReceivedMessage) -> str:
    """The message in logs."""
    return f"message {message.message_id} of {message.queue}"

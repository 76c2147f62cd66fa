"""What the broker refuses: a condition of Service Bus with a text, and the status code it has on `$management`."""

from __future__ import annotations

from typing import Final

NOT_FOUND: Final = "amqp:not-found"
NOT_ALLOWED: Final = "amqp:not-allowed"
INTERNAL: Final = "amqp:internal-error"
UNAUTHORIZED: Final = "amqp:unauthorized-access"
TOO_LARGE: Final = "amqp:link:message-size-exceeded"
SERVER_BUSY: Final = "com.microsoft:server-busy"
TIMEOUT: Final = "com.microsoft:timeout"
MESSAGE_LOCK_LOST: Final = "com.microsoft:message-lock-lost"
MESSAGE_NOT_FOUND: Final = "com.microsoft:message-not-found"
SESSION_LOCK_LOST: Final = "com.microsoft:session-lock-lost"
SESSION_CANNOT_BE_LOCKED: Final = "com.microsoft:session-cannot-be-locked"
ARGUMENT_ERROR: Final = "com.microsoft:argument-error"

_STATUS: Final = {
    NOT_FOUND: 404,
    MESSAGE_NOT_FOUND: 404,
    MESSAGE_LOCK_LOST: 410,
    SESSION_LOCK_LOST: 410,
    SESSION_CANNOT_BE_LOCKED: 410,
    UNAUTHORIZED: 401,
    SERVER_BUSY: 503,
    TIMEOUT: 408,
    INTERNAL: 500,
}


class Refused(Exception):
    """The broker does not do what was asked."""

    def __init__(self, condition: str, description: str) -> None:
        super().__init__(f"{condition}: {description}")
        self.condition = condition
        self.description = description

    @property
    def status(self) -> int:
        """The status code of the answer on `$management`."""
        return _STATUS.get(self.condition, 400)


def message_lock_lost() -> Refused:
    """The token does not (any more) name a lock."""
    return Refused(MESSAGE_LOCK_LOST, "The lock has expired, or the message was settled or never locked.")


def session_lock_lost(session_id: str) -> Refused:
    """The session belongs to nobody or to somebody else."""
    return Refused(SESSION_LOCK_LOST, f"The lock on the session {session_id!r} has expired.")

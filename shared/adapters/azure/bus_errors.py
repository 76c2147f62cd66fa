"""What the Service Bus SDK raises, in the families of `shared/errors.py`, with the text that tells what to do.

The classes: https://learn.microsoft.com/python/api/azure-servicebus/azure.servicebus.exceptions
"""

from __future__ import annotations

from typing import Final

from shared.adapters.azure.bus_namespace import Namespace
from shared.errors import BusinessFailure, Conflict, GenAIOpsError, Malformed, NotFound, Throttled, Transient

BUSY_S: Final = 10.0
"""The pause after `server busy` that Service Bus asks for:
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-throttling."""
FULL_S: Final = 60.0
"""The pause before a queue that is full is tried again: somebody must have taken messages."""


def explained(error: Exception, where: Namespace, queue: str, known: str) -> GenAIOpsError:
    """The error of the family that says what happens to the message at hand.

    Args:
        error: what the SDK raised.
        where: the namespace.
        queue: the queue that was asked.
        known: the names of the queues that the settings name.
    """
    from azure.core.exceptions import ClientAuthenticationError
    from azure.servicebus import exceptions as sdk

    match error:
        case GenAIOpsError():
            return error
        case sdk.MessagingEntityNotFoundError():
            return NotFound(
                f"There is no queue {queue!r} in {where.host}. Queues of the settings: {known}. Create it, or check "
                f"GENAIOPS_QUEUE_… and {where.setting}."
            )
        case sdk.MessageLockLostError() | sdk.MessageAlreadySettled() | sdk.MessageNotFoundError():
            return Conflict(f"The lock on the message of {queue} was lost; it is delivered again.")
        case sdk.SessionLockLostError() | sdk.SessionCannotBeLockedError():
            return Conflict(f"The session of {queue} is not locked by this consumer (any more).")
        case sdk.MessageSizeExceededError():
            return Malformed(f"A message for {queue} is larger than the queue takes: {_text(error)}")
        case sdk.ServiceBusServerBusyError():
            return Throttled(f"{where.host} is busy: {_text(error)}", BUSY_S)
        case sdk.ServiceBusQuotaExceededError():
            return Throttled(f"The queue {queue} or its namespace {where.host} is full: {_text(error)}", FULL_S)
        case ClientAuthenticationError():
            return _no_token(where, error)
        case sdk.ServiceBusAuthenticationError() | sdk.ServiceBusAuthorizationError():
            return _refused(where, queue, error)
        case sdk.MessagingEntityDisabledError():
            return Transient(f"The queue {queue} in {where.host} is disabled: enable it in the portal.")
        case _:
            return _other(error, where, queue)


def _other(error: Exception, where: Namespace, queue: str) -> GenAIOpsError:
    from azure.core.exceptions import ClientAuthenticationError

    # What the SDK cannot name it wraps.
    inner = getattr(error, "inner_exception", None)
    if isinstance(inner, GenAIOpsError):
        return inner  # the credential's own, on its way through the SDK
    if isinstance(inner, ClientAuthenticationError):
        return _no_token(where, inner)
    if _needs_no_sessions(error):
        return BusinessFailure(
            f"The queue {queue} in {where.host} is not set up as the product uses it: {_text(error)} Sessions are "
            "required of the queue of chain events, and of no other; that is chosen when a queue is created."
        )
    return Transient(f"{where.host} ({where.setting}) cannot be reached or did not answer for {queue}: {_text(error)}")


def _no_token(where: Namespace, error: Exception) -> BusinessFailure:
    return BusinessFailure(
        f"No token for {where.host} ({where.setting}) could be got: {_text(error)} On your machine, log in with "
        "`az login`; in Azure, see whether the app has its managed identity."
    )


def _refused(where: Namespace, queue: str, error: Exception) -> BusinessFailure:
    return BusinessFailure(
        f"{where.host} refused access to {queue}: {_text(error)} With an identity, it needs the roles Azure Service "
        "Bus Data Sender and Azure Service Bus Data Receiver on the namespace; with a connection string, its key must "
        f"be valid and its policy must have Send and Listen. Check {where.setting}."
    )


def _needs_no_sessions(error: Exception) -> bool:
    """Service Bus answers `amqp:not-allowed` where a queue has sessions and the receiver has none, or the reverse."""
    return "amqp:not-allowed" in str(error) and "session" in str(error).lower()


def _text(error: Exception) -> str:
    """The first line of the error's own text, as a sentence; what follows it are references for the support.

    The SDK hangs the condition on it, which is what the families are made of already.
    """
    first = (str(getattr(error, "message", "") or error).strip().splitlines() or [""])[0]
    first = first.partition("Error condition:")[0].strip().removesuffix(".")
    return f"{first or type(error).__name__}."

"""Arguments for the functions, decoded by azure.functions' own converters from what the Azure host would send.

So a function sees the same types, the same names and the same traps on a laptop as in Azure, among them that the
top-level keys of a JSON body shadow the metadata of the message.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from azure.functions import get_binding_registry
from azure.functions.meta import Datum

from shared.ports import ReceivedMessage

_TIME_TO_LIVE: Final = timedelta(days=14)
"""Default of a Service Bus queue; the local queues keep messages without limit, but the field is always there."""


def service_bus_message(message: ReceivedMessage) -> object:
    """A `ServiceBusMessage` as the worker builds it."""
    try:
        body = Datum(message.body.decode("utf-8"), "string")
    except UnicodeDecodeError:
        body = Datum(message.body, "bytes")
    metadata = message_metadata(message)
    try:
        return _decode("serviceBusTrigger", body, _shadowed(metadata, message.body))
    except ValueError:
        # A body such as {"DeliveryCount": "x"} cannot be decoded in Azure, not even on the dead-letter queue. Here the
        # function gets it with its true metadata, so that it can say what is wrong.
        return _decode("serviceBusTrigger", body, metadata)


def message_metadata(message: ReceivedMessage) -> dict[str, Datum]:
    """The trigger metadata that the host sends beside a message, before the body shadows it."""
    properties: dict[str, str] = dict(message.properties)
    if message.dead_letter_reason is not None:
        properties.setdefault("DeadLetterReason", message.dead_letter_reason)
    if message.dead_letter_description is not None:
        properties.setdefault("DeadLetterErrorDescription", message.dead_letter_description)
    fields: dict[str, str | int | None] = {
        "MessageId": message.message_id,
        "DeliveryCount": message.delivery_count,
        "SequenceNumber": message.sequence_number,
        "EnqueuedSequenceNumber": message.sequence_number,
        "LockToken": message.lock_token,
        "LockedUntil": _time(message.locked_until),
        "EnqueuedTimeUtc": _time(message.enqueued_at),
        "ExpiresAtUtc": _time(message.enqueued_at + _TIME_TO_LIVE),
        "ContentType": message.content_type,
        "Subject": message.subject,
        "CorrelationId": message.correlation_id,
        "SessionId": message.session_id,
        "DeadLetterReason": message.dead_letter_reason,
        "DeadLetterErrorDescription": message.dead_letter_description,
    }
    metadata = {name: _scalar(value) for name, value in fields.items() if value is not None}
    return metadata | {
        name: Datum(json.dumps(properties), "json") for name in ("ApplicationProperties", "UserProperties")
    }


def timer_request(*, past_due: bool, status: Mapping[str, str] | None) -> object:
    """A `TimerRequest`; `status` is None for a timer without monitor."""
    content = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": past_due}
    return _decode("timerTrigger", Datum(json.dumps(content), "json"), {})


@dataclass(frozen=True)
class HttpContent:
    """A request as the host passes it on."""

    method: str
    url: str
    headers: Mapping[str, str]
    query: Mapping[str, str]
    route: Mapping[str, str]
    body: bytes


def http_request(content: HttpContent) -> object:
    """An `HttpRequest`; the body is bytes, whatever its content type says."""
    value = {
        "method": Datum(content.method, "string"),
        "url": Datum(content.url, "string"),
        "headers": {name: Datum(text, "string") for name, text in content.headers.items()},
        "query": {name: Datum(text, "string") for name, text in content.query.items()},
        "params": {name: Datum(text, "string") for name, text in content.route.items()},
        "body": Datum(content.body, "bytes"),
    }
    return _decode("httpTrigger", Datum(value, "http"), {})


@dataclass(frozen=True)
class HttpAnswer:
    """What a function answered, ready to be sent."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def http_answer(returned: object) -> HttpAnswer:
    """Encode what an HTTP function returned; None is 204, as in Azure.

    Raises:
        NotImplementedError: it is neither an HttpResponse nor a string.
    """
    if returned is None:
        return HttpAnswer(204, (), b"")
    datum: Datum = _converter("http").encode(returned, expected_type=None)
    if datum.type == "string":
        return HttpAnswer(200, (("content-type", "text/plain; charset=utf-8"),), datum.value.encode())
    value: dict[str, Any] = datum.value
    headers = [(name, text.value) for name, text in value["headers"].items()]
    for jar in value["cookies"] or ():
        headers += [("Set-Cookie", morsel.OutputString()) for morsel in jar.values()]
    return HttpAnswer(int(value["status_code"].value), tuple(headers), value["body"].value)


def input_stream(content: bytes, container: str, name: str) -> object:
    """An `InputStream` with the blob's content, for blob triggers that do not take a BlobClient."""
    metadata = {
        "BlobTrigger": Datum(f"{container}/{name}", "string"),
        "Properties": Datum(json.dumps({"ContentLength": len(content)}), "json"),
    }
    return _decode("blobTrigger", Datum(content, "bytes"), metadata)


def _decode(binding: str, datum: Datum, metadata: Mapping[str, Datum]) -> object:
    decoded: object = _converter(binding).decode(datum, trigger_metadata=metadata)
    return decoded


def _converter(binding: str) -> Any:
    return get_binding_registry().get(binding)


def _scalar(value: str | int) -> Datum:
    return Datum(value, "int" if isinstance(value, int) else "string")


def _time(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _shadowed(metadata: dict[str, Datum], body: bytes) -> dict[str, Datum]:
    """Put the top-level keys of a JSON body over the metadata, as the host does; names there ignore case."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return metadata
    if not isinstance(content, dict):
        return metadata
    canonical = {name.lower(): name for name in metadata}
    shadows: dict[str, Datum] = {}
    for key, value in content.items():
        # Replaced, the two dictionaries would make the message undecodable, which no handler could report.
        if key.lower() in ("applicationproperties", "userproperties") or value is None:
            continue
        kind = "json" if isinstance(value, dict | list) else "string"
        shadow = Datum(value if isinstance(value, str) else json.dumps(value), kind)
        shadows[canonical.get(key.lower(), str(key))] = shadow
    return metadata | shadows

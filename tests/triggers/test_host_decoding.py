"""The embedded host builds the same arguments as the Azure host: compared with recorded payloads."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from genaiops.host import decoding
from shared.ports import ReceivedMessage
from tests.triggers.recorded import decoded, load, metadata

SENT = datetime(2026, 3, 2, 9, 14, 31, 123456, tzinfo=UTC)


def received(payload: str, **changes) -> ReceivedMessage:
    """What a queue would hand over for the recorded message."""
    recorded = {name: value.python_value for name, value in metadata(payload).items()}
    body = load(payload)["input_data"][0]["data"]["string"].encode()
    values = {
        "queue": "work",
        "body": body,
        "message_id": recorded["MessageId"],
        "sequence_number": recorded["SequenceNumber"],
        "delivery_count": recorded["DeliveryCount"],
        "lock_token": recorded["LockToken"],
        "enqueued_at": SENT,
        "locked_until": SENT,
        "session_id": recorded.get("SessionId"),
        "subject": recorded.get("Subject"),
        "correlation_id": recorded.get("CorrelationId"),
        "content_type": recorded["ContentType"],
        "properties": recorded["UserProperties"],
        "dead_letter_reason": recorded.get("DeadLetterReason"),
        "dead_letter_description": recorded.get("DeadLetterErrorDescription"),
    }
    return ReceivedMessage(**(values | changes))


@pytest.mark.parametrize("payload", ["command", "chain_event_with_session", "dead_letter"])
def test_a_message_reads_as_in_azure(payload):
    ours, theirs = decoding.service_bus_message(received(payload)), decoded(payload, "serviceBusTrigger")
    for field in [
        "message_id",
        "delivery_count",
        "sequence_number",
        "enqueued_sequence_number",
        "lock_token",
        "enqueued_time_utc",
        "expires_at_utc",
        "content_type",
        "subject",
        "correlation_id",
        "session_id",
        "application_properties",
        "user_properties",
        "dead_letter_reason",
        "dead_letter_error_description",
    ]:
        assert getattr(ours, field) == getattr(theirs, field), field
    assert ours.get_body() == theirs.get_body()


@pytest.mark.parametrize("payload", ["command", "chain_event_with_session", "dead_letter"])
def test_every_field_has_the_type_that_azure_gives_it(payload):
    theirs = metadata(payload)
    for name, datum in decoding.message_metadata(received(payload)).items():
        assert datum.type == theirs[name].type, name


def test_keys_of_the_body_shadow_the_metadata_as_in_azure():
    message = received("request_whose_body_shadows_metadata", message_id="true-id", correlation_id=None, subject="true")
    ours = decoding.service_bus_message(message)
    theirs = decoded("request_whose_body_shadows_metadata", "serviceBusTrigger")
    assert (ours.message_id, ours.correlation_id, ours.subject) == ("forged-id", "forged-chain", "forged")
    assert (ours.message_id, ours.correlation_id, ours.subject) == (
        theirs.message_id,
        theirs.correlation_id,
        theirs.subject,
    )


@pytest.mark.parametrize("body", [{"DeliveryCount": "x"}, {"EnqueuedTimeUtc": "yesterday"}, {"UserProperties": 1}])
def test_a_body_whose_keys_cannot_be_metadata_still_reaches_the_function(body):
    message = decoding.service_bus_message(received("command", body=json.dumps(body).encode()))
    assert json.loads(message.get_body()) == body
    assert message.delivery_count == 1


@pytest.mark.parametrize("body", [b"", b"[1]", b"null", b'"text"', b"{", b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_object_shadows_nothing(body):
    message = decoding.service_bus_message(received("command", body=body))
    assert message.get_body() == body
    assert message.message_id == "ticket_triage-ci-0f1e2d3c4b5a/4"


def test_a_binary_request_reads_as_in_azure():
    theirs = decoded("http_binary", "httpTrigger")
    content = decoding.HttpContent(
        method="POST",
        url=theirs.url,
        headers=dict(theirs.headers),
        query=dict(theirs.params),
        route=dict(theirs.route_params),
        body=theirs.get_body(),
    )
    ours = decoding.http_request(content)
    assert ours.get_body() == theirs.get_body() == bytes([0x1F, 0x8B, 0, 0xFF, 0xFE, 0x0D, 0x0A, 0x80])
    assert (ours.method, dict(ours.params), dict(ours.route_params)) == (
        "POST",
        {"page": "2,3"},
        {"chain": "ticket_triage-ci-0f1e2d3c4b5a", "rest": "files/a b.gz"},
    )


def test_timers_read_as_in_azure():
    status = {
        "Last": "2026-03-02T09:10:30.0012845+00:00",
        "Next": "2026-03-02T09:11:00+00:00",
        "LastUpdated": "2026-03-02T09:10:30.0012845+00:00",
    }
    for name, past_due, given in (("timer_past_due", True, status), ("timer_without_monitor", False, None)):
        ours, theirs = decoding.timer_request(past_due=past_due, status=given), decoded(name, "timerTrigger")
        assert (ours.past_due, ours.schedule, ours.schedule_status) == (
            theirs.past_due,
            theirs.schedule,
            theirs.schedule_status,
        )

"""Each trigger, called with what the Functions host sends: it makes one call with what was in the message."""

from __future__ import annotations

import importlib
import json
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from shared.chain.messages import Queue, parse_command, parse_event, parse_request
from shared.delivery import Delivery
from tests.triggers.recorded import decoded, load

CHAIN = "ticket_triage-ci-0f1e2d3c4b5a"
PORTS = object()


def called(monkeypatch: pytest.MonkeyPatch, module: str, service: str) -> list[tuple[Any, ...]]:
    """Let the trigger's one call be recorded instead of made."""
    calls: list[tuple[Any, ...]] = []
    trigger = importlib.import_module(f"functions.{module}")
    monkeypatch.setattr(trigger, "ports", lambda: PORTS)
    monkeypatch.setattr(trigger, service, lambda *arguments: calls.append(arguments))
    return calls


def delivered(monkeypatch: pytest.MonkeyPatch, module: str, service: str, payload: str) -> Delivery:
    calls = called(monkeypatch, module, service)
    trigger = importlib.import_module(f"functions.{module}")
    getattr(trigger, module)(decoded(payload, "serviceBusTrigger"))
    ((ports, delivery),) = calls
    assert ports is PORTS
    return delivery


def test_a_pipeline_request_reaches_start_with_its_application_properties(monkeypatch):
    delivery = delivered(monkeypatch, "chain_requests", "start", "chain_request_from_pipeline")
    assert delivery.queue is Queue.CHAIN_REQUESTS
    assert parse_request(delivery.body).request_id == "20260302.7"
    assert delivery.properties["HubName"] == "build"
    assert delivery.message_id == "c0ffee0000000000000000000000beef"


def test_a_chain_event_with_a_session_reaches_advance(monkeypatch):
    delivery = delivered(monkeypatch, "chain_events", "advance", "chain_event_with_session")
    event = parse_event(delivery.body)
    assert delivery.queue is Queue.CHAIN_EVENTS
    assert (event.chain, event.id) == (CHAIN, f"{CHAIN}/4/answer")
    assert delivery.count == 2


def test_a_run_event_of_azure_ml_reaches_run_changed(monkeypatch):
    delivery = delivered(monkeypatch, "run_events", "run_changed", "event_grid_run_completed")
    content = json.loads(delivery.body)
    assert delivery.queue is Queue.RUN_EVENTS
    assert content["eventType"] == "Microsoft.MachineLearningServices.RunCompleted"
    assert content["data"]["runId"] == f"{CHAIN}-2"


@pytest.mark.parametrize(
    "module", ["experimentation", "evaluation", "registration", "deployment", "reporting", "notification"]
)
def test_a_command_reaches_perform_under_the_name_of_its_queue(monkeypatch, module):
    delivery = delivered(monkeypatch, module, "perform", "command")
    assert delivery.queue is Queue(module)
    assert parse_command(delivery.body).id == f"{CHAIN}/4"
    assert (delivery.count, delivery.message_id) == (1, f"{CHAIN}/4")
    assert delivery.enqueued_at == datetime(2026, 3, 2, 9, 14, 31, 123456, tzinfo=UTC)


def test_a_body_that_shadows_the_metadata_does_not_change_the_body_that_is_handled(monkeypatch):
    delivery = delivered(monkeypatch, "chain_requests", "start", "request_whose_body_shadows_metadata")
    sent = load("request_whose_body_shadows_metadata")["input_data"][0]["data"]["string"]
    assert delivery.message_id == "forged-id"  # so nothing may trust it
    assert json.loads(delivery.body) == json.loads(sent)


@pytest.mark.parametrize("queue", list(Queue))
def test_a_dead_letter_of_any_queue_is_recorded_with_its_reason(monkeypatch, queue):
    calls = called(monkeypatch, "dead_letters", "record")
    functions = {
        f._function.get_function_name(): f._function.get_user_function()
        for f in importlib.import_module("functions.dead_letters").blueprint._function_builders
    }
    functions[f"dead_letters_{queue.value.replace('-', '_')}"](decoded("dead_letter", "serviceBusTrigger"))
    ((_, delivery),) = calls
    assert delivery.queue is queue
    assert delivery.dead_letter_reason == "MaxDeliveryCountExceeded"
    assert delivery.dead_letter_description.endswith("5 delivery attempts.")
    assert delivery.count == 6


def test_an_uploaded_dataset_is_named_by_blob_and_etag_and_not_read(monkeypatch):
    calls = called(monkeypatch, "dataset_changes", "dataset_uploaded")
    binding = json.loads(load("blob_created")["input_data"][0]["data"]["model_binding_data"]["content"])
    properties = json.loads(load("blob_created")["trigger_metadata"]["Properties"]["json"])
    # Only these two attributes exist: reading anything else of the blob would fail.
    client = SimpleNamespace(
        blob_name=binding["BlobName"], get_blob_properties=lambda: SimpleNamespace(etag=properties["ETag"])
    )
    importlib.import_module("functions.dataset_changes").dataset_changes(client)
    assert calls == [(PORTS, "ticket_triage/support_2026/tickets.jsonl", '"0x8DE7A1B2C3D4E5F"')]


@pytest.mark.parametrize(("payload", "past_due"), [("timer_past_due", True), ("timer_without_monitor", False)])
def test_the_timer_sweeps_whether_or_not_it_is_late(monkeypatch, payload, past_due):
    calls = called(monkeypatch, "housekeeping", "sweep")
    timer = decoded(payload, "timerTrigger")
    importlib.import_module("functions.housekeeping").housekeeping(timer)
    assert timer.past_due is past_due
    assert calls == [(PORTS,)]

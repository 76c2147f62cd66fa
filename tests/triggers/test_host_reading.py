"""What the embedded host makes of a FunctionApp and a host.json: what it serves, and what it refuses by name."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import azure.functions as func
import pytest

from genaiops.host import HostError
from genaiops.host.host_json import read_host_json
from genaiops.host.triggers import read_triggers
from tests.triggers.hosting import bus, eventually, hosting, message

ROOT = Path(__file__).parents[2]


def test_a_function_gets_its_context_and_may_be_a_coroutine(tmp_path):
    got = []
    app = func.FunctionApp()

    @app.service_bus_queue_trigger(arg_name="message", queue_name="work", connection="ServiceBus")
    async def work(message: func.ServiceBusMessage, context: func.Context) -> None:
        got.append((message.get_body(), context.function_name, len(context.invocation_id)))

    queues = bus()
    queues.send("work", [message("one")])
    with hosting(app, tmp_path, queues):
        eventually(lambda: queues.counts("work").active == 0)
    assert got == [(b"one", "work", 36)]


def test_an_output_binding_is_refused_by_name():
    app = func.FunctionApp()

    @app.service_bus_queue_output(arg_name="out", queue_name="next", connection="ServiceBus")
    @app.service_bus_queue_trigger(arg_name="message", queue_name="work", connection="ServiceBus")
    def work(message: func.ServiceBusMessage, out: func.Out[str]) -> None:
        raise AssertionError

    with pytest.raises(HostError, match="work uses the binding 'serviceBus'"):
        read_triggers(app, {})


def test_batches_are_refused_by_name():
    app = func.FunctionApp()

    @app.service_bus_queue_trigger(
        arg_name="message", queue_name="work", connection="ServiceBus", cardinality=func.Cardinality.MANY
    )
    def work(message: list[func.ServiceBusMessage]) -> None:
        raise AssertionError

    with pytest.raises(HostError, match="work takes batches"):
        read_triggers(app, {})


def test_a_trigger_of_another_kind_is_refused_by_name():
    app = func.FunctionApp()

    @app.event_grid_trigger(arg_name="event")
    def work(event: func.EventGridEvent) -> None:
        raise AssertionError

    with pytest.raises(HostError, match="work has the trigger 'eventGridTrigger'"):
        read_triggers(app, {})


def test_the_product_s_host_json_is_read():
    config = read_host_json(ROOT / "host.json")
    content = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["extensions"]
    assert config.route_prefix == content["http"]["routePrefix"]
    assert config.max_concurrent_calls == content["serviceBus"]["maxConcurrentCalls"]
    assert config.max_renewal == timedelta(minutes=30)
    assert config.session_idle == timedelta(milliseconds=500)


def test_without_settings_the_defaults_of_azure_hold():
    config = read_host_json({"version": "2.0"})
    assert (config.route_prefix, config.max_concurrent_calls, config.max_concurrent_sessions) == ("api", 16, 8)


@pytest.mark.parametrize(
    ("key", "value", "rule"),
    [
        ("maxConcurrentCalls", 0, "whole number"),
        ("maxConcurrentSessions", "many", "whole number"),
        ("maxAutoLockRenewalDuration", "5 minutes", "time span"),
    ],
)
def test_a_wrong_setting_of_host_json_is_named(key, value, rule):
    with pytest.raises(HostError, match=rf"extensions\.serviceBus\.{key} is .*{rule}"):
        read_host_json({"extensions": {"serviceBus": {key: value}}})


def test_a_host_json_that_is_missing_is_named(tmp_path):
    with pytest.raises(HostError, match=r"host\.json cannot be read as JSON"):
        read_host_json(tmp_path / "host.json")

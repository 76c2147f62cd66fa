"""The one FunctionApp: what it registers, how thin its triggers are and how fast it loads."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import typing
from pathlib import Path

import pytest

from genaiops.host.triggers import BlobTrigger, QueueTrigger, TimerTrigger, read_triggers
from shared.chain.messages import Queue
from shared.settings import queue_variable

ROOT = Path(__file__).parents[2]
TRIGGERS = sorted((ROOT / "functions").glob("[!_]*.py"))
HEAVY = ("promptflow", "pandas", "azure.ai.ml", "azure.storage.blob", "azure.identity", "openai", "aiohttp")


@pytest.fixture(scope="module")
def triggers():
    # A fresh app, for an app can be read once in the life of a process and other tests import function_app, too.
    import azure.functions as func

    import function_app

    app = func.FunctionApp()
    for module in function_app.TRIGGERS:
        app.register_functions(module.blueprint)
    return read_triggers(app, {queue_variable(queue): queue.value for queue in Queue})


@pytest.mark.parametrize("path", TRIGGERS, ids=lambda path: path.stem)
def test_a_trigger_has_fewer_than_40_lines(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) < 40


def test_every_trigger_module_is_registered():
    import function_app

    assert {module.__name__ for module in function_app.TRIGGERS} == {f"functions.{path.stem}" for path in TRIGGERS}


def test_importing_the_app_imports_nothing_heavy():
    code = f"import sys, function_app; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_queue_has_a_trigger_and_its_dead_letter_queue_too(triggers):
    queues = {trigger.queue: trigger.sessions for trigger in triggers if isinstance(trigger, QueueTrigger)}
    for queue in Queue:
        assert queues[queue.value] is (queue is Queue.CHAIN_EVENTS)
        assert queues[f"{queue.value}/$deadletterqueue"] is False
    assert len(queues) == 2 * len(Queue)


def test_uploads_and_housekeeping_have_their_triggers(triggers):
    (blob,) = [trigger for trigger in triggers if isinstance(trigger, BlobTrigger)]
    (timer,) = [trigger for trigger in triggers if isinstance(trigger, TimerTrigger)]
    assert blob.container == "datasets"
    assert blob.pattern.fullmatch("ticket_triage/support/tickets.jsonl")
    assert (timer.schedule, timer.monitored) == ("*/30 * * * * *", True)


def test_the_worker_is_told_to_send_a_blob_client_and_no_content():
    from azurefunctions.extensions.base import get_binding_registry

    from functions.dataset_changes import blueprint

    (builder,) = blueprint._function_builders
    function = builder._function
    # As the worker does it: resolve the annotation, then ask the extension whether the binding can be deferred.
    annotation = typing.get_type_hints(function.get_user_function())["blob"]
    input_types = {"blob": type("ParamTypeInfo", (), {"pytype": annotation})}
    (binding,), _ = get_binding_registry().get_raw_bindings(function, input_types)
    assert json.loads(binding)["properties"] == {"SupportsDeferredBinding": True}
    assert json.loads(binding)["source"] == "EventGrid"
    assert json.loads(binding)["connection"] == "Storage"


def test_the_sample_settings_name_every_variable_that_is_read():
    sample = json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"]
    files = ("settings.py", "azure_settings.py", "people_settings.py")
    source = "".join((ROOT / "shared" / name).read_text(encoding="utf-8") for name in files)
    read = set(re.findall(r'"(GENAIOPS_[A-Z_]+[A-Z])"', source)) | {queue_variable(queue) for queue in Queue}
    assert {name for name in sample if name.startswith("GENAIOPS_")} == read

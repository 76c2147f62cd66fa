"""Secrets are planted where the cloud has them: settings, properties of messages, errors of SDKs. Nothing shows one.

What is searched: log lines as a handler writes them, every blob, every message, what telemetry sent, every page.
"""

from __future__ import annotations

import base64
import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from functions import approvals, chains
from shared import bootstrap, process_secrets, telemetry
from shared.chain.messages import Queue
from shared.errors import BusinessFailure, Throttled, Transient
from shared.housekeeping import sweep
from shared.telemetry import logs
from tests import waiting_tasks
from tests.acceptance.test_telemetry import ask
from tests.memory_world import World
from tests.servers.application_insights import Ingestion

MARK = "PLANTED"
"""In each secret, at its begin and in its middle: a half that is left over is found, too."""
JWT = "eyJ" + f"{MARK}hbGciOiJ.eyJ{MARK}XVCJ9.{MARK}c2ln"
SAS = f"{MARK}abc{MARK}def%3D"
ACCOUNT_KEY = base64.b64encode(b"planted!" * 8).decode()
BUS_KEY = base64.b64encode(b"PLANTEDk" * 4).decode()
SETTINGS = {
    "AOAI": json.dumps({"api_key": f"{MARK}-model-{MARK}", "api_base": "https://models.example.com"}),
    "SERVICE_TOKEN": f"{MARK}-token-of-a-service-{MARK}",
    "IDENTITY_HEADER": f"{MARK}-identity-{MARK}",
}
AUTH_TOKEN = f"{MARK}-of-azure-devops-{MARK}"
"""No shape tells that this is one: it may lie in the properties of a request and nowhere else."""
TASK = {**waiting_tasks.properties(), "AuthToken": AUTH_TOKEN}
SAID = [
    f"401 Unauthorized: Authorization: Bearer {MARK}.{MARK}.{MARK}",
    f"GET https://town.blob.core.windows.net/c/b?sv=2024-01-01&sig={SAS}&se=2030 failed",
    f"cannot parse DefaultEndpointsProtocol=https;AccountName=town;AccountKey={ACCOUNT_KEY}",
    f"cannot open Endpoint=sb://town/;SharedAccessKeyName=Root;SharedAccessKey={BUS_KEY}",
    f"the token {JWT} has expired",
    *(f"refused: {name} is {value}" for name, value in SETTINGS.items() if name != "AOAI"),
    f"the model refused the key {MARK}-model-{MARK}",
    f"{{'AuthToken': '{AUTH_TOKEN}'}}",
]
SECRETS = (MARK, ACCOUNT_KEY, BUS_KEY)
ERRORS: dict[str, Callable[[str], Exception]] = {
    "unexpected": RuntimeError,
    "business": BusinessFailure,
    "transient": Transient,
    "throttled": lambda text: Throttled(text, 1.0),
}


class Telling:
    """A port whose calls fail with what an SDK says; with another such error as their cause."""

    def __init__(self, port: object, methods: tuple[str, ...], error: Callable[[str], Exception], times: int) -> None:
        self._port, self._methods, self._error, self._times = port, methods, error, times

    def __getattr__(self, name: str) -> Any:
        if name not in self._methods or self._times <= 0:
            return getattr(self._port, name)

        def tell(*_: Any, **__: Any) -> Any:
            self._times -= 1
            text = " and ".join(SAID)
            raise self._error(text) from ValueError(text)

        return tell


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> Iterator[StringIO]:
    """The settings with secrets, and a log as the Functions host writes it."""
    for name, value in SETTINGS.items():
        monkeypatch.setenv(name, value)
    process_secrets._of_process.cache_clear()
    written = StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    before = logging.getLogRecordFactory()
    logs.clean()
    logging.getLogger().addHandler(handler)
    yield written
    logging.getLogger().removeHandler(handler)
    logging.setLogRecordFactory(before)
    process_secrets._of_process.cache_clear()


def observed(home: Path, insights: Ingestion, **ports: Any) -> World:
    world = World(home, **ports)
    world.settings = replace(world.settings, application_insights=insights.connection_string)
    world.ports = world._wired()
    return world


def pages(world: World, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    monkeypatch.setattr(bootstrap, "_ports", [world.ports])
    asked = [(chains.dashboard, {})]
    for chain in world.chains():
        asked.append((chains.chain, {"chain": chain.id}))
        asked.append((chains.chain_part, {"chain": chain.id, "part": "state"}))
        asked += [(chains.chain_file, {"chain": chain.id, "name": name}) for name in ("report.html", "evidence.json")]
    asked.append((approvals.approvals, {"token": f"{JWT}"}))
    found = []
    for handler, params in asked:
        path = "/api/" + "/".join(params.values())
        headers = {"Host": "127.0.0.1:7071"}
        request = func.HttpRequest("GET", path, headers=headers, route_params=params, params={}, body=b"")
        found.append(handler(request).get_body())
    return found


def everything(world: World, log: StringIO, insights: Ingestion, shown: list[bytes]) -> dict[str, bytes]:
    pipe = telemetry.start(world.settings)
    assert pipe is not None
    assert pipe.flush(60)
    found = {f"blob {c}/{name}": b.content for c, blobs in world.blobs._blobs.items() for name, b in blobs.items()}
    found |= {f"page {number}": page for number, page in enumerate(shown)}
    found |= {f"sent {number}": body for number, body in enumerate(insights.bodies)}
    found["notices"] = repr(world.notifier.__dict__).encode()
    found["log"] = log.getvalue().encode()
    assert any(name.startswith("blob chains/") for name in found)
    assert insights.bodies
    return found


def shows(found: dict[str, bytes]) -> list[str]:
    return [name for name, content in found.items() if any(secret.encode() in content for secret in SECRETS)]


@pytest.mark.parametrize("kind", list(ERRORS))
@pytest.mark.parametrize(
    ("port", "methods"),
    [
        ("runner", ("start",)),
        ("registry", ("register", "latest", "list")),
        ("endpoints", ("deploy",)),
        ("notifier", ("notify", "send")),
        ("pipelines", ("tell", "finish")),
    ],
)
def test_an_sdks_error_ends_or_delays_a_chain_and_its_secrets_show_nowhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: StringIO, port: str, methods: tuple[str, ...], kind: str
) -> None:
    with Ingestion() as insights:
        world = observed(tmp_path, insights)
        times = 2 if kind == "throttled" else 100
        telling = Telling(getattr(world.ports, port), methods, ERRORS[kind], times)
        world.ports = replace(world.ports, **{port: telling})
        ask(world, "r1", traceparent="00-", **TASK)
        world.pump()
        sweep(world.ports)
        shown = pages(world, monkeypatch)
        found = everything(world, planted, insights, shown)
        telemetry.stop()
    assert "***" in planted.getvalue(), "the fault was met and told"
    assert shows(found) == []


def test_messages_that_nobody_can_read_are_kept_for_replay_and_shown_without_their_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planted: StringIO
) -> None:
    with Ingestion() as insights:
        world = observed(tmp_path, insights)
        body = json.dumps({"type": "RunCell", "says": SAID, "AuthToken": AUTH_TOKEN}).encode()
        for queue in (Queue.CHAIN_REQUESTS, Queue.EXPERIMENTATION, Queue.DEPLOYMENT):
            world.publish(queue, body, f"m-{queue}", AuthToken=AUTH_TOKEN)
        world.publish(Queue.CHAIN_EVENTS, body, "m-e", session="s", AuthToken=AUTH_TOKEN)
        world.pump()
        letters = world.dead_letters()
        found = everything(world, planted, insights, pages(world, monkeypatch)) if world.chains() else {}
        pipe = telemetry.start(world.settings)
        assert pipe is not None
        assert pipe.flush(60)
        found |= {"log": planted.getvalue().encode(), "sent": b"".join(insights.bodies)}
        found |= {
            letter.id: f"{letter.reason} {letter.description} {letter.body_preview}".encode() for letter in letters
        }
        telemetry.stop()
    assert len(letters) == 4
    assert all(letter.body == body for letter in letters)
    assert shows(found) == []


def test_an_error_that_leaves_a_handler_for_the_functions_host_leaves_its_secrets_behind(
    tmp_path: Path, planted: StringIO
) -> None:
    world = World(tmp_path)
    world.request()
    blobs = Telling(world.ports.blobs, ("read_with_etag",), RuntimeError, 100)
    ports = replace(world.ports, blobs=blobs)
    (message,) = world.bus.receive(world.settings.queues[Queue.CHAIN_REQUESTS])
    from shared.advance import start
    from shared.delivery import Delivery

    delivery = Delivery(Queue.CHAIN_REQUESTS, message.body, "m", 1, message.enqueued_at, TASK)
    with pytest.raises(Transient) as caught:
        start(ports, delivery)
    assert MARK not in str(caught.value)
    assert "RuntimeError" in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ is True
    assert AUTH_TOKEN not in repr(delivery)


def test_log_lines_of_anybody_in_this_process_are_clean_with_their_stacks(planted: StringIO) -> None:
    for name in ("azure.core", "promptflow", "genaiops.chain", "root"):
        for text in SAID:
            logging.getLogger(name).warning("it said %s", text)
            try:
                raise RuntimeError(text)  # noqa: TRY301
            except RuntimeError:
                logging.getLogger(name).exception("it failed")
    assert planted.getvalue().count("RuntimeError") >= 4 * len(SAID)
    assert shows({"log": planted.getvalue().encode()}) == []


def test_what_names_a_secret_is_hidden_and_words_and_places_are_not() -> None:
    assert process_secrets.secrets_in(
        {
            "PARTITION_KEY": "ticket_triage",
            "AZURE_FEDERATED_TOKEN_FILE": "/var/run/token-0123456789",
            "KEY_VAULT_URL": "https://town.vault.azure.net",
            "SHORT_TOKEN": "abc",
            "A_KEY": "0123456789abcdef0123",
            "shop": json.dumps({"configs": {"url": "https://shop.example.com"}, "secrets": {"t": "very-secret-one"}}),
            "broken": "{not json, api_key: 1",
        }
    ) == ("0123456789abcdef0123", "very-secret-one")

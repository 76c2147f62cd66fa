"""The image of a served flow, as far as it goes without an engine: its Dockerfile's steps in a fresh environment, its CMD.

What is installed comes from the package index by the locked hashes, as in a build.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path

import pytest

from genaiops.stand_in_model import StandIn, start_stand_in
from shared.adapters.azure.endpoints.image_context import image_context
from shared.ports import DeploymentSpec
from shared.use_case.model import ConnectionSpec
from tests.container import KEY, Container, connection
from tests.contract.model_server import ModelServer
from tests.dockerfile import Built

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.xdist_group("image")


def built(use_case: str, flow_file: str, folder: Path, **environment: str) -> Built:
    home = ROOT / "flows" / use_case
    spec = DeploymentSpec(
        endpoint=use_case, name="v1-0a1b2c3d", flow=home / "flows" / use_case, flow_digest="0" * 64, flow_version="1",
        flow_file=flow_file, package=use_case, root=home, connection_specs=(ConnectionSpec("aoai"),),
        environment=environment,
    )  # fmt: skip
    image_context(spec).write(folder / "context")
    return Built(folder / "context", folder)


@pytest.fixture(scope="module")
def triage(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built("ticket_triage", "flow.dag.yaml", tmp_path_factory.mktemp("triage"))


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Built:
    return built(
        "word_problems", "flow.flex.yaml", tmp_path_factory.mktemp("problems"), HOUSE="${HOUSE}", STYLE="short"
    )


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    model = start_stand_in()
    yield model
    model.stop()


@pytest.fixture(scope="module")
def serving_triage(triage: Built, stand_in: StandIn) -> Iterator[Container]:
    variables = {"AOAI": connection(stand_in.url), "GENAIOPS_DEPLOYMENT": "v1-0a1b2c3d"}
    with Container(triage, variables) as container:
        yield container


def files(folder: Path) -> set[str]:
    return {str(path) for path in folder.rglob("*")}


def test_a_dag_answers_health_at_once_then_is_ready_and_scores(triage: Built, serving_triage: Container) -> None:
    before = files(triage.app)
    assert serving_triage.until("/health", 200) == {"status": "Healthy"}
    assert serving_triage.until("/ready", 200) == {"status": "Ready"}
    request = json.loads((ROOT / "flows/ticket_triage/configs/sample-request.json").read_text())
    status, content, headers = serving_triage.answer("POST", "/score", json.dumps(request).encode())
    assert status == 200, content
    assert set(content) == {"category", "urgency", "reply"}
    assert headers["azureml-model-deployment"] == "v1-0a1b2c3d"
    assert files(triage.app) == before, "nothing is written: the file system may be read-only"


def test_the_health_check_of_the_image_holds(triage: Built, serving_triage: Container) -> None:
    serving_triage.until("/health", 200)
    done = subprocess.run(triage.command("HEALTHCHECK"), env=serving_triage.environment, check=False)
    assert done.returncode == 0
    nobody = {**serving_triage.environment, "PORT": "1"}
    assert subprocess.run(triage.command("HEALTHCHECK"), env=nobody, stderr=subprocess.DEVNULL, check=False).returncode


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/score", b"no json", 400),
        ("POST", "/score", b'["a", "list"]', 400),
        ("GET", "/score", None, 405),
        ("GET", "/feedback", None, 404),
        ("GET", "/swagger.json", None, 404),
    ],
    ids=["no-json", "no-object", "method", "feedback", "swagger"],
)
def test_what_cannot_be_scored_is_answered_as_json(
    serving_triage: Container, method: str, path: str, body: bytes | None, status: int
) -> None:
    serving_triage.until("/ready", 200)
    found, content, _ = serving_triage.answer(method, path, body)
    assert found == status
    assert set(content["error"]) == {"code", "message"}


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(serving_triage: Container) -> None:
    serving_triage.until("/ready", 200)
    asking = HTTPConnection("127.0.0.1", serving_triage.port, timeout=60)
    asking.putrequest("POST", "/score")
    asking.putheader("Content-Length", str(16 * 1024 * 1024 + 1))
    asking.endheaders()
    response = asking.getresponse()
    assert response.status == 413
    assert json.loads(response.read())["error"]["code"] == "RequestEntityTooLarge"
    asking.close()


def test_many_requests_at_once_are_all_answered(serving_triage: Container) -> None:
    serving_triage.until("/ready", 200)
    tickets = [{"ticket": f"My invoice {number} is wrong, please correct it."} for number in range(48)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda ticket: serving_triage.ask("POST", "/score", ticket), tickets))
    assert {status for status, _ in answers} == {200}


def test_a_flex_flow_is_served_without_prompt_flow(problems: Built, stand_in: StandIn) -> None:
    found = problems.python(
        "import importlib.util as u; print(u.find_spec('promptflow'), u.find_spec('waitress') is None)"
    )
    assert found.split() == ["None", "False"]
    with Container(problems, {"AOAI": connection(stand_in.url), "HOUSE": "red"}) as container:
        container.until("/ready", 200)
        request = json.loads((ROOT / "flows/word_problems/configs/sample-request.json").read_text())
        status, content = container.ask("POST", "/score", request)
        assert status == 200, content
        assert set(content) == {"answer", "error", "program"}
        assert content["answer"]
        status, content = container.ask("POST", "/score", {})
        assert (status, content["error"]["code"]) == (400, "BadRequest")
        assert container.stop() == 0


def test_a_connection_that_is_missing_makes_it_unready_and_nothing_stands_in(problems: Built) -> None:
    with Container(problems, {"HOUSE": "red"}) as container:
        assert container.until("/health", 200) == {"status": "Healthy"}
        refused = container.until("/ready", 503)["error"]
        assert refused["code"] == "CannotServe", "it will not pass by itself"
        assert "aoai: api_key of the connection 'aoai'" in refused["message"]
        assert container.ask("POST", "/score", {"problem": "1 + 1"})[0] == 503
        assert container.stop() == 0


def test_a_setting_that_is_no_number_is_told_at_once(problems: Built) -> None:
    with Container(problems, {"GENAIOPS_SERVE_CONCURRENCY": "many"}) as container:
        assert container.process.wait(20) == 2
        (line,) = container.lines()
        assert "must be numbers" in line["message"]
        assert "'many'" in line["message"]


def test_a_variable_that_is_missing_makes_it_unready(problems: Built, stand_in: StandIn) -> None:
    with Container(problems, {"AOAI": connection(stand_in.url)}) as container:
        container.until("/health", 200)
        assert "HOUSE is not set" in container.until("/ready", 503)["error"]["message"]


def test_a_key_vault_reference_that_was_not_resolved_is_named(problems: Built) -> None:
    reference = "@Microsoft.KeyVault(VaultName=vault;SecretName=aoai)"
    with Container(problems, {"AOAI": reference, "HOUSE": "red"}) as container:
        container.until("/health", 200)
        told = container.until("/ready", 503)["error"]["message"]
        assert "AOAI are references to Key Vault" in told
        assert "Key Vault Secrets User" in told


def test_a_flow_that_cannot_be_loaded_says_why_and_goes_on_answering(triage: Built, stand_in: StandIn) -> None:
    classify = triage.app / "use-case/flows/ticket_triage/parse.py"
    whole = classify.read_text()
    classify.write_text(f"raise RuntimeError('no dictionary; the key was {KEY}')\n")
    try:
        with Container(triage, {"AOAI": connection(stand_in.url)}) as container:
            container.until("/health", 200)
            end = time.monotonic() + 30
            while "cannot be loaded" not in (told := container.until("/ready", 503)["error"]["message"]):
                assert time.monotonic() < end, told
                time.sleep(0.1)
            assert "no dictionary" in told
            assert KEY not in told + container.log.read_text()
            assert container.until("/health", 200) == {"status": "Healthy"}
            assert container.stop() == 0
    finally:
        classify.write_text(whole)


def test_told_to_stop_it_is_unready_and_finishes_what_it_has_begun(triage: Built) -> None:
    with (
        ModelServer() as model,
        ThreadPoolExecutor(1) as pool,
        Container(triage, {"AOAI": connection(model.url)}) as container,
    ):
        container.until("/ready", 200)
        answer = pool.submit(container.ask, "POST", "/score", {"ticket": "[slow 1] My invoice is wrong."})
        while not model.requests:
            time.sleep(0.02)
        container.process.send_signal(signal.SIGTERM)
        assert container.until("/ready", 503)["error"]["message"] == "it stops"
        assert answer.result()[0] == 200
        assert container.process.wait(20) == 0
        assert container.lines()[-1]["message"] == "stopped"


def test_told_to_stop_while_it_loads_it_stops_at_once(triage: Built, stand_in: StandIn) -> None:
    with Container(triage, {"AOAI": connection(stand_in.url)}) as container:
        container.until("/health", 200)
        assert container.stop(signal.SIGINT) == 0


def test_health_is_answered_while_all_threads_score_and_too_many_requests_are_refused(triage: Built) -> None:
    with ModelServer() as model, ThreadPoolExecutor(8) as pool:
        variables = {"AOAI": connection(model.url), "GENAIOPS_SERVE_CONCURRENCY": "1"}
        with Container(triage, variables) as container:
            container.until("/ready", 200)
            ticket = {"ticket": "[slow 1] My invoice is wrong."}
            asked = [pool.submit(container.answer, "POST", "/score", json.dumps(ticket).encode()) for _ in range(4)]
            while not model.requests:
                time.sleep(0.02)
            assert container.ask("GET", "/health")[0] == 200
            assert container.ask("GET", "/ready")[0] == 200
            answers = [each.result() for each in asked]
            refused = [headers for status, _, headers in answers if status == 503]
            assert sorted(status for status, _, _ in answers) == [200, 200, 503, 503]
            assert {headers["retry-after"] for headers in refused} == {"1"}


def test_a_server_that_dies_ends_the_container_with_its_code(triage: Built, stand_in: StandIn) -> None:
    with Container(triage, {"AOAI": connection(stand_in.url)}) as container:
        container.until("/ready", 200)
        (server,) = Path(f"/proc/{container.process.pid}/task/{container.process.pid}/children").read_text().split()
        os.kill(int(server), signal.SIGKILL)
        assert container.process.wait(20) == 128 + signal.SIGKILL
        assert container.lines()[-1]["message"] == "the server was killed by SIGKILL"


def test_a_server_ends_with_the_process_that_keeps_it(triage: Built, stand_in: StandIn) -> None:
    with Container(triage, {"AOAI": connection(stand_in.url)}) as container:
        container.until("/health", 200)
        (server,) = Path(f"/proc/{container.process.pid}/task/{container.process.pid}/children").read_text().split()
        container.process.kill()
        container.process.wait()
        end = time.monotonic() + 20
        while Path(f"/proc/{server}").exists() and "\tZ" not in Path(f"/proc/{server}/status").read_text():
            assert time.monotonic() < end, "it is left behind"
            time.sleep(0.05)


def test_what_it_logs_is_json_without_the_key(serving_triage: Container) -> None:
    serving_triage.until("/ready", 200)
    serving_triage.ask(
        "POST", "/score", {"ticket": "My invoice is wrong."}, traceparent="00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    )
    lines = serving_triage.lines()
    assert all({"time", "level", "message"} <= set(line) for line in lines)
    scored = [line for line in lines if line["message"] == "POST /score 200"]
    assert scored[-1]["traceparent"] == "00-" + "a" * 32 + "-" + "b" * 16 + "-01"
    assert scored[-1]["ms"] > 0
    assert KEY not in serving_triage.log.read_text()

"""The stand-in model as a server: what it says over HTTP, how it fails on demand, and whom it answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from genaiops.stand_in_model import StandIn, StandInNotStarted, start_stand_in, tokens
from genaiops.stand_in_model.faults import Fault, Faults
from genaiops.stand_in_model.wire import MODEL

LISTED = '"category" is one of: billing, technical, other. Answer with JSON only: {"category": "..."}'


@pytest.fixture(scope="module")
def stand_in() -> Iterator[StandIn]:
    running = start_stand_in()
    yield running
    running.stop()


@pytest.fixture
def faults(stand_in: StandIn) -> Iterator[Any]:
    """Sets faults on the running stand-in, and takes them back afterwards."""
    yield lambda **changes: call(stand_in, "PUT", "/control", json.dumps(changes).encode())
    call(stand_in, "PUT", "/control", Faults().model_dump_json().encode())


def call(stand_in: StandIn, method: str, path: str, body: bytes | None = None) -> tuple[int, Any, dict[str, str]]:
    request = urllib.request.Request(stand_in.url + path, body, {"Content-Type": "application/json"}, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.loads(response.read()), dict(response.headers)
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read()), dict(error.headers)


def azure(stand_in: StandIn) -> openai.AzureOpenAI:
    return openai.AzureOpenAI(
        azure_endpoint=stand_in.url, api_key="none", api_version="2024-02-01", max_retries=0, timeout=30
    )


# ---------------------------------------------------------------------------------------------------- the wire format


def test_the_azure_client_gets_an_answer_that_names_the_stand_in_and_counts_tokens(stand_in: StandIn) -> None:
    messages = [{"role": "system", "content": LISTED}, {"role": "user", "content": "My invoice is wrong"}]
    answer = azure(stand_in).chat.completions.create(model="gpt-4o", messages=messages, temperature=0)  # type: ignore[arg-type]
    assert answer.model == MODEL == "stand-in (rules, not an LLM)"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content == '{"category": "billing"}'
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == tokens.count_messages([LISTED, "My invoice is wrong"])
    assert answer.usage.completion_tokens == tokens.count('{"category": "billing"}')
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


def test_the_openai_client_gets_the_same_answer(stand_in: StandIn) -> None:
    client = openai.OpenAI(base_url=stand_in.url + "/v1", api_key="none", max_retries=0, timeout=30)
    answer = client.chat.completions.create(
        model="gpt-4o",
        temperature=0,
        messages=[{"role": "system", "content": LISTED}, {"role": "user", "content": "My invoice is wrong"}],
    )
    assert answer.choices[0].message.content == '{"category": "billing"}'
    assert [model.id for model in client.models.list()] == [MODEL]


def test_a_streamed_answer_is_the_whole_answer_in_pieces_and_ends_with_its_usage(stand_in: StandIn) -> None:
    messages: Any = [{"role": "user", "content": "Tell me something about 東京 and Zürich, please"}]
    whole = azure(stand_in).chat.completions.create(model="gpt-4o", messages=messages)
    chunks = list(
        azure(stand_in).chat.completions.create(
            model="gpt-4o", messages=messages, stream=True, stream_options={"include_usage": True}
        )
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert len(pieces) > 3
    assert "".join(pieces) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
    assert chunks[-1].usage == whole.usage


def test_a_token_limit_and_a_stop_word_cut_the_answer(stand_in: StandIn) -> None:
    messages: Any = [{"role": "user", "content": "A question that no rule knows"}]
    limited = azure(stand_in).chat.completions.create(model="gpt-4o", messages=messages, max_tokens=3)
    assert limited.choices[0].finish_reason == "length"
    assert limited.choices[0].message.content == "No rule of"
    assert limited.usage is not None
    assert limited.usage.completion_tokens == 3
    stopped = azure(stand_in).chat.completions.create(model="gpt-4o", messages=messages, stop=[" stand-in"])
    assert stopped.choices[0].message.content == "No rule of this"


def test_several_choices_are_answered(stand_in: StandIn) -> None:
    answer = azure(stand_in).chat.completions.create(
        model="gpt-4o", messages=[{"role": "user", "content": "Hello"}], n=3
    )
    assert [choice.index for choice in answer.choices] == [0, 1, 2]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"{not json", "could not parse the JSON body"),
        (b"\xff\xfe\x00", "could not parse the JSON body"),
        (b"[]", "must be a JSON object"),
        (b"{}", "'messages'"),
        (b'{"messages": []}', "'messages'"),
        (b'{"messages": [{"role": "wizard", "content": "x"}]}', "'messages.0.role'"),
        (b'{"messages": [{"role": "user", "content": "x"}], "temperature": 9}', "'temperature'"),
    ],
)
def test_a_bad_request_is_told_what_is_wrong_with_it(stand_in: StandIn, body: bytes, says: str) -> None:
    status, answer, _ = call(stand_in, "POST", "/v1/chat/completions", body)
    assert status == 400
    assert answer["error"]["type"] == "invalid_request_error"
    assert says in answer["error"]["message"]


def test_azure_wants_an_api_version(stand_in: StandIn) -> None:
    status, answer, _ = call(stand_in, "POST", "/openai/deployments/gpt-4o/chat/completions", b"{}")
    assert (status, answer["error"]["message"]) == (404, "Resource not found")


def test_health_says_that_it_is_a_stand_in(stand_in: StandIn) -> None:
    assert call(stand_in, "GET", "/health")[1] == {"status": "ok", "model": MODEL}


# ------------------------------------------------------------------------------------------------------------- faults


def statuses(stand_in: StandIn, count: int, threads: int = 1) -> dict[int, int]:
    """Status by request number, each request with a text of its own."""

    def post(number: int) -> int:
        body = json.dumps({"messages": [{"role": "user", "content": f"text {number}"}]}).encode()
        return call(stand_in, "POST", "/v1/chat/completions", body)[0]

    with ThreadPoolExecutor(threads) as pool:
        return dict(enumerate(pool.map(post, range(count))))


def test_throttling_tells_the_client_when_to_come_back(stand_in: StandIn, faults: Any) -> None:
    faults(throttle_rate=1.0, retry_after_s=7)
    with pytest.raises(openai.RateLimitError) as raised:
        azure(stand_in).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    assert raised.value.response.headers["Retry-After"] == "7"
    assert raised.value.code == "429"


def test_an_error_is_a_500_with_a_body(stand_in: StandIn, faults: Any) -> None:
    faults(error_rate=1.0)
    with pytest.raises(openai.InternalServerError, match="fails on purpose"):
        azure(stand_in).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])


def test_a_dropped_request_gets_no_answer(stand_in: StandIn, faults: Any) -> None:
    faults(drop_rate=1.0)
    with pytest.raises(openai.APIConnectionError):
        azure(stand_in).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize(("fault", "said"), [("garbage_rate", "%PDF"), ("empty_rate", "")])
def test_garbage_and_silence_come_as_proper_answers(stand_in: StandIn, faults: Any, fault: str, said: str) -> None:
    faults(**{fault: 1.0})
    answer = azure(stand_in).chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "x"}])
    assert (answer.choices[0].message.content or "").startswith(said)
    assert bool(answer.choices[0].message.content) == bool(said)


def test_the_same_seed_fails_the_same_requests_in_whatever_order_they_come(stand_in: StandIn, faults: Any) -> None:
    faults(throttle_rate=0.2, error_rate=0.1, seed=5)
    first = statuses(stand_in, 60)
    faults(seed=5)
    assert statuses(stand_in, 60, threads=8) == first
    assert set(first.values()) == {200, 429, 500}
    faults(seed=6)
    assert statuses(stand_in, 60) != first


def test_a_retry_gets_a_new_chance() -> None:
    settings = Faults(throttle_rate=0.5)
    assert {settings.fault_of("one body", attempt) for attempt in range(1, 20)} == {Fault.THROTTLED, None}


def test_rates_come_true_over_many_requests() -> None:
    settings = Faults(throttle_rate=0.1, error_rate=0.05)
    found = [settings.fault_of(str(number), 1) for number in range(10_000)]
    assert 900 < found.count(Fault.THROTTLED) < 1_100
    assert 400 < found.count(Fault.FAILED) < 600


def test_control_shows_and_counts_and_refuses_what_it_does_not_know(stand_in: StandIn, faults: Any) -> None:
    assert faults(throttle_rate=1.0)[1]["faults"]["throttle_rate"] == 1.0
    statuses(stand_in, 3)
    assert call(stand_in, "GET", "/control")[1]["counts"] == {"throttled": 3}
    for body in (b'{"speed": 1}', b'{"error_rate": 0.5}', b"[1]", b"no", b'{"seed": "x"}'):
        status, answer, _ = call(stand_in, "PUT", "/control", body)
        assert status == 400
        assert "throttle_rate" in answer["error"]["message"]
    assert call(stand_in, "GET", "/control")[1]["faults"]["error_rate"] == 0.0


def test_latency_does_not_stop_requests_from_running_side_by_side(stand_in: StandIn, faults: Any) -> None:
    faults(latency_ms=500)
    assert set(statuses(stand_in, 8, threads=8).values()) == {200}
    assert call(stand_in, "GET", "/control")[1]["most_in_flight"] > 1


# ------------------------------------------------------------------------------------------------------------ process


def test_a_taken_port_is_said_to_be_taken(stand_in: StandIn) -> None:
    with pytest.raises(StandInNotStarted, match=f"{stand_in.port}.*GENAIOPS_STAND_IN_PORT"):
        start_stand_in(stand_in.port)


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    with pytest.raises(StandInNotStarted, match="--throttle-rate"):
        start_stand_in(options={"throttle-rate": 3})
    with pytest.raises(StandInNotStarted, match=r"model\.log"):
        start_stand_in(options={"throttle-rate": 3}, log=tmp_path / "model.log")
    assert "--throttle-rate" in (tmp_path / "model.log").read_text()


def test_options_reach_the_server_and_stop_ends_it() -> None:
    running = start_stand_in(options={"latency-ms": 5, "seed": 3})
    settings = call(running, "GET", "/control")[1]["faults"]
    running.stop()
    running.stop()
    assert (settings["latency_ms"], settings["seed"]) == (5, 3)
    assert not running.running


def test_it_exits_when_its_parent_is_killed() -> None:
    source = (
        "import time\nfrom genaiops.stand_in_model import start_stand_in\n"
        "running = start_stand_in()\nprint(running.process.pid, flush=True)\ntime.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", source], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    deadline = time.monotonic() + 30
    while lives(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not lives(child)


def lives(pid: int) -> bool:
    """Whether the process runs; one that has ended and waits to be collected does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


# ------------------------------------------------------------------------------------------------------ who may ask


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "null"},
    ],
)
@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "/control"), ("POST", "/v1/chat/completions"), ("GET", "/health")]
)
def test_nobody_is_answered_whom_another_site_sends(
    stand_in: StandIn, method: str, path: str, headers: dict[str, str]
) -> None:
    request = urllib.request.Request(stand_in.url + path, b"{}" if method != "GET" else None, headers, method=method)
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=30)
    assert caught.value.code == 403
    assert call(stand_in, "GET", "/control", None)[1]["faults"] == Faults().model_dump()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"messages": ' + b"[" * 100_000,
        b'{"messages": [{"role": "user", "content": "\\ud83d"}]}',
        b'{"messages": [{"role": "user", "content": "\xed\xa0\xbd"}]}',
    ],
)
def test_json_that_could_not_be_written_again_is_a_bad_request(stand_in: StandIn, body: bytes) -> None:
    status, answer, _ = call(stand_in, "POST", "/v1/chat/completions", body)
    assert status == 400
    assert "could not parse the JSON body" in answer["error"]["message"]
    status, answer, _ = call(stand_in, "PUT", "/control", body)
    assert status == 400
    assert "Send a JSON object with any of" in answer["error"]["message"]

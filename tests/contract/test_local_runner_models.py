"""The local flow runner with prompt flow: variants, parameters, and models that refuse."""

from __future__ import annotations

from uuid import uuid4

import pytest

from shared.connections import Connection
from shared.errors import BusinessFailure
from shared.results import LineStatus
from tests.contract.local_runner import (
    KEY,
    one,
    spec,
    tickets,
)


def test_a_node_uses_its_default_variant_unless_another_is_chosen(runner, model):
    default = runner.start(tickets(model, "one"))
    strict = runner.start(tickets(model, "one", variants={"classify": "strict"}))

    assert one(default).outputs == {"category": "plain 0.2 answer", "answer": "plain 0.2 answer"}
    assert one(strict).outputs["answer"] == "strict 0.4 answer"


def test_a_parameter_is_set_on_top_of_the_chosen_variant(runner, model):
    run = tickets(model, "one", variants={"classify": "strict"}, parameters={"classify.temperature": 0.9})
    assert one(runner.start(run)).outputs["answer"] == "strict 0.9 answer"
    assert one(runner.start(tickets(model, "one"))).outputs["answer"] == "plain 0.2 answer"


def test_a_parameter_that_the_node_does_not_write_down_reaches_the_model(runner, model):
    runner.start(tickets(model, "a seed", parameters={"classify.seed": 42}))
    assert [request["seed"] for request in model.requests if request["messages"][-1]["content"] == "a seed"] == [42]


def test_inputs_have_their_types_and_defaults(runner, model):
    run = tickets(model, lines=[{"ticket": "a"}, {"ticket": "a", "shout": "true"}])
    assert [line.outputs["category"] for line in runner.start(run).lines] == ["plain 0.2 answer", "PLAIN 0.2 ANSWER"]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        ({"variants": {"classify": "stricter"}}, "no variant 'stricter'.*'plain', 'strict'"),
        ({"variants": {"tidy": "strict"}}, "'tidy' does not use variants"),
        ({"variants": {"missing": "strict"}}, "no node 'missing'"),
        ({"parameters": {"missing.temperature": 1}}, "'missing.temperature' names no node"),
        ({"parameters": {"warmth": 1}}, "<node>.<input> nor a model setting"),
        ({"connections": {}}, "aoai"),
    ],
)
def test_a_choice_that_the_flow_does_not_offer_is_refused(runner, model, choice, told):
    with pytest.raises(BusinessFailure, match=told):
        runner.start(tickets(model, "one", **choice))


def test_tokens_latency_engine_and_used_models_are_recorded(runner, model):
    outcome = runner.start(tickets(model, "one", "two"))

    assert [(line.tokens.prompt, line.tokens.completion) for line in outcome.lines] == [(11, 3), (11, 3)]
    assert outcome.record.tokens.total == 28
    assert 0 < outcome.record.latency.p50_ms <= outcome.record.latency.p95_ms <= outcome.record.latency.max_ms
    assert outcome.record.engine == "promptflow 1.18.5"
    assert outcome.record.models == (f"aoai: {model.url}",)


def test_no_more_lines_are_in_flight_than_allowed(runner, model):
    model.most_in_flight = 0
    runner.start(tickets(model, *(f"[slow 0.2] {n}" for n in range(12)), concurrency=4))
    assert model.most_in_flight == 4


@pytest.mark.parametrize(("refusal", "attempts"), [("[429 x2]", 3), ("[500 x1]", 2), ("[503 x4]", 5)])
def test_a_refusal_that_passes_is_tried_again_and_counted(runner, model, refusal, attempts):
    text = f"{refusal} {uuid4().hex}"
    outcome = runner.start(tickets(model, text, "fine"))

    line, fine = outcome.lines
    assert (line.status, line.attempts, fine.attempts) == (LineStatus.COMPLETED, attempts, 1)
    assert model.tries[text] == attempts
    assert outcome.record.retries == attempts - 1


@pytest.mark.parametrize("refusal", ["[500]", "[nothing]"])
def test_a_refusal_that_lasts_fails_the_line_after_six_tries(runner, model, refusal):
    text = f"{refusal} {uuid4().hex}"
    line = one(runner.start(tickets(model, text)))

    assert (line.status, line.attempts, model.tries[text]) == (LineStatus.FAILED, 6, 6)
    assert "OpenAI API hits" in line.error


@pytest.mark.parametrize(
    ("refusal", "told"),
    [
        ("[401]", "AuthenticationError: Error code: 401"),
        ("[garbage]", "answered with something that is no JSON"),
        ("[broken json]", "answered with broken JSON"),
        ("[empty]", "answered without `choices`"),
    ],
)
def test_an_answer_that_trying_again_cannot_mend_fails_the_line_at_once(runner, model, refusal, told):
    text = f"{refusal} {uuid4().hex}"
    line = one(runner.start(tickets(model, text)))

    assert line.status is LineStatus.FAILED
    assert told in line.error
    assert model.tries[text] == 1
    assert KEY not in line.error


def test_a_model_that_is_not_there_fails_lines_not_the_runner(runner):
    nobody = {"aoai": Connection("aoai", "azure", "http://127.0.0.1:9", KEY)}
    line = one(runner.start(spec("triage", [{"ticket": "x"}], connections=nobody, line_timeout_s=3.0)))

    assert line.status is LineStatus.FAILED
    assert "Connection error" in line.error

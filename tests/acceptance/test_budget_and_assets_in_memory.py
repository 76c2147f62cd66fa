"""Budgets refuse before anything is run; datasets may be registered data assets. Whole chains in memory."""

from __future__ import annotations

import hashlib
import json

import pytest

from shared import chain_store
from shared.chain.state import ChainStatus
from shared.experimentation.assembly import prepare
from shared.experimentation.plan import NO_BUNDLE, counted
from shared.experimentation.prepare import surroundings
from shared.ports import AssetKind, NewAsset
from shared.use_case.load import load
from tests.memory_world import World

QUESTIONS = "data/questions.jsonl"


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def rows(*numbers):
    return "".join(
        json.dumps({"question": f"question {number}", "answer": f"QUESTION {number}"}) + "\n" for number in numbers
    )


def with_lines(world, *keys):
    return (world.settings.flows / "small/experiment.yaml").read_text() + "\n".join(("", *keys, ""))


def ended(world, request_id, **fields):
    world.clock.advance(100)
    chain = world.request("pr", request_id=request_id, **fields)
    world.pump()
    return world.chain(chain)


# -------------------------------------------------------------------------------------------------------------- budget


def test_a_chain_beyond_its_budget_runs_nothing_and_says_what_it_would_have_taken(world):
    experiment = with_lines(world, "budget:", "  max_runs: 1")
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2), "experiment.yaml": experiment})
    chain = ended(world, "a", bundle=bundle)

    assert chain.status is ChainStatus.FAILED
    assert "it would take 2 runs, at most 1 (`budget.max_runs`)" in chain.reason
    assert "Select fewer variants" in chain.reason
    assert world.runner.started == []
    assert ended(world, "b", bundle=bundle, variants="defaults").status is ChainStatus.SUCCEEDED


LLM_FLOW = """\
inputs: {question: {type: string}}
outputs: {answer: {type: string, reference: "${shout.output}"}}
nodes:
- name: shout
  type: llm
  source: {type: code, path: prompt.jinja2}
  inputs: {deployment_name: gpt, max_tokens: 100, question: "${inputs.question}"}
  connection: aoai
  api: chat
"""


def asks_a_model(world, numbers, *keys):
    return world.publish_use_case(
        {
            QUESTIONS: rows(*numbers),
            "experiment.yaml": with_lines(world, *keys),
            "flows/small/flow.dag.yaml": LLM_FLOW,
            "flows/small/prompt.jinja2": "user:\n" + "x" * 392 + "{{question}}",
        }
    )


def test_what_is_reused_costs_nothing_of_the_budget(world):
    generous = ("budget:", "  max_model_calls: 10")
    assert ended(world, "a", bundle=asks_a_model(world, range(10), *generous)).status is ChainStatus.SUCCEEDED
    tight = ("budget:", "  max_model_calls: 2")
    assert ended(world, "b", bundle=asks_a_model(world, range(12), *tight)).status is ChainStatus.SUCCEEDED
    refused = ended(world, "c", bundle=asks_a_model(world, range(12), *tight), fresh=True)
    assert refused.status is ChainStatus.FAILED
    assert "12 model calls, at most 2 (`budget.max_model_calls`)" in refused.reason


def test_a_budget_of_tokens_goes_by_prompts_inputs_and_limits_of_completions(world):
    refused = ended(world, "a", bundle=asks_a_model(world, range(10), "budget:", "  max_tokens: 1000"))
    assert refused.status is ChainStatus.FAILED
    # A prompt of 410 characters and a row of 50 are about 115 tokens; the completion may have 100.
    assert "2,150 tokens (estimated), at most 1,000 (`budget.max_tokens`)" in refused.reason


def test_a_plan_tells_beforehand_what_the_chain_will_reuse(world, tmp_path):
    ended(world, "a", bundle=world.publish_use_case({QUESTIONS: rows(1, 2, 3)}))
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2, 3, 4)})
    chain = ended(world, "b", bundle=bundle, fresh=True, variants="defaults")
    frozen = chain_store.read_prepared(world.blobs, chain.id)

    folder = world.settings.home / "cache" / "bundles" / bundle
    use_case = load(folder, "dev", data=None)
    around = surroundings(world.ports, use_case, tmp_path)
    preparation = prepare(use_case, NO_BUNDLE, around, selection="defaults")
    assert preparation.chain.cells == frozen.cells, "a plan names the very cells that the chain has run"

    world.clock.advance(100)
    for info in list(world.blobs.list("results", chain.id)):
        world.blobs.delete("results", info.name)
    plan = counted(preparation, use_case, world.blobs)
    assert [(run.lines, run.reused) for run in plan.runs] == [(4, 3)]
    assert [(e.lines, e.reused) for run in plan.runs for e in run.evaluations] == [(4, 3)]
    assert counted(preparation, use_case).reused == 0, "without the installation's store nothing is known"


# --------------------------------------------------------------------------------------------------------- data assets


def registered(world, name, content, source="questions.jsonl"):
    blob = f"datasets/{hashlib.sha256(content.encode()).hexdigest()}"
    world.blobs.write("bundles", blob, content.encode())
    asset, _ = world.registry.register(
        NewAsset(
            kind=AssetKind.DATA,
            name=name,
            content_hash=blob.removeprefix("datasets/"),
            blob=f"bundles/{blob}",
            tags={"source": source},
        )
    )
    return asset


def sourced(world, source):
    experiment = (world.settings.flows / "small/experiment.yaml").read_text()
    return world.publish_use_case(
        {"experiment.yaml": experiment.replace("source: questions.jsonl", f"source: {source}")}
    )


@pytest.mark.parametrize(
    ("source", "questions"), [("azureml:faq:1", 1), ("azureml:faq:2", 3), ("azureml:faq", 3), ("azureml:csv:1", 1)]
)
def test_a_dataset_may_be_a_data_asset_of_a_version_or_the_latest(world, source, questions):
    registered(world, "faq", rows(1))
    registered(world, "faq", rows(1, 2, 3))
    registered(world, "csv", "question,answer\nquestion 7,QUESTION 7\n", source="q.csv")
    chain = ended(world, "a", bundle=sourced(world, source), variants="defaults")
    assert chain.status is ChainStatus.SUCCEEDED, world.log(chain.id)
    (dataset,) = chain_store.read_prepared(world.blobs, chain.id).datasets
    assert dataset.rows == questions
    assert dataset.source.startswith(source.replace("azureml:", "").replace(":", "-"))


def test_a_use_cases_own_asset_is_found_without_its_prefix(world):
    registered(world, "small.questions", rows(1, 2))
    chain = ended(world, "a", bundle=sourced(world, "azureml:questions"), variants="defaults")
    assert chain.status is ChainStatus.SUCCEEDED, world.log(chain.id)


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("azureml:fag", "azureml:fag: 'fag' is no registered data asset; did you mean 'faq'?"),
        ("azureml:faq:7", "azureml:faq:7: '7' is no version of the data asset 'faq'; expected one of: 1"),
    ],
)
def test_a_missing_asset_is_named_with_the_nearest_one(world, source, says):
    registered(world, "faq", rows(1))
    chain = ended(world, "a", bundle=sourced(world, source))
    assert chain.status is ChainStatus.FAILED
    assert says in chain.reason


def test_an_asset_whose_content_is_gone_says_so(world):
    asset = registered(world, "faq", rows(1))
    world.blobs.delete("bundles", asset.blob.removeprefix("bundles/"))
    chain = ended(world, "a", bundle=sourced(world, "azureml:faq"))
    assert "The data asset faq, version 1, is registered, but its content" in chain.reason

"""Texts of chains that ran from message to message: the baseline is what a merge registered, lines are compared with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from shared.adapters.memory.runner import MemoryFlowRunner
from shared.chain.state import Chain, ChainStatus
from shared.notification.approval_text import approval_text
from shared.notification.comment import comment
from shared.notification.final_log import final_log
from shared.notification.run_page import run_summary, status_line, tags
from tests.memory_world import World, accuracy, exact, small_flow

QUESTIONS = '{"question": "one", "answer": "ONE"}\n{"question": "two", "answer": "TWO"}\n'
LOUD = "flows/small/loud.py"
TOOL = """from promptflow.core import tool


@tool
def loud(question: str) -> str:
    return str(question).upper()
"""
HOSTILE = "</td></tr></table> @<6f1d3c2e> #12 | ### ✓ small: Succeeded"


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.request("ci", request_id="merged", commit="aaaaaaa1111", branch="main")
    world.pump()
    return world


def pull_request(world: World, files: Mapping[str, str], answers: Any = small_flow) -> Chain:
    """A pull request whose flow answers so, as it stands after its chain."""
    world.runner = MemoryFlowRunner({"small": answers, "evaluate": exact}, {"evaluate": accuracy}, clock=world.clock)
    world.ports = world._wired()
    identifier = world.request(
        "pr", request_id="asked", pull_request=7, commit="bbbbbbb2222", branch="feature/quiet",
        bundle=world.publish_use_case(files),
    )  # fmt: skip
    world.pump()
    return world.chain(identifier)


def worse(inputs: Mapping[str, object], spec: Any) -> Mapping[str, object]:
    """Right on the first question alone; what it says on the other one is made to mislead."""
    return {"answer": "ONE" if inputs["question"] == "one" else HOSTILE}


def test_a_flow_that_became_worse_is_shown_beside_what_the_merge_registered(world: World) -> None:
    chain = pull_request(world, {LOUD: TOOL}, worse)
    assert chain.status is ChainStatus.FAILED
    text = comment(world.ports, chain)
    assert text.startswith(
        "### ✕ small: Gates missed\n\n1 gate missed:\n\n- exact.accuracy of default on questions is 0.5"
    )
    assert "The baseline is version 1 of small (default), registered from main." in text
    assert "| accuracy of exact | questions | 1 | 0.5 | −0.5 | **worse** |" in text
    assert "2 lines compared with version 1: 1 worse, 0 better." in text
    changed = text.splitlines()[-1]
    assert changed.startswith("| 2 of questions | two | TWO | TWO | &lt;/td&gt;&lt;/tr&gt;")
    assert changed.endswith("| 1 → 0 |")
    assert "@<" not in text
    assert "#12" not in text


def test_the_same_flow_has_no_worse_line(world: World) -> None:
    chain = pull_request(world, {LOUD: TOOL})
    assert chain.status is ChainStatus.SUCCEEDED
    text = comment(world.ports, chain)
    assert text.startswith("### ✓ small: Succeeded\n\nGood: default meets all 2 gates")
    assert "| accuracy of exact | questions | 1 | 1 | ±0 | equal |" in text
    assert text.endswith("2 lines compared with version 1: 0 worse, 0 better.")


def test_on_other_data_lines_are_not_compared_with_the_registered_version(world: World) -> None:
    chain = pull_request(world, {"data/questions.jsonl": QUESTIONS.replace("two", "three").replace("TWO", "THREE")})
    text = comment(world.ports, chain)
    assert "It was measured on other content of questions" in text
    assert "compared with version 1" not in text, "line 2 is another question there"


def test_lines_of_a_version_whose_chain_was_removed_are_not_compared(world: World) -> None:
    chain = pull_request(world, {LOUD: TOOL}, worse)
    merged = next(c.id for c in world.chains() if c.request.kind.value == "ci")
    world.blobs.delete("chains", f"{merged}/state.json")
    text = comment(world.ports, chain)
    assert "| accuracy of exact | questions | 1 | 0.5 | −0.5 | **worse** |" in text
    assert "lines compared with version 1" not in text


def test_a_merge_of_what_is_registered_already_keeps_its_evidence_and_its_baseline(world: World) -> None:
    identifier = world.request("ci", request_id="again", commit="ccccccc3333", branch="main", fresh=True)
    world.pump()
    chain = world.chain(identifier)
    assert chain.status is ChainStatus.SUCCEEDED
    assert chain.approval is not None
    assert chain.evidence == chain.approval.evidence, "registering changed the version's tags, not what was approved"
    assert "The baseline is version 1 of small (default), registered from main." in run_summary(world.ports, chain)


def test_an_approver_of_a_release_sees_what_the_merge_measured(world: World) -> None:
    identifier = world.request("cd", request_id="released", requester="Priya", traffic=25)
    world.pump(approve=False)
    chain = world.chain(identifier)
    assert chain.status is ChainStatus.AWAITING_APPROVAL
    text = approval_text(world.ports, chain)
    assert "deployment of **small**, version 1, to the endpoint **small** in dev." in text
    assert "it takes 25 % of the traffic" in text
    assert "◆ **default** (candidate, default) | 1 |" in text
    assert status_line(chain) == "Waiting for approval"


def test_the_log_and_the_tags_of_a_chain_that_deployed(world: World) -> None:
    chain = next(c for c in world.chains() if c.request.kind.value == "ci")
    log = final_log(world.ports, chain)
    for text in world.log(chain.id):
        assert text in log
    assert "##[section]Succeeded" in log
    assert {"genaiops-succeeded", "small-ci", "small-version-1", "deployed-small"} <= set(tags(chain))

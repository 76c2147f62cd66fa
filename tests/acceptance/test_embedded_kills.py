"""The host of a real chain is killed with SIGKILL, again and again, and the chain ends as if nothing had happened."""

from __future__ import annotations

import http.client
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared.chain.state import ChainStatus
from shared.ports import AssetKind
from tests.acceptance.conftest import FOLDER, USE_CASE, Undisturbed
from tests.acceptance.embedded import Embedded, facts, waits_for_approval

pytestmark = [pytest.mark.xdist_group("embedded-chain"), pytest.mark.timeout(1500)]

KILLS = 25
WHILE_STARTING = 5
"""So many of the kills come before the host serves."""


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    embedded = Embedded(tmp_path / "home")
    yield embedded
    if embedded.process is not None:
        embedded.kill()


class Story:
    """A chain, the pipeline and the approver who want it, and somebody with a SIGKILL."""

    def __init__(self, embedded: Embedded, answers: int) -> None:
        self.embedded = embedded
        self.answers = answers
        """Answers that the chain gets in an undisturbed life, one for each command."""
        self.chain = ""
        self.refused = 0
        """How often the approver found nobody at home."""
        self.accepted = 0
        self.moments: list[str] = []

    def ask(self) -> None:
        """The pipeline publishes whether a host runs or not."""
        self.chain = self.embedded.request(USE_CASE, "build-1", folder=FOLDER, commit="a" * 40, branch="main")

    def progress(self) -> int:
        chain = self.embedded.find(self.chain)
        return chain.commands - len(chain.awaiting) if chain else 0

    def waits(self) -> bool:
        return waits_for_approval(self.embedded.find(self.chain))

    def until(self, goal: int) -> None:
        """Until the chain has got so far, or it is people's turn."""
        self.embedded.until(lambda: self.progress() >= goal or self.waits(), f"{goal} of {self.answers} answers")

    def try_to_approve(self) -> bool:
        """As an approver does: open the link; if nothing answers, try again later."""
        try:
            status = self.embedded.approve(self.embedded.chain(self.chain))
        except (OSError, http.client.HTTPException):
            self.refused += 1
            return False
        assert status in (303, 409), "409: an earlier answer came through after all"
        self.accepted += 1
        return True

    def kill(self) -> None:
        chain = self.embedded.find(self.chain)
        at = "before it began" if chain is None else f"{chain.step.step if chain.step else 'end'} {self.progress()}"
        self.embedded.kill()
        self.moments.append(at)
        self.embedded.until_no_process_is_left()

    def start(self) -> None:
        self.embedded.start()


def test_killed_25_times_at_random_moments_a_chain_ends_with_the_same_registry_deployment_and_one_decision(
    undisturbed: Undisturbed, embedded: Embedded
) -> None:
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"KILL_SEED={seed} repeats the choice of moments")
    moments = random.Random(seed)
    story = Story(embedded, undisturbed.chain.commands)
    later = KILLS - WHILE_STARTING
    # Not before so many answers: one kill in each part of the chain's life. A life that got further is killed at once.
    goals = [int((part + moments.random()) / later * story.answers) for part in range(later)]
    starting = set(moments.sample(range(KILLS), WHILE_STARTING))
    story.ask()

    for kill in range(KILLS):
        story.start()
        if kill in starting:
            time.sleep(moments.uniform(0, 2))
        else:
            embedded.until_serving()
            story.until(goals.pop(0))
            if not story.waits():
                # The delay finds what the count of answers does not tell: model calls, a deployment that comes up.
                time.sleep(moments.uniform(0, 1.2))
            elif story.refused:  # else it is killed while it waits, and the approver finds nobody at home
                story.try_to_approve()
        story.kill()
        if story.waits() and not story.accepted:
            assert not story.try_to_approve()
    print(f"killed in: {', '.join(story.moments)}")

    story.start()
    embedded.until_serving()
    story.until(story.answers)
    if story.waits():
        assert story.try_to_approve()
    ended = embedded.until_ended(story.chain)
    assert ended.status is ChainStatus.SUCCEEDED, embedded.log(story.chain)
    # The chain may have ended before the last kill: then the endpoint is coming back.
    embedded.until(lambda: facts(embedded, story.chain)["endpoints"] == undisturbed.facts["endpoints"], "it is served")

    assert story.chain == undisturbed.chain.id
    found = facts(embedded, story.chain)
    for what, expected in undisturbed.facts.items():
        assert found[what] == expected, f"{what}; {embedded.log(story.chain)}"
    assert len(embedded.ports.registry.list(AssetKind.MODEL)) == 1
    assert [asset.version for asset in embedded.ports.registry.list(AssetKind.DATA)] == ["1", "1", "1"]
    assert [len(endpoint.deployments) for endpoint in embedded.ports.endpoints.list()] == [1]
    assert ended.approval is not None
    assert story.refused, "the approver has met a host that was down"
    assert embedded.log(story.chain).count("approved by") == 1
    assert embedded.dead_letters() == []
    # What is left are the reminder and the time-out of the approval: they were sent for later, and come to nothing.
    embedded.until(lambda: embedded.messages() == undisturbed.messages, lambda: f"all is done: {embedded.messages()}")
    assert set(undisturbed.messages.values()) == {(0, 2, 0)}, "no active one, two scheduled, no dead letter"
    status, answer = embedded.http(
        f"{embedded.router_url}/ticket-triage/score",
        (FOLDER / "configs" / "sample-request.json").read_bytes(),
        {"Content-Type": "application/json"},
    )
    assert status == 200, answer

    embedded.stop()
    embedded.until_no_process_is_left()

"""A chain whose process dies at any I/O step, or whose messages all come twice, ends as if nothing had happened.

Each scenario plays a story; its last act is played again and again, with the process dying right after each of its I/O
steps in turn (which is also: right before the next one). In the end everything that people and pipelines can see must
be what it is without a crash.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from shared.adapters.memory.endpoints import MemoryEndpoints
from shared.chain.messages import CancelRequested, DatasetUpload, Queue
from shared.ports import AssetKind
from tests.memory_world import USE_CASES, World, small_flow

SHARES = 2
"""The steps of a scenario are shared out over so many tests, so that they run side by side."""

VARYING = re.compile(r"\d+ ms|\(v1-\w+ \d.*\)")
"""What a repeated call may change in the log: how long it took, and who answered behind the split."""

LOUD = (USE_CASES / "small" / "flows" / "small" / "loud.py").read_text("utf-8")


def first_version(world: World) -> None:
    world.request(commit="a" * 40, branch="main")
    world.pump()


def nothing(world: World) -> None:
    """The world is as it begins."""


def second_version(world: World) -> None:
    digest = world.publish_use_case({"flows/small/loud.py": LOUD + "# changed\n"})
    world.request(request_id="r2", bundle=digest, commit="b" * 40, branch="main")
    world.pump()


def failing_version(world: World) -> None:
    digest = world.publish_use_case({"flows/small/loud.py": LOUD + "# fails under load\n"})
    world.request(request_id="r2", bundle=digest, traffic=100)
    world.pump()


def dataset(world: World) -> None:
    content = b'{"question": "three", "answer": "THREE"}\n'
    world.blobs.write("datasets", "small/questions/new.jsonl", content)
    world.request("dataset", "small", "d1", dataset=DatasetUpload(name="questions", blob="small/questions/new.jsonl"))
    world.pump()


def release(world: World) -> None:
    world.request("cd", request_id="release", traffic=100)
    world.pump()


def cancelled(world: World) -> None:
    chain = world.request(request_id="r2")
    world.pump(approve=False)
    event = CancelRequested(id=f"{chain}/cancel/page", chain=chain, at=world.clock.now(), by="ada")
    world.publish(Queue.CHAIN_EVENTS, event.model_dump_json().encode(), event.id, session=chain)
    world.pump()


class SecondFails(MemoryEndpoints):
    """The second version answers when it is called directly, and fails behind the traffic split."""

    def invoke(self, endpoint, payload, deployment=None):
        answer = super().invoke(endpoint, payload, deployment)
        if deployment is None and answer.deployment.startswith("v2-"):
            return replace(answer, status=500, body=b"the second version fails under load")
        return answer


SCENARIOS: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "the first version": (nothing, first_version),
    "the second version beside the first": (first_version, second_version),
    "the second version is rolled back": (first_version, failing_version),
    "a new dataset": (first_version, dataset),
    "a release": (first_version, release),
    "a cancellation": (nothing, cancelled),
}


def play(name: str, home: Path, *, crash_after: int | None = None, duplicates: bool = False) -> World:
    """Play a scenario; the process dies after that step of its last act."""
    options = {"endpoints": SecondFails({"small": small_flow}, looks=1)} if "rolled back" in name else {}
    world = World(home, duplicates=duplicates, **options)
    before, last = SCENARIOS[name]
    before(world)
    world.steps.count = 0
    world.steps.names.clear()
    world.steps.crash_at, world.steps.after = crash_after, True
    last(world)
    return world


def facts(world: World) -> dict[str, object]:
    """What people and pipelines see in the end."""
    endpoints = world.endpoints.list()
    return {
        "chains": sorted((c.id, c.status, c.reason, c.candidate.label if c.candidate else "") for c in world.chains()),
        "decisions": sorted((c.id, c.approval.decided_by, c.approval.verdict) for c in world.chains() if c.approval),
        "data": [(a.name, a.version, a.content_hash) for a in world.registry.list(AssetKind.DATA)],
        "models": [(a.name, a.version, a.content_hash) for a in world.registry.list(AssetKind.MODEL)],
        "metrics": [json.loads(a.tags["metrics"]) for a in world.registry.list(AssetKind.MODEL)],
        "traffic": {e.name: {n: s for n, s in e.traffic.items() if s} for e in endpoints},
        "deployments": {e.name: [d.name for d in e.deployments] for e in endpoints},
        "notices": {key: notice.title for key, notice in world.notifier.notices.items()},
        "evidence": sorted(c.evidence or "" for c in world.chains()),
        "dead letters": world.dead_letters(),
        "waiting": {name: world.bus.counts(name).active for name in world.settings.queues.values()},
        "logs": {c.id: sorted(VARYING.sub("…", text) for text in world.log(c.id)) for c in world.chains()},
    }


def same(found: dict[str, object], expected: dict[str, object]) -> None:
    for key, value in expected.items():
        assert found[key] == value, key


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What each scenario comes to without a crash, played once."""
    played: dict[str, tuple[dict[str, object], list[str]]] = {}

    def of(name: str) -> tuple[dict[str, object], list[str]]:
        if name not in played:
            world = play(name, tmp_path_factory.mktemp("undisturbed"))
            assert set(Counter(notice.key for notice in world.notifier.sent).values()) == {1}, (
                "each notice goes out once"
            )
            played[name] = facts(world), list(world.steps.names)
        return played[name]

    return of


def test_the_scenarios_are_what_they_say(undisturbed):
    def found(name: str, key: str) -> object:
        return undisturbed(name)[0][key]

    assert [len(found(name, "models")) for name in SCENARIOS] == [1, 2, 2, 1, 1, 1]
    shares = {name: [sorted(split.values()) for split in found(name, "traffic").values()] for name in SCENARIOS}
    assert shares["the first version"] == [[100]]
    assert shares["the second version beside the first"] == [[10, 90]]
    assert shares["the second version is rolled back"] == [[100]]
    assert len(found("a new dataset", "data")) == 2
    assert [status for _, status, _, _ in found("a cancellation", "chains")] == ["cancelled"]
    assert [status for _, status, _, _ in found("the second version is rolled back", "chains")].count("failed") == 1


@pytest.mark.parametrize("share", range(SHARES))
@pytest.mark.parametrize("name", SCENARIOS)
def test_dying_after_any_step_changes_nothing_in_the_end(name, share, undisturbed, tmp_path):
    expected, names = undisturbed(name)
    for step in range(share + 1, len(names) + 1, SHARES):
        world = play(name, tmp_path, crash_after=step)
        try:
            same(facts(world), expected)
            sent = Counter(notice.key for notice in world.notifier.sent)
            assert sum(sent.values()) <= len(expected["notices"]) + 1, "only what was under way is told again"
        except AssertionError as error:
            where = f"died after step {step} of {len(names)} ({names[step - 1]})"
            raise AssertionError(f"{where}: {error}") from error


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_message_coming_twice_changes_nothing(name, undisturbed, tmp_path):
    expected, _ = undisturbed(name)
    same(facts(play(name, tmp_path, duplicates=True)), expected)

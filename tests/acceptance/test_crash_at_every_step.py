"""A chain whose process dies at any I/O step, or whose messages all come twice, ends as if nothing had happened."""

from __future__ import annotations

import json

import pytest

from shared.chain.state import ChainStatus
from shared.ports import AssetKind, NoticeKind
from tests.memory_world import Steps, World

SHARES = 8
"""The steps are shared out over so many tests, so that they run side by side."""


def run(home, steps: Steps, *, duplicates: bool = False) -> World:
    """Two passes of a ci chain, the second with another variant, so that traffic is split."""
    world = World(home, duplicates=duplicates)
    world.steps.crash_at, world.steps.after = steps.crash_at, steps.after
    world.request(commit="a" * 40, branch="main")
    world.pump()
    world.request(request_id="r2", variants="*", traffic=25, commit="b" * 40, branch="main")
    world.pump()
    return world


def facts(world: World) -> dict[str, object]:
    """What must not depend on crashes or repeats."""
    return {
        "chains": sorted((c.id, c.status, c.reason, c.candidate.label if c.candidate else "") for c in world.chains()),
        "decisions": sorted((c.id, c.approval.decided_by, c.approval.verdict) for c in world.chains() if c.approval),
        "data": [(a.name, a.version, a.content_hash) for a in world.registry.list(AssetKind.DATA)],
        "models": [(a.name, a.version, a.content_hash) for a in world.registry.list(AssetKind.MODEL)],
        "metrics": [json.loads(a.tags["metrics"]) for a in world.registry.list(AssetKind.MODEL)],
        "traffic": dict(world.endpoints.describe("small").traffic),
        "deployments": [d.name for d in world.endpoints.describe("small").deployments],
        "results": sorted({n.key for n in world.notifier.of_kind(NoticeKind.RESULT)}),
        "evidence": sorted(c.evidence or "" for c in world.chains()),
        "dead letters": world.dead_letters(),
        "logs": {c.id: world.log(c.id) for c in world.chains()},
    }


def checked(found: dict[str, object], expected: dict[str, object]) -> None:
    for key, value in expected.items():
        if key == "logs":
            continue
        assert found[key] == value, key
    logs, undisturbed = found["logs"], expected["logs"]
    assert isinstance(logs, dict)
    assert isinstance(undisturbed, dict)
    for chain, lines in undisturbed.items():
        assert sorted(logs[chain]) == sorted(lines), f"the log of {chain} says the same"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    world = run(tmp_path_factory.mktemp("undisturbed"), Steps())
    expected = facts(world)
    assert [status for _, status, _, _ in expected["chains"]] == [ChainStatus.SUCCEEDED] * 2
    assert len(expected["models"]) == 1
    assert len(expected["decisions"]) == 2
    return expected, world.steps.count, world.steps.names


@pytest.mark.parametrize("share", range(SHARES))
def test_dying_at_any_step_changes_nothing_in_the_end(share, undisturbed, tmp_path):
    expected, count, names = undisturbed
    for step in range(share + 1, count + 1, SHARES):
        for after in (False, True):
            found = facts(run(tmp_path, Steps(crash_at=step, after=after)))
            try:
                checked(found, expected)
            except AssertionError as error:
                when = "after" if after else "before"
                raise AssertionError(f"died {when} step {step} of {count} ({names[step - 1]}): {error}") from error


def test_every_message_coming_twice_changes_nothing(undisturbed, tmp_path):
    expected, _, _ = undisturbed
    checked(facts(run(tmp_path, Steps(), duplicates=True)), expected)

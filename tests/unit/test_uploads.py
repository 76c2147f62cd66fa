"""Uploads whose event failed at every try: people see them among the dead letters, and a replay makes up for the event."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from genaiops.embedded import keep_as_dead_letter
from genaiops.host.blobs import PoisonBlob
from shared import dead_letters
from shared.chain.messages import ChainKind, Queue
from shared.chain.state import ChainStatus
from shared.datasets.uploads import dataset_uploaded
from tests.memory_world import World

BLOB = "small/questions/new.jsonl"


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A use case that has run once, and an upload whose event nobody handled."""
    world = World(tmp_path)
    world.request()
    world.pump()
    world.blobs.write("datasets", BLOB, b'{"question": "three", "answer": "THREE"}\n')
    return world


def poison(world: World, name: str = BLOB) -> PoisonBlob:
    info = world.blobs.info("datasets", BLOB)
    error = "dataset_changes: OSError('No space left on device')"
    return PoisonBlob("dataset_changes", "datasets", name, info.etag, info.last_modified, 5, error)


def dataset_chains(world: World) -> list[ChainStatus]:
    return [chain.status for chain in world.chains() if chain.request.kind is ChainKind.DATASET]


def test_an_upload_that_was_given_up_is_a_dead_letter_with_its_reason(world: World) -> None:
    blob = poison(world)
    keep_as_dead_letter(world.ports, blob)
    keep_as_dead_letter(world.ports, blob)  # the host was killed before it could note that it had
    (letter,) = dead_letters.listed(world.ports)
    assert (letter.queue, letter.reason, letter.delivery_count) == (Queue.CHAIN_REQUESTS, "UploadFailed", 5)
    assert letter.enqueued_at == blob.last_modified
    assert BLOB in letter.description
    assert "No space left on device" in letter.description
    assert "Replay this dead letter, or upload the file again" in letter.description


def test_its_replay_starts_the_re_evaluation_that_the_event_should_have_started(world: World) -> None:
    keep_as_dead_letter(world.ports, poison(world))
    world.pump()
    assert dataset_chains(world) == []

    (letter,) = dead_letters.listed(world.ports)
    dead_letters.replay(world.ports, letter.id)
    world.pump()

    assert dataset_chains(world) == [ChainStatus.SUCCEEDED]
    assert dead_letters.listed(world.ports) == []


def test_an_event_that_came_through_after_all_and_the_replay_start_one_chain(world: World) -> None:
    blob = poison(world)
    keep_as_dead_letter(world.ports, blob)
    dataset_uploaded(world.ports, BLOB, blob.etag)
    (letter,) = dead_letters.listed(world.ports)
    dead_letters.replay(world.ports, letter.id)
    world.pump()
    assert dataset_chains(world) == [ChainStatus.SUCCEEDED]


def test_a_name_that_says_nothing_is_malformed_however_it_comes(world: World) -> None:
    keep_as_dead_letter(world.ports, poison(world, "questions.jsonl"))
    (letter,) = dead_letters.listed(world.ports)
    assert letter.reason == "Malformed"
    assert "must be named <use case>/<dataset>/<file>" in letter.description


def test_blobs_of_other_containers_are_the_hosts_own_record(world: World) -> None:
    keep_as_dead_letter(world.ports, replace(poison(world), container="elsewhere"))
    assert dead_letters.listed(world.ports) == []

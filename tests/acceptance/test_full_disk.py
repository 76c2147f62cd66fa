"""A full disk: chains that need it fail with what to do, others go on, and with space again nothing was lost."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from shared.adapters.local.blobs import FileBlobStore
from shared.chain.state import ChainStatus
from tests.memory_world import World


class FillingDisk(FileBlobStore):
    """The file store of a laptop, on a disk that is full for blobs whose `<container>/<name>` starts like `full_for`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.full_for = "nothing"
        self.refused = 0

    def write(self, container: str, name: str, content: bytes | BinaryIO, **options: Any) -> str:
        with self._disk(container, name):
            return super().write(container, name, content, **options)

    def append(self, container: str, name: str, content: bytes) -> None:
        with self._disk(container, name):
            super().append(container, name, content)

    @contextmanager
    def _disk(self, container: str, name: str) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            if f"{container}/{name}".startswith(self.full_for):
                patch.setattr(os, "fsync", self._no_space)
            yield

    def _no_space(self, _: int) -> None:
        self.refused += 1
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.fixture
def disk(tmp_path: Path) -> FillingDisk:
    return FillingDisk(tmp_path / "blobs")


@pytest.fixture
def world(tmp_path: Path, disk: FillingDisk) -> World:
    return World(tmp_path, blobs=disk)


def test_a_chain_whose_results_find_no_space_fails_with_what_to_do_and_the_other_one_succeeds(
    world: World, disk: FillingDisk
) -> None:
    unlucky = world.request(request_id="unlucky")
    disk.full_for = f"results/{unlucky}"
    good = world.request(request_id="good")
    world.pump()

    chain = world.chain(unlucky)
    assert chain.status is ChainStatus.FAILED
    log = "\n".join(world.log(unlucky))
    assert f"RunCell failed {world.settings.max_delivery_count} times, the last time with: The disk that holds" in log
    assert "is full (No space left on device); nothing was changed. Free space and try again." in log
    assert disk.refused >= world.settings.max_delivery_count, "it was tried as often as any passing fault"
    assert world.chain(good).status is ChainStatus.SUCCEEDED, world.log(good)


def test_a_disk_that_is_full_for_a_while_costs_time_and_nothing_else(world: World, disk: FillingDisk) -> None:
    chain = world.request()
    disk.full_for = "results/"
    while disk.refused < world.settings.max_delivery_count - 1:
        assert world._deliver_one()
    disk.full_for = "nothing"
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    assert world.dead_letters() == []


def test_a_chain_whose_state_cannot_be_written_goes_on_once_there_is_space(world: World, disk: FillingDisk) -> None:
    chain = world.request()
    disk.full_for = "chains/"
    for _ in range(world.settings.max_delivery_count - 1):
        assert world._deliver_one()
    assert world.chains() == []
    disk.full_for = "nothing"
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)

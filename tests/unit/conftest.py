"""Fixtures that several modules of unit tests share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.unit.service_bus_desk import Desk


@pytest.fixture(scope="module")
def shared_desk(request: pytest.FixtureRequest) -> Iterator[Desk]:
    """One broker a module, and the SDK's clients; a module's `CLIENT` holds options of its client."""
    from tests.unit.service_bus_desk import Desk  # the SDK is for those who ask for it alone

    desk = Desk(**getattr(request.module, "CLIENT", {}))
    yield desk
    desk.close()


@pytest.fixture
def desk(shared_desk: Desk) -> Desk:
    """The broker with nothing in it yet, for one test."""
    shared_desk.broker.reset()
    return shared_desk

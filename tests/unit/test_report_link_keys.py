"""The key that signs links to reports: asked for again in time, and never taken for one that the service did not give."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared.adapters.azure.storage.links import KEY_LIFE, Links


class Service:
    """Gives a key a call, unless it is away."""

    def __init__(self) -> None:
        self.is_away = False
        self.given = 0

    @property
    def client(self) -> Service:
        return self

    def get_user_delegation_key(self, start: datetime, end: datetime) -> str:
        assert end - start > KEY_LIFE
        if self.is_away:
            raise ConnectionError
        self.given += 1
        return f"key {self.given}"


def test_a_key_that_could_not_be_renewed_signs_nothing_beyond_its_own_life():
    service = Service()
    links = Links(service)  # type: ignore[arg-type]
    now = datetime(2026, 11, 23, tzinfo=UTC)
    hour = timedelta(hours=1)
    assert links._key_until(now, now + hour) == "key 1"  # type: ignore[comparison-overlap]
    service.is_away = True
    later = now + KEY_LIFE
    for _ in range(2):
        with pytest.raises(ConnectionError):
            links._key_until(later, later + hour)
    service.is_away = False
    assert links._key_until(later, later + hour) == "key 2"  # type: ignore[comparison-overlap]

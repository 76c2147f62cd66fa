"""What the broker did, counted for tests; read them from any thread."""

from __future__ import annotations

from dataclasses import dataclass, field, fields


@dataclass(frozen=True)
class Token:
    """A token that a client put on `$cbs`."""

    kind: str
    audience: str
    text: str = field(repr=False)
    accepted: bool = True


@dataclass
class Counters:
    """Each message counts once for each time that the thing happened to it."""

    connections: int = 0
    accepted: int = 0
    duplicates_dropped: int = 0
    delivered: int = 0
    completed: int = 0
    repeated: int = 0
    abandoned: int = 0
    released: int = 0
    deferred: int = 0
    dead_lettered: int = 0
    """By a receiver; `exhausted` are those that the queue itself moved."""
    exhausted: int = 0
    expired: int = 0
    locks_expired: int = 0
    sessions_expired: int = 0
    settlements_lost: int = 0
    tokens: list[Token] = field(default_factory=list)

    def reset(self) -> None:
        """Count from nothing."""
        fresh = Counters()
        for item in fields(self):
            setattr(self, item.name, getattr(fresh, item.name))

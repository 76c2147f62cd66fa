"""What goes wrong on purpose. A test sets it at any time, from any thread; each fault that is counted happens so often.

The names say what a client sees: `busy`, a connection that is cut, a settlement that is lost, a link that is detached.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from enum import StrEnum


class Cut(StrEnum):
    """When a connection is cut: while a message comes in, once it is stored but not yet confirmed, or while one goes out."""

    WHILE_SENDING = "while-sending"
    BEFORE_CONFIRMATION = "before-confirmation"
    WHILE_DELIVERING = "while-delivering"


@dataclass
class Faults:
    """The faults of one broker."""

    duplicate_deliveries: bool = False
    """Every completed message is delivered once more."""
    refuse_tokens: bool = False
    """`$cbs` answers 401."""
    delivery_delay_seconds: float = 0
    """A slow link: so long between one delivery and the next on each link."""
    _left: dict[str, int] = field(default_factory=dict)
    _cuts: dict[Cut, int] = field(default_factory=dict)
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def busy(self, *, sends: int = 0, receives: int = 0, management: int = 0) -> None:
        """The next sends, requests for messages and requests on `$management` get com.microsoft:server-busy."""
        with self._mutex:
            self._left.update(sends=sends, receives=receives, management=management)

    def fail_receivers(self, times: int = 1) -> None:
        """The next requests for messages get their link detached with amqp:internal-error."""
        with self._mutex:
            self._left["internal"] = times

    def lose_settlements(self, times: int, *, answered: bool = True) -> None:
        """The next settlements are not applied; the client hears that they were (or, not answered, nothing)."""
        with self._mutex:
            self._left["lost" if answered else "unanswered"] = times

    def cut_connection(self, when: Cut, *, at: int = 1) -> None:
        """Cut the connection of the `at`-th message from now, counted over all connections."""
        with self._mutex:
            self._cuts[when] = at

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        with self._mutex:
            self._left.clear()
            self._cuts.clear()
            self.duplicate_deliveries = self.refuse_tokens = False
            self.delivery_delay_seconds = 0

    def strikes(self, what: str) -> bool:
        """Whether a counted fault happens now."""
        if not self._left:
            return False
        with self._mutex:
            left = self._left.get(what, 0)
            if left > 0:
                self._left[what] = left - 1
            return left > 0

    def cuts(self, when: Cut) -> bool:
        """Whether this message is the one at which the connection is cut."""
        if not self._cuts:
            return False
        with self._mutex:
            left = self._cuts.get(when, 0)
            if left == 1:
                del self._cuts[when]
            elif left > 1:
                self._cuts[when] = left - 1
            return left == 1

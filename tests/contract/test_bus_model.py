"""The local bus against a simple model: whatever is done to both, both do and say the same.

The model is the bus in memory: plain lists and dictionaries, no SQL. Beside the comparison, no message may ever vanish.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from shared.adapters.local.bus import LocalBus
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.memory.clock import ManualClock
from shared.adapters.queues import QueueConfig
from shared.errors import GenAIOpsError
from shared.ports import OutgoingMessage, ReceivedMessage

QUEUES = (
    QueueConfig("plain", lock_seconds=10, max_delivery_count=2, duplicate_window_seconds=25),
    QueueConfig("sessions", lock_seconds=10, max_delivery_count=2, sessions=True, duplicate_window_seconds=25),
)
DEAD = tuple(f"{config.name}/$deadletterqueue" for config in QUEUES)
ALL = ("plain", "sessions", *DEAD)

ids = st.sampled_from([f"m{n}" for n in range(8)])
sessions = st.sampled_from(["a", "b"])
consumers = st.integers(0, 1)


class BusMachine(RuleBasedStateMachine):
    """Two consumers of the local bus and two of the model, with one clock."""

    received = Bundle("received")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = ManualClock()
        path = Path(self.folder.name) / "bus.sqlite"
        self.local = [LocalBus(path, QUEUES, self.clock) for _ in range(2)]
        model = MemoryBus(QUEUES, self.clock)
        self.model = [model, model.consumer()]
        self.kept = 0
        """Messages that were taken in and not completed."""

    def both(self, consumer: int, call: Callable[[Any], Any]) -> tuple[Any, Any]:
        """Do it to both; a refusal must be the same refusal."""
        results = []
        for bus in (self.local[consumer], self.model[consumer]):
            try:
                results.append(call(bus))
            except GenAIOpsError as error:
                results.append((type(error), str(error)))
        return results[0], results[1]

    def same(self, consumer: int, call: Callable[[Any], Any]) -> Any:
        local, model = self.both(consumer, call)
        assert local == model
        return local

    @rule(consumer=consumers, batch=st.lists(ids, min_size=1, max_size=3), session=sessions, to=st.sampled_from(QUEUES),
          delay=st.sampled_from([None, -5, 3, 12, 40]))  # fmt: skip
    def send(self, consumer: int, batch: list[str], session: str, to: QueueConfig, delay: int | None) -> None:
        due = None if delay is None else self.clock.now() + timedelta(seconds=delay)
        messages = [OutgoingMessage(b"body", f"{session}-{each}", session, due) for each in batch]
        before = self.model[0].counts(to.name)
        assert self.same(consumer, lambda bus: bus.send(to.name, messages)) is None
        after = self.model[0].counts(to.name)
        self.kept += after.active + after.scheduled - before.active - before.scheduled

    @rule(target=received, consumer=consumers, queue=st.sampled_from(("plain", *DEAD)), count=st.integers(1, 3))
    def receive(self, consumer: int, queue: str, count: int):
        return self.pairs(*self.both(consumer, lambda bus: bus.receive(queue, count=count)))

    @rule(target=received, consumer=consumers, session=sessions, count=st.integers(1, 3))
    def receive_from_session(self, consumer: int, session: str, count: int):
        local, model = self.both(consumer, lambda bus: bus.receive("sessions", count=count, session_id=session))
        if isinstance(local, tuple):  # a refusal
            assert local == model
            return multiple()
        return self.pairs(local, model)

    def pairs(self, local: list[ReceivedMessage], model: list[ReceivedMessage]):
        def plain(m: ReceivedMessage) -> ReceivedMessage:
            return replace(m, lock_token="")

        assert [plain(m) for m in local] == [plain(m) for m in model]
        assert all(m.lock_token for m in (*local, *model))
        return multiple(*zip(local, model, strict=True))

    @rule(consumer=consumers)
    def accept_session(self, consumer: int) -> None:
        self.same(consumer, lambda bus: bus.accept_session("sessions"))

    @rule(consumer=consumers, session=sessions)
    def release_session(self, consumer: int, session: str) -> None:
        self.same(consumer, lambda bus: bus.release_session("sessions", session))

    @rule(consumer=consumers, session=sessions)
    def renew_session(self, consumer: int, session: str) -> None:
        self.same(consumer, lambda bus: bus.renew_session("sessions", session))

    def settled(
        self, pair: tuple[ReceivedMessage, ReceivedMessage], call: Callable[[Any, ReceivedMessage], Any]
    ) -> Any:
        outcomes = []
        for bus, message in zip((self.local[0], self.model[0]), pair, strict=True):
            try:
                outcomes.append(call(bus, message))
            except GenAIOpsError as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]
        return outcomes[0]

    @rule(pair=consumes(received))
    def complete(self, pair) -> None:
        if self.settled(pair, lambda bus, message: bus.complete(message)) is None:
            self.kept -= 1

    @rule(pair=received)
    def complete_and_perhaps_again(self, pair) -> None:
        self.complete(pair)

    @rule(pair=received)
    def abandon(self, pair) -> None:
        self.settled(pair, lambda bus, message: bus.abandon(message))

    @rule(pair=received)
    def dead_letter(self, pair) -> None:
        self.settled(pair, lambda bus, message: bus.dead_letter(message, "why", "because"))

    @rule(pair=received, consumer=consumers)
    def renew(self, pair, consumer: int) -> None:
        outcomes = []
        for bus, message in zip((self.local[consumer], self.model[consumer]), pair, strict=True):
            try:
                outcomes.append(replace(bus.renew(message), lock_token=""))
            except GenAIOpsError as error:
                outcomes.append((type(error), str(error)))
        assert outcomes[0] == outcomes[1]

    @rule(seconds=st.sampled_from([1, 4, 9, 10, 11, 30, -3]))
    def let_time_pass(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @invariant()
    def they_hold_the_same_messages_and_none_vanished(self) -> None:
        total = 0
        for queue in ALL:
            counts = self.same(0, lambda bus, queue=queue: bus.counts(queue))
            total += counts.active + counts.scheduled
            self.same(1, lambda bus, queue=queue: bus.peek(queue, 100))
        assert total == self.kept

    def teardown(self) -> None:
        for bus in self.local:
            bus.close()
        self.folder.cleanup()


TestBusMachine = BusMachine.TestCase
TestBusMachine.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)

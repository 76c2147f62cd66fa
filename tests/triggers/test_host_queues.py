"""Queue triggers in the embedded host: settling, redelivery, dead letters, renewal, sessions, draining."""

from __future__ import annotations

import threading
import time
from collections import defaultdict

import azure.functions as func
import pytest

from genaiops.host import HostError
from genaiops.host.held_back import wait_after
from shared.adapters.local.clock import SystemClock
from shared.adapters.memory.bus import MemoryBus
from shared.adapters.queues import QueueConfig
from shared.ports import OutgoingMessage
from tests.triggers.hosting import bus, eventually, hosting, message


def app_with(function, queue: str = "work", *, sessions: bool = False) -> func.FunctionApp:
    app = func.FunctionApp()
    add(app, function, queue, sessions=sessions)
    return app


def add(app: func.FunctionApp, function, queue: str, *, sessions: bool = False) -> None:
    decorate = app.service_bus_queue_trigger(
        arg_name="message", queue_name=queue, connection="ServiceBus", is_sessions_enabled=sessions
    )
    decorate(function)


def test_a_message_is_handled_once_and_completed(tmp_path):
    got = []

    def work(message: func.ServiceBusMessage) -> None:
        got.append((message.get_body(), message.message_id, message.delivery_count, message.session_id))

    queues = bus()
    with hosting(app_with(work), tmp_path, queues):
        queues.send("work", [message("one", identifier="m-1")])
        eventually(lambda: queues.counts("work").active == 0 and got)
    assert got == [(b"one", "m-1", 1, None)]


def test_a_function_that_raises_gets_the_message_again(tmp_path):
    counts = []

    def work(message: func.ServiceBusMessage) -> None:
        counts.append(message.delivery_count)
        if message.delivery_count < 3:
            raise RuntimeError("not yet")

    queues = bus()
    queues.send("work", [message("one")])
    with hosting(app_with(work), tmp_path, queues):
        eventually(lambda: queues.counts("work").active == 0)
    assert counts == [1, 2, 3]
    assert queues.counts("work").dead_letter == 0


def test_even_a_function_that_exits_leaves_the_host_alive(tmp_path):
    done = []

    def work(message: func.ServiceBusMessage) -> None:
        if message.delivery_count == 1:
            raise SystemExit(3)
        done.append(message.get_body())

    queues = bus()
    queues.send("work", [message("one")])
    with hosting(app_with(work), tmp_path, queues):
        eventually(lambda: queues.counts("work").active == 0)
    assert done == [b"one"]


def test_after_the_last_delivery_the_dead_letter_function_gets_the_message_with_its_reason(tmp_path):
    tries, letters = [], []

    def work(message: func.ServiceBusMessage) -> None:
        tries.append(message.delivery_count)
        raise RuntimeError("never")

    def buried(message: func.ServiceBusMessage) -> None:
        letters.append((message.get_body(), message.dead_letter_reason, message.application_properties))

    app = app_with(work)
    add(app, buried, "%QUEUE%/$deadletterqueue")
    queues = bus(QueueConfig("work", max_delivery_count=3))
    queues.send("work", [message("poison")])
    with hosting(app, tmp_path, queues, app_settings={"QUEUE": "work"}):
        eventually(lambda: letters and queues.counts("work").dead_letter == 0)
    assert tries == [1, 2, 3]
    ((body, reason, properties),) = letters
    assert (body, reason) == (b"poison", "MaxDeliveryCountExceeded")
    assert properties["DeadLetterReason"] == "MaxDeliveryCountExceeded"
    assert "3" in properties["DeadLetterErrorDescription"]


def test_a_failing_dead_letter_function_is_tried_again_and_loses_nothing(tmp_path):
    tries = []

    def buried(message: func.ServiceBusMessage) -> None:
        tries.append(message.delivery_count)
        if len(tries) == 1:
            raise RuntimeError("disk full")

    queues = bus(QueueConfig("work", max_delivery_count=1))
    queues.send("work", [message("poison")])
    (taken,) = queues.receive("work")
    queues.abandon(taken)
    with hosting(app_with(buried, "work/$deadletterqueue"), tmp_path, queues):
        eventually(lambda: queues.counts("work").dead_letter == 0)
    assert len(tries) == 2


def test_a_slow_function_keeps_its_lock(tmp_path):
    release, calls = threading.Event(), []

    class CountsRenewals(MemoryBus):
        renewals = 0

        def renew(self, message):
            self.renewals += 1
            return super().renew(message)

    def work(message: func.ServiceBusMessage) -> None:
        calls.append(message.delivery_count)
        release.wait(20)

    queues = CountsRenewals([QueueConfig("work", lock_seconds=0.4)], SystemClock())
    queues.send("work", [message("slow")])
    with hosting(app_with(work), tmp_path, queues):
        eventually(lambda: queues.renewals >= 5, "five renewals: more than twice the time of the lock")
        release.set()
        eventually(lambda: queues.counts("work").active == 0)
    assert calls == [1]


def test_a_session_queue_keeps_order_within_a_session_and_runs_sessions_side_by_side(tmp_path):
    order, running, seen_together = defaultdict(list), set(), set()
    lock, both = threading.Lock(), threading.Barrier(2, timeout=20)

    def work(message: func.ServiceBusMessage) -> None:
        session = message.session_id
        with lock:
            assert session not in running, "two messages of one session at once"
            running.add(session)
            seen_together.add(frozenset(running))
        if not order[session]:
            both.wait()  # passes only if the two sessions run at the same time
        with lock:
            order[session].append(int(message.get_body()))
            running.discard(session)

    queues = bus(QueueConfig("events", sessions=True))
    for number in range(20):
        for session in ("a", "b"):
            queues.send("events", [message(str(number), identifier=f"{session}{number}", session=session)])
    with hosting(app_with(work, "events", sessions=True), tmp_path, queues):
        eventually(lambda: queues.counts("events").active == 0)
    assert order == {"a": list(range(20)), "b": list(range(20))}
    assert frozenset({"a", "b"}) in seen_together


def test_a_failed_event_comes_again_before_the_next_of_its_session(tmp_path):
    order = []

    def work(message: func.ServiceBusMessage) -> None:
        order.append((message.get_body(), message.delivery_count))
        if order == [(b"1", 1)]:
            raise RuntimeError("conflict")

    queues = bus(QueueConfig("events", sessions=True))
    queues.send("events", [message(str(number), session="chain") for number in (1, 2)])
    with hosting(app_with(work, "events", sessions=True), tmp_path, queues):
        eventually(lambda: queues.counts("events").active == 0)
    assert order == [(b"1", 1), (b"1", 2), (b"2", 1)]


def test_a_fault_that_passes_in_a_moment_does_not_use_up_the_deliveries(tmp_path):
    begun, tries = time.monotonic(), []

    def work(message: func.ServiceBusMessage) -> None:
        tries.append(message.delivery_count)
        if time.monotonic() - begun < 0.5:
            raise OSError("No space left on device")

    queues = bus()
    queues.send("work", [message("one")])
    with hosting(app_with(work), tmp_path, queues, first_wait_s=0.1):
        eventually(lambda: queues.counts("work").active == 0)
    assert queues.counts("work").dead_letter == 0, f"buried after the tries {tries}"


def test_a_message_that_failed_waits_without_its_worker_and_keeps_its_lock(tmp_path):
    order = []

    class CountsRenewals(MemoryBus):
        renewals = 0

        def renew(self, message):
            self.renewals += 1
            return super().renew(message)

    def work(message: func.ServiceBusMessage) -> None:
        order.append((message.get_body(), message.delivery_count))
        if message.get_body() == b"bad":
            raise RuntimeError("never")

    queues = CountsRenewals([QueueConfig("work", lock_seconds=0.3)], SystemClock())
    queues.send("work", [message("bad")])
    with hosting(app_with(work), tmp_path, queues, concurrency={"work": 1}, first_wait_s=600):
        eventually(lambda: order)
        queues.send("work", [message("good")])
        eventually(lambda: queues.counts("work").active == 1)
        eventually(lambda: queues.renewals >= 5, "five renewals: more than twice the time of the lock")
    assert order == [(b"bad", 1), (b"good", 1)]


def test_a_session_waits_with_its_failed_event_while_the_only_worker_goes_on_with_others(tmp_path):
    order = []

    def work(message: func.ServiceBusMessage) -> None:
        order.append(message.get_body())
        if message.get_body() == b"bad":
            raise RuntimeError("never")

    queues = bus(QueueConfig("events", sessions=True))
    other = queues.consumer()
    queues.send("events", [message("bad", session="a"), message("after bad", session="a")])
    app = app_with(work, "events", sessions=True)
    with hosting(app, tmp_path, queues, concurrency={"events": 1}, first_wait_s=600):
        eventually(lambda: order)
        queues.send("events", [message(text, session="b") for text in ("b1", "b2")])
        eventually(lambda: queues.counts("events").active == 2)
        assert other.accept_session("events") is None, "the session stays held, or its order would be lost"
    assert order == [b"bad", b"b1", b"b2"]


def test_stopping_gives_back_at_once_what_is_held_back(tmp_path):
    failed, queues = [], bus(QueueConfig("work"), QueueConfig("events", sessions=True))

    def work(message: func.ServiceBusMessage) -> None:
        failed.append(message.get_body())
        raise RuntimeError("not now")

    def event(message: func.ServiceBusMessage) -> None:
        failed.append(message.get_body())
        raise RuntimeError("not now")

    app = app_with(work)
    add(app, event, "events", sessions=True)
    queues.send("work", [message("1")])
    queues.send("events", [message("2", session="chain")])
    with hosting(app, tmp_path, queues, first_wait_s=600) as host:
        eventually(lambda: len(failed) == 2)
        assert host.stop()
        (given_back,) = queues.consumer().receive("work")
        assert given_back.delivery_count == 2
        assert queues.consumer().accept_session("events") == "chain"


def test_waits_double_from_the_first_up_to_half_a_minute():
    assert [wait_after(tries, 1) for tries in (1, 2, 3, 4, 5, 6, 5000)] == [1, 2, 4, 8, 16, 30, 30]


def test_an_idle_session_is_released_for_other_consumers(tmp_path):
    handled = threading.Event()

    def work(message: func.ServiceBusMessage) -> None:
        handled.set()

    queues = bus(QueueConfig("events", sessions=True))
    other = queues.consumer()
    queues.send("events", [message("1", session="chain")])
    with hosting(app_with(work, "events", sessions=True), tmp_path, queues) as host:
        assert handled.wait(20)
        eventually(lambda: queues.counts("events").active == 0)
        host._feeds[1].stop_receiving()  # so that only the other consumer wants the session
        eventually(lambda: host._feeds[1]._workers.wait_idle(0))
        queues.send("events", [message("2", session="chain")])
        assert other.accept_session("events") == "chain"


def test_no_more_messages_run_side_by_side_than_the_queue_allows(tmp_path):
    running, most, lock = 0, 0, threading.Lock()

    def work(message: func.ServiceBusMessage) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        threading.Event().wait(0.02)
        with lock:
            running -= 1

    queues = bus()
    queues.send("work", [message(str(number)) for number in range(12)])
    with hosting(app_with(work), tmp_path, queues, concurrency={"work": 3}):
        eventually(lambda: queues.counts("work").active == 0)
    assert 1 <= most <= 3


def test_stopping_finishes_what_runs_and_leaves_the_rest_in_the_queue(tmp_path):
    started, release, done = threading.Event(), threading.Event(), []

    def work(message: func.ServiceBusMessage) -> None:
        started.set()
        release.wait(20)
        done.append(message.get_body())

    queues = bus()
    queues.send("work", [message("1"), message("2")])
    with hosting(app_with(work), tmp_path, queues, concurrency={"work": 1}) as host:
        assert started.wait(20)
        threading.Timer(0.1, release.set).start()
        assert host.stop()
        assert done == [b"1"]
        assert queues.counts("work").active == 1


def test_a_function_that_never_ends_does_not_keep_the_host_from_stopping(tmp_path):
    started, release = threading.Event(), threading.Event()

    def work(message: func.ServiceBusMessage) -> None:
        started.set()
        release.wait(20)

    queues = bus()
    queues.send("work", [message("1")])
    with hosting(app_with(work), tmp_path, queues, drain_timeout_s=0.1) as host:
        assert started.wait(20)
        assert host.stop() is False
        release.set()


def test_a_body_that_is_not_text_arrives_unchanged(tmp_path):
    got = []

    def work(message: func.ServiceBusMessage) -> None:
        got.append(message.get_body())

    queues = bus()
    queues.send("work", [OutgoingMessage(body=b"\xff\xfe{", message_id="m")])
    with hosting(app_with(work), tmp_path, queues):
        eventually(lambda: queues.counts("work").active == 0)
    assert got == [b"\xff\xfe{"]


def test_a_queue_that_does_not_exist_is_said_before_anything_starts(tmp_path):
    def work(message: func.ServiceBusMessage) -> None:
        raise AssertionError

    with (
        pytest.raises(HostError, match=r"work waits on a queue that is not there.*nowhere"),
        hosting(app_with(work, "nowhere"), tmp_path),
    ):
        pass


def test_a_missing_app_setting_is_named(tmp_path):
    def work(message: func.ServiceBusMessage) -> None:
        raise AssertionError

    with (
        pytest.raises(HostError, match="work names the app setting MISSING"),
        hosting(app_with(work, "%MISSING%"), tmp_path, app_settings={}),
    ):
        pass

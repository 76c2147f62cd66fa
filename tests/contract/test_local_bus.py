"""What only the local bus can show: several processes, kills, a locked file, a full disk."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.local import bus_database
from shared.adapters.local.bus import LocalBus
from shared.adapters.local.owners import current_owner, is_dead
from shared.adapters.memory.clock import ManualClock
from shared.adapters.queues import QueueConfig
from shared.errors import GenAIOpsError, Transient
from shared.ports import OutgoingMessage
from tests.contract.consumers import QUEUES, open_bus

ROOT = Path(__file__).parents[2]


def start(work: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.contract.consumers", work, *map(str, arguments)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def finish(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.splitlines()


def kill(process: subprocess.Popen[str]) -> list[str]:
    """End it with SIGKILL; what it had said until then."""
    process.kill()
    output = process.stdout.read()  # not `communicate`: it would miss what `readline` has read ahead
    process.communicate(timeout=60)
    return output.splitlines()


# --------------------------------------------------------------------------------------------------- many processes


def test_processes_that_share_a_queue_lose_nothing_and_repeat_nothing(tmp_path):
    path = tmp_path / "bus.sqlite"
    producers = [start("produce", path, name, 120) for name in ("a", "b")]
    consumers = [start("consume", path, seed) for seed in (1, 2)]
    sent = [line for process in producers for line in finish(process)]
    # A consumer may leave before the producers are done; the last one takes the rest.
    handled = [line for process in consumers for line in finish(process)] + finish(start("consume", path, 3))
    times = Counter(line.split()[0] for line in handled)
    assert len(sent) == 240
    assert times == Counter(sent)
    assert open_bus(path).counts("orders").dead_letter == 0


def test_a_consumer_killed_in_the_midst_of_its_work_loses_no_message(tmp_path):
    path = tmp_path / "bus.sqlite"
    bus = open_bus(path)
    sent = [f"m{n}" for n in range(600)]
    bus.send("orders", [OutgoingMessage(b"", message_id) for message_id in sent])
    for seed in range(3):
        consumer = start("consume", path, seed)
        consumer.stdout.readline()
        kill(consumer)
        bus.release_orphans()
    finish(start("consume", path, 9))
    # `done` detects duplicates, as the receiver of every effect does: each message arrived there exactly once.
    assert sorted(m.message_id for m in bus.peek("done", 1000)) == sorted(sent)
    assert bus.counts("orders").active == 0


def test_a_producer_killed_in_the_midst_of_sending_has_sent_what_it_said(tmp_path):
    path = tmp_path / "bus.sqlite"
    producer = start("produce", path, "p", 1_000_000)
    said = [producer.stdout.readline().strip() for _ in range(30)] + kill(producer)
    bus = open_bus(path)
    there = [m.message_id for m in bus.peek("orders", 1_000_000)]
    assert there[: len(said)] == said
    assert len(there) <= len(said) + 1  # killed between the commit and saying so
    assert sqlite3.connect(path).execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_processes_that_share_sessions_keep_the_order_within_each(tmp_path):
    path = tmp_path / "bus.sqlite"
    sessions = ("a", "b", "c")
    for n in range(20):
        open_bus(path).send("events", [OutgoingMessage(b"", f"{s}{n}", session_id=s) for s in sessions])
    for process in [start("consume_sessions", path, tmp_path / "log") for _ in range(2)]:
        finish(process)
    handled = [line.split() for line in (tmp_path / "log").read_text().splitlines()]
    for session in sessions:
        assert [name for _, at, name in handled if at == session] == [f"{session}{n}" for n in range(20)]


# ------------------------------------------------------------------------------------------------------------ orphans


def test_what_a_killed_process_held_is_free_at_once_and_its_death_is_no_delivery(tmp_path):
    path = tmp_path / "bus.sqlite"
    bus = open_bus(path)
    bus.send("orders", [OutgoingMessage(b"", "m1")])
    bus.send("events", [OutgoingMessage(b"", "e1", session_id="s")])
    holder = start("hold", path)
    assert holder.stdout.readline() == "holding\n"
    assert bus.release_orphans() == 0
    assert (bus.receive("orders"), bus.accept_session("events")) == ([], None)
    kill(holder)
    assert bus.release_orphans() == 3
    assert [m.delivery_count for m in bus.receive("orders")] == [1]
    assert bus.accept_session("events") == "s"
    assert [m.delivery_count for m in bus.receive("events", session_id="s")] == [1]
    assert bus.release_orphans() == 0


def test_a_process_that_died_but_was_not_reaped_is_dead(tmp_path):
    path = tmp_path / "bus.sqlite"
    bus = open_bus(path)
    bus.send("orders", [OutgoingMessage(b"", "m1")])
    bus.send("events", [OutgoingMessage(b"", "e1", session_id="s")])
    holder = start("hold", path)
    assert holder.stdout.readline() == "holding\n"
    holder.kill()
    os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)  # dead, and still a zombie
    assert bus.release_orphans() == 3
    kill(holder)


def test_a_message_that_kills_its_consumers_again_and_again_dies_in_the_end(tmp_path, monkeypatch):
    bus = LocalBus(tmp_path / "bus.sqlite", [QueueConfig("orders", max_delivery_count=2)], ManualClock())
    bus.send("orders", [OutgoingMessage(b"", "deadly")])
    for _ in range(101):
        assert bus.receive("orders")
        monkeypatch.setattr("shared.adapters.local.bus_rows.is_dead", lambda owner: True)
        assert bus.release_orphans() == 1
    assert bus.receive("orders")
    bus.release_orphans()
    [dead] = bus.receive("orders/$deadletterqueue")
    assert (dead.message_id, dead.dead_letter_reason) == ("deadly", "MaxDeliveryCountExceeded")


def test_the_owner_of_a_lock_is_known_by_more_than_its_process_id():
    owner = current_owner()
    assert not is_dead(owner)
    *place, pid, started = owner.split(".")
    assert is_dead(".".join([*place, pid, "1"]))  # the same id, given to another process since
    assert is_dead(".".join([*place, "4194305", started]))  # beyond the largest id
    assert is_dead(".".join(["linux", "another-boot", *owner.split(".")[2:]]))
    assert not is_dead(".".join([*place[:-1], "1", pid, "1"]))  # in another container: who knows
    assert is_dead("nonsense")


# --------------------------------------------------------------------------------------------------------- durability


def test_a_bus_that_is_opened_again_has_its_messages_locks_and_memory(tmp_path):
    clock = ManualClock()
    first = LocalBus(tmp_path / "bus.sqlite", QUEUES, clock)
    first.send("orders", [OutgoingMessage(b"1", "m1"), OutgoingMessage(b"2", "m2")])
    [locked] = first.receive("orders")
    first.close()
    again = LocalBus(tmp_path / "bus.sqlite", QUEUES, clock)
    again.send("orders", [OutgoingMessage(b"1", "m1")])
    assert [m.message_id for m in again.receive("orders", count=5)] == ["m2"]
    again.complete(locked)
    assert again.counts("orders").active == 1


def test_a_child_made_by_fork_uses_a_connection_of_its_own(tmp_path):
    bus = open_bus(tmp_path / "bus.sqlite")
    bus.send("orders", [OutgoingMessage(b"", "from the parent")])
    child = os.fork()
    if child == 0:
        try:
            bus.send("orders", [OutgoingMessage(b"", "from the child")])
        finally:
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert [m.message_id for m in bus.receive("orders", count=5)] == ["from the parent", "from the child"]


def test_threads_share_one_bus(tmp_path):
    bus = open_bus(tmp_path / "bus.sqlite")
    handled: list[str] = []

    def work(n: int) -> None:
        for m in range(20):
            bus.send("orders", [OutgoingMessage(b"", f"{n}-{m}")])
            for message in bus.receive("orders"):
                bus.complete(message)
                handled.append(message.message_id)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(handled) == len(set(handled)) == 120


# ------------------------------------------------------------------------------------------------------------- faults


def test_a_file_that_stays_locked_by_another_process_is_a_passing_fault(tmp_path, monkeypatch):
    monkeypatch.setattr(bus_database, "BUSY_SECONDS", 0.02)
    bus = open_bus(tmp_path / "bus.sqlite")
    other = sqlite3.connect(tmp_path / "bus.sqlite", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(Transient, match=r"bus\.sqlite was locked by another process"):
        bus.send("orders", [OutgoingMessage(b"", "m1")])
    other.rollback()
    bus.send("orders", [OutgoingMessage(b"", "m1")])
    assert bus.counts("orders").active == 1


def test_a_full_disk_is_a_passing_fault_and_sends_nothing(tmp_path):
    bus = open_bus(tmp_path / "bus.sqlite")
    pages = bus._database.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    bus._database._connection.execute(f"PRAGMA max_page_count = {pages + 2}")  # SQLite's own way to be full
    with pytest.raises(Transient, match=r"disk .* is full .* Free space"):
        bus.send("orders", [OutgoingMessage(b"x" * 20_000, f"m{n}") for n in range(3)])
    assert bus.counts("orders").active == 0
    bus._database._connection.execute("PRAGMA max_page_count = 1000000")
    bus.send("orders", [OutgoingMessage(b"x" * 20_000, f"m{n}") for n in range(3)])
    assert bus.counts("orders").active == 3


def test_a_file_of_another_layout_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "bus.sqlite"
    open_bus(path).close()
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 7")
    connection.close()
    with pytest.raises(GenAIOpsError, match=r"has layout 7; .* Move the file away"):
        open_bus(path)


def test_a_file_that_is_no_database_is_refused_with_its_name(tmp_path):
    path: Path = tmp_path / "bus.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(GenAIOpsError, match=r"bus\.sqlite"):
        open_bus(path)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=2000), st.text(max_size=50), st.dictionaries(st.text(max_size=20), st.text(max_size=20)))
def test_any_body_and_any_text_survives(tmp_path, body, subject, properties):
    bus = LocalBus(tmp_path / "bus.sqlite", [QueueConfig("q", duplicate_window_seconds=0)], ManualClock())
    bus.send("q", [OutgoingMessage(body, "m", subject=subject, properties=properties)])
    [got] = bus.receive("q")
    assert (got.body, got.subject, got.properties) == (body, subject, properties)
    bus.complete(got)
    bus.close()

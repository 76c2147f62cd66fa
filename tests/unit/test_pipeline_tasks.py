"""Tasks that wait: what a message must say of them, and what lies in their record."""

from __future__ import annotations

import json
import threading
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import Conflict, Malformed
from shared.pipeline_tasks import completion, records
from shared.pipeline_tasks.properties import task_of
from shared.pipeline_tasks.records import CLAIMED_FOR
from shared.ports import Ports
from tests import samples
from tests.unit.people import clock_of, memory_ports, store
from tests.waiting_tasks import blobs_with, instance, properties, task, token

CHAIN = samples.sample_chain().id
OTHERS = ("contoso.example", "dev.azure.com/fabrikam", "dev.azure.com@evil.example", "dev.azure.com/contoso.evil")


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


def ended(ports: Ports, chain: str = CHAIN) -> list[str]:
    """How the chain's tasks have ended."""
    found = ports.blobs.list("tasks", f"ended/{chain}/")
    return [json.loads(ports.blobs.read("tasks", info.name))["outcome"] for info in found]


# ------------------------------------------------------------------------------------------------------ its properties


def test_a_message_names_its_task_whatever_the_case_of_the_properties(ports: Ports) -> None:
    assert task_of(ports, properties()) == task()
    assert task_of(ports, {name.lower(): value for name, value in properties().items()}) == task()
    assert task_of(ports, properties() | {"Diagnostic-Id": "00-1", "x": ""}) == task()


def test_a_message_of_a_person_or_of_a_task_that_waits_for_nothing_names_none(ports: Ports) -> None:
    assert task_of(ports, {}) is None
    ids_alone = {name: value for name, value in properties().items() if name not in ("PlanUrl", "AuthToken")}
    assert task_of(ports, ids_alone) is None


@pytest.mark.parametrize("name", properties())
def test_each_property_must_be_there(ports: Ports, name: str) -> None:
    for missing in ({key: value for key, value in properties().items() if key != name}, properties() | {name: ""}):
        with pytest.raises(Malformed, match=rf"its properties {name} are missing") as refusal:
            task_of(ports, missing)
        assert token(1) not in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "4711") for name in ("ProjectId", "PlanId", "JobId", "TimelineId", "TaskInstanceId")),
        ("PlanId", f"{instance(1)}/../x"),
        ("JobId", f"{instance(1)}\n"),
        ("HubName", "build/../../x"),
        ("HubName", "b" * 41),
        ("AuthToken", "two words"),
        ("AuthToken", "line\r\nX-Forged: 1"),
        ("AuthToken", "t" * 16_001),
        ("PlanUrl", f"https://dev.azure.com/contoso/{'x' * 500}"),
    ],
)
def test_a_property_of_another_shape_is_refused_by_its_name_alone(ports: Ports, name: str, value: str) -> None:
    with pytest.raises(Malformed, match=rf"properties {name} are missing or not what") as refusal:
        task_of(ports, properties() | {name: value})
    assert value not in str(refusal.value)
    assert token(1) not in str(refusal.value)


@pytest.mark.parametrize("place", OTHERS)
def test_a_token_is_for_no_address_that_the_settings_do_not_allow(ports: Ports, place: str) -> None:
    with pytest.raises(Malformed, match="GENAIOPS_AZURE_DEVOPS does not name it") as refusal:
        task_of(ports, properties() | {"PlanUrl": f"https://{place}/"})
    assert token(1) not in str(refusal.value)


@given(st.dictionaries(st.sampled_from([*properties(), "other"]), st.one_of(st.text(), st.just(instance(1)))))
def test_whatever_the_properties_are_they_name_a_task_of_ours_none_or_are_malformed(changes: dict[str, str]) -> None:
    ports = memory_ports()
    for said in (changes, properties() | changes):
        found, text = None, ""
        try:
            found = task_of(ports, said)
        except Malformed as refusal:
            text = str(refusal)
        assert token(1) not in text
        assert found is None or not ports.pipelines.refusal(found.plan_url)


# --------------------------------------------------------------------------------------------------------- its record


def test_the_token_is_sealed_while_the_task_waits_and_gone_when_it_has_ended(ports: Ports) -> None:
    records.open_task(ports, CHAIN, task())
    ((record, _),) = records.opened(ports, CHAIN)
    assert blobs_with(ports.blobs, token(1), "tasks", "chains", "secrets") == []
    assert token(1) not in repr(record) + repr(task())
    assert records.task(ports, record) == task()

    records.end(ports, record, "succeeded")
    assert list(records.opened(ports)) == []
    assert blobs_with(ports.blobs, record.sealed_token, "tasks") == []
    assert ended(ports) == ["succeeded"]


def test_the_same_task_waits_once_and_does_not_wait_again_when_it_has_ended(ports: Ports) -> None:
    first = records.open_task(ports, CHAIN, task())
    ((record, etag),) = records.opened(ports)
    assert records.open_task(ports, CHAIN, task()) == first
    assert list(records.opened(ports)) == [(record, etag)], "what it was shown is not forgotten"
    records.end(ports, record, "failed")
    assert records.open_task(ports, CHAIN, task()) == first
    assert list(records.opened(ports)) == []


def test_a_forged_message_with_the_ids_of_a_job_does_not_keep_the_job_itself_out(ports: Ports) -> None:
    records.open_task(ports, CHAIN, replace(task(), token="forged"))
    records.open_task(ports, CHAIN, task())
    assert sorted(records.task(ports, record).token for record, _ in records.opened(ports)) == [token(1), "forged"]


def test_a_task_that_ends_while_it_is_opened_again_stays_ended(ports: Ports) -> None:
    records.open_task(ports, CHAIN, task())
    ((record, _),) = records.opened(ports)

    class EndsMeanwhile:
        """The record ends right after the look whether it has."""

        def __init__(self) -> None:
            self.looks = 0

        def __getattr__(self, name: str) -> object:
            return getattr(ports.blobs, name)

        def info(self, container: str, name: str) -> object:
            self.looks += 1
            try:
                return ports.blobs.info(container, name)
            finally:
                if self.looks == 1:
                    records.end(ports, record, "succeeded")

    records.open_task(replace(ports, blobs=EndsMeanwhile()), CHAIN, task())  # type: ignore[arg-type]
    assert list(records.opened(ports)) == []
    assert ended(ports) == ["succeeded"]


def test_one_of_many_that_come_at_once_claims_the_completion(ports: Ports) -> None:
    records.open_task(ports, CHAIN, task())
    ((record, etag),) = records.opened(ports)
    gate, won = threading.Barrier(8), []

    def come() -> None:
        gate.wait()
        if (claimed := records.claim(ports, record, etag)) is not None:
            won.append(claimed)

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def test_a_claim_is_taken_over_when_whoever_has_it_must_have_crashed(ports: Ports) -> None:
    records.open_task(ports, CHAIN, task())
    ((record, etag),) = records.opened(ports)
    claimed = records.claim(ports, record, etag)
    assert claimed is not None
    assert records.claim(ports, *claimed) is None
    clock_of(ports).advance(CLAIMED_FOR.total_seconds())
    again = records.claim(ports, *claimed)
    assert again is not None
    records.release(ports, *claimed)
    assert records.claim(ports, *again) is None, "the former one's release comes too late"


def test_lines_that_were_shown_meanwhile_do_not_cost_the_claim(ports: Ports) -> None:
    records.open_task(ports, CHAIN, task())
    ((record, etag),) = records.opened(ports)
    records.change(ports, record.model_copy(update={"shown": 3}), etag)
    claimed = records.claim(ports, record, etag)
    assert claimed is not None
    assert claimed[0].shown == 3
    with pytest.raises(Conflict):
        records.change(ports, record, etag)


def test_a_record_that_a_crash_left_beside_its_end_is_removed_and_not_completed_again(ports: Ports) -> None:
    chain = store(ports, samples.deployed(samples.awaiting_approval(samples.sample_chain(), samples.sha("evidence"))))
    records.open_task(ports, chain.id, task())
    ((record, _),) = records.opened(ports)
    left = ports.blobs.read("tasks", record.blob)
    records.end(ports, record, "succeeded")
    ports.blobs.write("tasks", record.blob, left)
    completion.complete(ports, chain)
    assert ports.pipelines.completions == []  # type: ignore[attr-defined]
    assert list(records.opened(ports)) == []
    assert ended(ports, chain.id) == ["succeeded"]


def test_a_record_that_cannot_be_read_is_left_out_with_a_word(ports: Ports, caplog: pytest.LogCaptureFixture) -> None:
    ports.blobs.write("tasks", f"open/{CHAIN}/{'0' * 24}.json", b'{"id": 1}')
    records.open_task(ports, CHAIN, task())
    assert len(list(records.opened(ports))) == 1
    assert "left out: the record tasks/open/" in caplog.text

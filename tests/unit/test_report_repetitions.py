"""A choice that was run several times: its metrics are means, their spread shows, and failed repetitions are named."""

from __future__ import annotations

import json
import math
import re

import pytest

from shared import reporting
from shared.chain.state import Chain
from shared.evaluation.spread import mean, spread
from shared.experimentation.matrix import PreparedChain
from shared.ports import Ports
from shared.results import CONTAINER, RunRecord, cell_folder
from tests import samples
from tests.unit.people import memory_ports
from tests.unit.reports import rows


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


def repeated(ports: Ports, chain: Chain) -> PreparedChain:
    return samples.write_results(ports.blobs, chain, samples.sample_prepared(chain, repeat=3))


def built(ports: Ports, chain: Chain) -> str:
    return ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()


def accuracy(ports: Ports, chain: Chain, label: str = "default") -> dict[str, str]:
    return next(
        row
        for row in rows(ports, chain, "metrics.csv")
        if (row["dataset"], row["metric"], row["variant"]) == ("tickets_mixed", "accuracy", label)
    )


def test_a_metric_is_the_mean_of_its_repetitions_with_their_spread(ports: Ports, chain: Chain) -> None:
    repeated(ports, chain)
    html = built(ports, chain)
    row = accuracy(ports, chain)
    assert row["repetitions"] == "3"
    assert [float(row[name]) for name in ("value", "min", "max", "stdev")] == pytest.approx([0.76, 0.74, 0.78, 0.02])
    assert ">0.74 to 0.78, ±0.02</span>" in html
    assert "Every run was made 3 times" in html
    assert "on 2 datasets, 3 times each" in html
    assert len(re.findall(r'<tr class="candidate"><th scope="row">classify.examples', html)) == 5, "one row a table"


def test_charts_have_error_bars_and_say_them_in_words(ports: Ports, chain: Chain) -> None:
    repeated(ports, chain)
    html = built(ports, chain)
    assert html.count('class="spread" d="M') >= 5
    assert "default 0.76 (0.74 to 0.78)" in html
    single = memory_ports()
    samples.write_results(single.blobs, chain)
    assert 'class="spread" d=' not in built(single, chain)


def test_the_candidate_is_praised_by_its_mean(ports: Ports, chain: Chain) -> None:
    repeated(ports, chain)
    assert "was chosen by accuracy of classification: 0.9 on average over the datasets and repetitions" in built(
        ports, chain
    )


def test_a_failed_repetition_is_named_and_the_others_count(ports: Ports, chain: Chain) -> None:
    prepared = repeated(ports, chain)
    folder = cell_folder(chain.id, prepared.cells[1].name)
    record = RunRecord.model_validate_json(ports.blobs.read(CONTAINER, f"{folder}/run.json"))
    failed = record.model_copy(update={"succeeded": False, "reason": "5 of 8 lines failed"})
    ports.blobs.write(CONTAINER, f"{folder}/run.json", failed.model_dump_json().encode())
    for evaluator in ("classification", "reply_quality"):
        ports.blobs.delete(CONTAINER, f"{folder}/evaluations/{evaluator}/run.json")
    html = built(ports, chain)
    assert "default, repetition 2 of 3 on tickets_mixed: 5 of 8 lines failed" in html
    assert "Repetition 2 of 3: The run failed: 5 of 8 lines failed" in html
    row = accuracy(ports, chain)
    assert ">0.74 to 0.78, ±0.0283, 2 of 3</span>" in html
    assert row["repetitions"] == "2"
    assert [float(row[name]) for name in ("value", "min", "max")] == pytest.approx([0.76, 0.74, 0.78])


def test_lines_name_their_repetition_only_where_there_are_several(ports: Ports, chain: Chain) -> None:
    repeated(ports, chain)
    built(ports, chain)
    lines = rows(ports, chain, "lines.csv")
    assert len(lines) == 240
    assert [line["repetition"] for line in lines[::8]][:4] == ["1", "2", "3", "1"]
    single = memory_ports()
    samples.write_results(single.blobs, chain)
    built(single, chain)
    assert "repetition" not in rows(single, chain, "lines.csv")[0]


def test_evidence_holds_mean_and_spread_and_every_repetition(ports: Ports, chain: Chain) -> None:
    repeated(ports, chain)
    built(ports, chain)
    document = json.loads(ports.blobs.read("reports", f"{chain.id}/evidence.json"))
    assert document["repetitions"] == 3
    assert [cell["repetition"] for cell in document["cells"]][:4] == [0, 1, 2, 0]
    found = document["metrics"][0]["choices"]["default"]["accuracy"]
    assert (found["repetitions"], found["min"]) == (3, 0.74)
    assert found["mean"] == pytest.approx(0.76)


def test_equal_values_have_exactly_their_mean_and_no_deviation() -> None:
    found = spread([0.1, 0.1, 0.1])
    assert found is not None
    assert (found.mean, found.stdev) == (0.1, 0.0)


def test_values_that_are_no_numbers_do_not_count() -> None:
    found = spread([math.nan, 0.5, math.inf])
    assert found is not None
    assert (found.mean, found.repetitions, found.stdev) == (0.5, 1, None)
    assert spread([math.nan]) is None


def test_the_spread_of_very_large_values_is_a_number_or_none() -> None:
    found = spread([1.7e308, -1.7e308])
    assert found is not None
    assert (found.mean, found.stdev) == (0.0, None)
    assert mean([1.7e308, 1.7e308]) == 1.7e308

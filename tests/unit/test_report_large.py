"""A report stays usable however many cells and lines a chain has, and whatever JSON its flows give."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shared import chain_store, reporting, result_store
from shared.adapters.local.blobs import FileBlobStore
from shared.chain.state import Chain
from shared.evaluation.gates_model import write_gates
from shared.experimentation.matrix import PreparedChain
from shared.ports import Ports
from shared.reporting.portions import portion
from shared.reporting.survey import MOST_COLUMNS, SHOWN_VALUES
from shared.results import LineRecord, LineStatus, RunRecord, Tokens, cell_folder
from tests import samples
from tests.unit.people import memory_ports
from tests.unit.reports import rows, structure


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


def many_cells(chain: Chain, count: int) -> PreparedChain:
    """A matrix of many choices on one dataset of one row; the candidate is the last but one."""
    prepared = samples.sample_prepared(chain, datasets=("tickets_mixed",), rows=1)
    first = prepared.cells[0]
    cells = tuple(
        first.model_copy(
            update={
                "index": index,
                "label": "default" if index == 0 else f"init.model_config.azure_deployment=gpt-{index}",
                "is_default": index == 0,
                "digest": samples.sha(f"cell {index}"),
            }
        )
        for index in range(count)
    )
    return prepared.model_copy(update={"cells": cells})


def written(ports: Ports, chain: Chain, lines: Iterator[LineRecord], count: int) -> None:
    """Results of one cell without an evaluator."""
    prepared = samples.sample_prepared(chain, datasets=("tickets_mixed",), rows=count)
    prepared = prepared.model_copy(update={"cells": prepared.cells[:1], "evaluators": ()})
    chain_store.freeze_prepared(ports.blobs, chain.id, prepared)
    cell = prepared.cells[0]
    record = RunRecord(
        name=f"{chain.id}-{cell.name}", succeeded=True, lines=count, failed_lines=0,
        started_at=samples.NOW, ended_at=samples.NOW, engine="promptflow",
    )  # fmt: skip
    result_store.write(ports.blobs, cell_folder(chain.id, cell.name), record, lines)


def built(ports: Ports, chain: Chain) -> str:
    return ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()


def test_a_matrix_of_many_cells_is_folded_and_its_csv_has_all_of_it(ports: Ports, chain: Chain) -> None:
    prepared = many_cells(chain, 400)
    samples.write_results(ports.blobs, chain, prepared, failing_line=None)
    gates = samples.sample_gates(prepared).model_copy(update={"candidate_label": prepared.cells[-2].label})
    write_gates(ports.blobs, chain.id, gates)
    html = built(ports, chain)
    metrics = html[html.index("Metrics</h2>") : html.index("Cost and latency</h2>")]
    opened = metrics[: metrics.index("<details>")]
    assert prepared.cells[-2].label in opened, "the candidate is never folded away"
    assert opened.count('<th scope="row">') == 30
    assert "270 more choices" in metrics
    assert "… and 100 more: <code>metrics.csv</code> has all of them." in metrics
    assert len({row["variant"] for row in rows(ports, chain, "metrics.csv")}) == 400
    assert len(html) < 1_500_000


def test_what_matters_has_a_place_before_what_comes_first() -> None:
    found = portion(range(10), lambda number: number == 7, opened=3, most=5)
    assert (found.open, found.folded, found.left_out) == ((0, 1, 7), (2, 3), 5)
    assert portion((1, 2)).left_out == 0


def test_building_a_report_holds_neither_the_lines_nor_long_values(tmp_path: Path, ports: Ports, chain: Chain) -> None:
    on_disk = replace(ports, blobs=FileBlobStore(tmp_path))
    answer = "A long answer. " * 4_000
    lines = (
        LineRecord(line=n, status=LineStatus.COMPLETED, inputs={"ticket": str(n)}, outputs={"reply": f"{n} {answer}"})
        for n in range(1_000)
    )
    written(on_disk, chain, lines, 1_000)
    tracemalloc.start()
    try:
        html = built(on_disk, chain)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "more characters in lines.csv" in html
    assert peak < 20_000_000, "the lines have 60 MB, and those on the page 30 MB"


def test_outputs_of_any_json_are_shown_and_kept(ports: Ports, chain: Chain) -> None:
    outputs = {"entities": [{"name": "Ada", "span": [0, 3]}], "nothing": None, "yes": True, "nested": {"a": {"b": 1.5}}}
    line = LineRecord(
        line=0, status=LineStatus.COMPLETED, inputs={"chat": [{"role": "user"}]}, outputs=outputs,
        tokens=Tokens(prompt=9),
    )  # fmt: skip
    written(ports, chain, iter([line]), 1)
    page = "".join(structure(built(ports, chain)).words)
    assert '[{"name": "Ada", "span": [0, 3]}]' in page
    assert '{"a": {"b": 1.5}}' in page
    (row,) = rows(ports, chain, "lines.csv")
    assert row["inputs.chat"] == '[{"role": "user"}]'
    assert (row["outputs.nothing"], row["outputs.yes"]) == ("", "true")


def test_outputs_with_names_of_their_own_on_every_line_share_one_column(ports: Ports, chain: Chain) -> None:
    lines = (
        LineRecord(line=n, status=LineStatus.COMPLETED, inputs={"ticket": "x"}, outputs={f"key {n}-{m}": m for m in range(9)})
        for n in range(100)
    )  # fmt: skip
    written(ports, chain, lines, 100)
    built(ports, chain)
    found = rows(ports, chain, "lines.csv")
    assert len(found[0]) < MOST_COLUMNS + 20
    assert found[-1]["more"].startswith('{"outputs.key 99-')
    assert found[0]["outputs.key 0-3"] == "3"


def test_a_line_of_very_many_outputs_is_cut_on_the_page(ports: Ports, chain: Chain) -> None:
    outputs = {f"field {n}": n for n in range(SHOWN_VALUES + 40)}
    line = LineRecord(line=0, status=LineStatus.COMPLETED, inputs={"ticket": "x"}, outputs=outputs)
    written(ports, chain, iter([line]), 1)
    html = built(ports, chain)
    assert html.count("<dt>output · ") == SHOWN_VALUES + 1
    assert "40 more values in lines.csv" in html

"""What the lab does before anything runs: loading a use case, making it small; and how its charts are drawn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from genaiops import lab
from genaiops.lab.chart import Panel
from genaiops.lab.sampling import copied
from genaiops.new import new_use_case
from shared.errors import NotFound
from shared.reporting.charts import Bar
from shared.use_case.load import load
from shared.use_case.problems import InvalidUseCase
from tests.unit.use_case_folder import change, put, written


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The use case `greetings` in an app of its own."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    return written(tmp_path)


def copy_of(folder: Path, *, sample: int | None = None, parameters: dict[str, list[object]] | None = None) -> Path:
    use_case = lab.load(folder)
    return copied(use_case, folder.parents[1] / "data", folder / ".." / "copy", sample=sample, parameters=parameters)


def test_a_use_case_is_loaded_by_name_by_path_and_in_an_environment(folder: Path) -> None:
    put(folder, "experiment.pr.yaml", "description: for pull requests\n")
    assert lab.load("greetings").folder == folder.resolve()
    assert lab.load(folder) == lab.load(str(folder))
    assert lab.load(folder, "pr").description == "for pull requests"


def test_what_is_wrong_with_a_use_case_is_one_readable_exception(folder: Path) -> None:
    first = change(folder, "experiment.yaml", "source: truth.csv", "source: trut.csv")
    second = change(folder, "experiment.yaml", "classify.temperature:", "clasify.temperature:")
    with pytest.raises(InvalidUseCase) as raised:
        lab.load("greetings")
    assert f"experiment.yaml:{first}: " in str(raised.value)
    assert f"experiment.yaml:{second}: " in str(raised.value)


def test_a_use_case_that_is_not_there_is_not_found(folder: Path) -> None:
    del folder
    with pytest.raises(NotFound, match="greetings"):
        lab.load("farewells")


def test_a_copy_has_the_first_rows_of_every_dataset_and_the_folder_is_not_touched(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    copy = load(copy_of(folder, sample=2), "dev", data=None)
    assert [dataset.max_rows for dataset in copy.datasets] == [2]
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_a_sample_never_makes_a_dataset_larger(folder: Path) -> None:
    change(folder, "experiment.yaml", "  description: For experiments.\n", "  max_rows: 1\n")
    assert load(copy_of(folder, sample=2), "dev", data=None).datasets[0].max_rows == 1


def test_an_overlay_keeps_its_blocks_in_the_copy(folder: Path) -> None:
    put(folder, "experiment.dev.yaml", "description: overlaid\ngates:\n")
    copy = load(copy_of(folder, sample=2, parameters={"classify.temperature": [0.5]}), "dev", data=None)
    assert copy.description == "overlaid"
    assert copy.gates.checks == ()
    assert copy.parameters == {"classify.temperature": (0.5,)}


def test_without_a_sample_the_copy_says_what_the_folder_says(folder: Path) -> None:
    original, copy = lab.load(folder), load(copy_of(folder), "dev", data=None)
    assert [d.max_rows for d in copy.datasets] == [d.max_rows for d in original.datasets] == [None]
    assert copy.parameters == original.parameters
    assert copy.gates == original.gates


def test_a_sample_of_no_rows_and_parameters_that_yaml_cannot_hold_are_refused(folder: Path) -> None:
    with pytest.raises(lab.LabError, match="from 1"):
        copy_of(folder, sample=0)
    with pytest.raises(lab.LabError, match="parameters"):
        copy_of(folder, parameters={"classify.temperature": [object()]})


def test_a_chart_is_a_complete_svg_on_one_scale_and_shows_no_markup_of_labels() -> None:
    drawn = lab.Chart(
        "e.accuracy",
        (
            Panel("small", (Bar("<b>a</b>", 0.5, "0.5"), Bar("b", 1.0, "1", main=True))),
            Panel("large", (Bar("a", 0.25, "0.25"),)),
        ),
    )
    root = ET.fromstring(drawn._repr_svg_())
    bars = [rect for rect in root.iter("{http://www.w3.org/2000/svg}rect") if "bar" in rect.get("class", "")]
    widths = [float(bar.get("width", "")) for bar in bars]
    assert widths == [widths[1] / 2, widths[1], widths[1] / 4]
    assert "<b>" not in drawn._repr_html_()
    assert "b 1" in repr(drawn)
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))


def test_a_lab_that_has_run_nothing_has_started_nothing_and_closes_twice(tmp_path: Path) -> None:
    with lab.Lab() as bench:
        bench.close()
    use_case = lab.load(new_use_case("greetings", "dag", tmp_path))
    with lab.Lab() as bench, pytest.raises(lab.LabError, match="from 1"):
        bench.run(replace(use_case), sample=-1)


def test_a_name_in_place_of_a_use_case_is_answered_with_how_to_load_it(folder: Path) -> None:
    with lab.Lab() as bench, pytest.raises(lab.LabError, match=r"run\(load\('greetings'\)\)"):
        bench.run(folder.name)  # type: ignore[arg-type]  # what a notebook's author may type

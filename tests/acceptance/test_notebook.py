"""The notebook runs from its first cell to its last, shows what its text says, and is stored without outputs."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from nbclient import NotebookClient

pytestmark = [pytest.mark.xdist_group("notebook"), pytest.mark.timeout(900)]

ROOT = Path(__file__).parents[2]
NOTEBOOK = ROOT / "notebooks" / "local_evaluation.ipynb"


def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The notebook with its outputs, run in a home where there is nothing, by a kernel that leaves no process behind."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR"):
            patch.delenv(variable, raising=False)
        patch.setenv("HOME", str(home))
        patch.setenv("GENAIOPS_ENV_FILE", str(home / "no.env"))
        patch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
        before = {child.pid for child in psutil.Process().children(recursive=True)}
        notebook = stored()
        NotebookClient(
            notebook, timeout=170, kernel_name="python3", resources={"metadata": {"path": str(NOTEBOOK.parent)}}
        ).execute()
        left = [child for child in psutil.Process().children(recursive=True) if child.pid not in before]
        _, alive = psutil.wait_procs(left, timeout=30)
    assert alive == []
    return notebook


def outputs(notebook: Any, cell: str) -> list[Any]:
    return next(found for found in notebook.cells if found.id == cell).outputs


def printed(notebook: Any, cell: str) -> str:
    return "".join(output.text for output in outputs(notebook, cell) if output.output_type == "stream")


def shown(notebook: Any, cell: str, kind: str = "text/plain") -> str:
    """What the cell's last expression shows."""
    return next(output.data[kind] for output in outputs(notebook, cell) if output.output_type == "execute_result")


def table(notebook: Any, cell: str) -> list[list[str]]:
    """The cells of a shown table, its heading first."""
    html = shown(notebook, cell, "text/html")
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", html, flags=re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, flags=re.DOTALL) for row in rows]


def test_it_is_stored_without_outputs() -> None:
    code = [cell for cell in stored().cells if cell.cell_type == "code"]
    assert code != []
    assert [cell.id for cell in code if cell.outputs or cell.execution_count is not None] == []


def test_nothing_of_it_warns_or_fails(executed: Any) -> None:
    said = {
        cell.id: [o for o in cell.get("outputs", []) if o.get("name") == "stderr" or o.output_type == "error"]
        for cell in executed.cells
    }
    assert {cell: found for cell, found in said.items() if found} == {}


def test_it_says_that_the_stand_in_model_answers(executed: Any) -> None:
    assert "stand-in model (rules, not an LLM)" in printed(executed, "run")


def test_the_table_has_a_row_for_each_variant_and_dataset(executed: Any) -> None:
    heading, *rows = table(executed, "run")
    assert len(rows) == 10
    assert {row[heading.index("lines")] for row in rows} == {"16"}
    assert {row[heading.index("failed")] for row in rows} == {"0"}
    assert "classification.macro_f1" in heading


def test_the_comparison_and_the_plot_speak_of_every_variant(executed: Any) -> None:
    variants = {row[0] for row in table(executed, "compare")[2:]}
    assert variants == {
        "default",
        "classify.with_examples",
        "classify.defined",
        "reply.friendly",
        "classify.temperature=0.9",
    }
    drawn = shown(executed, "plot", "image/svg+xml")
    assert drawn.count('class="bar') == 10
    assert all(variant in drawn for variant in variants)


def test_the_worst_lines_are_wrong_ones(executed: Any) -> None:
    heading, *rows = table(executed, "worst")
    found, expected = heading.index("outputs.category"), heading.index("expected.expected_category")
    assert len(rows) == 5
    assert [row for row in rows if row[found] == row[expected]] == []


def test_after_a_change_only_the_changed_variant_asks_the_model(executed: Any) -> None:
    _, first, second = table(executed, "cost")
    (calls_before, reused_before), (calls_after, reused_after) = ((int(row[1]), int(row[2])) for row in (first, second))
    lines = 10 * 16
    # Two llm nodes a line. Both datasets begin with one and the same empty ticket: whichever run comes to it second
    # may find it answered, in each of the five variants.
    assert calls_before == 2 * (lines - reused_before)
    assert reused_before <= 5
    assert calls_after == 2 * (lines - reused_after)
    assert 8 * 16 <= reused_after <= 8 * 16 + 1, "all but the two runs of reply.friendly"


def test_the_change_shows_in_the_metric_and_nowhere_else(executed: Any) -> None:
    default, friendly = (
        [float(value) for value in row[1:]]
        for row in table(executed, "before-and-after")
        if row[0] in ("default", "reply.friendly")
    )
    assert default[:2] == default[2:]
    assert max(friendly[:2]) < min(friendly[2:])


def test_the_report_lies_where_the_notebook_wrote_it(executed: Any) -> None:
    assert "report.html" in printed(executed, "report")
    assert "lines.csv" in printed(executed, "report")


def test_what_runs_notebooks_is_not_installed_in_the_function_app() -> None:
    development = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]["dev"]
    requirements = (ROOT / "requirements.txt").read_text()
    for name in ("nbclient", "nbformat", "ipykernel"):
        assert any(text.startswith(name) for text in development)
        assert re.search(rf"^{name}==", requirements, flags=re.MULTILINE) is None

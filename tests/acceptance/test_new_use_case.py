"""What `genaiops new` writes runs at once: each kind gets its answers from the stand-in model and sensible metrics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from genaiops import lab
from genaiops.new import KINDS, Kind, new_use_case

pytestmark = [pytest.mark.xdist_group("lab"), pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lab.Lab]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENAIOPS_ENV_FILE", str(tmp_path_factory.mktemp("none") / "none.env"))
        with lab.Lab() as bench:
            yield bench


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_use_case_runs_at_once_and_meets_its_gates(bench: lab.Lab, tmp_path: Path, kind: Kind) -> None:
    use_case = lab.load(new_use_case(f"a_{kind}", kind, tmp_path))
    results = bench.run(use_case, sample=None)
    assert results.succeeded, results.reason
    table = results.table()
    assert set(table["lines"]) == {18}
    assert set(table["failed"]) == {0}
    assert set(table["model_calls"]) == {18}
    accuracy = results.compare("correctness.accuracy")["messages"]
    assert 0.8 <= accuracy.max() < 1.0, "a prompt that says what the categories mean sorts most messages rightly"
    assert 0.5 <= accuracy.min() < accuracy.max(), "what is varied makes a difference"
    wrong = results.worst("correctness.correct", n=1)
    assert (wrong["outputs.category"] != wrong["expected.expected"]).all()


def test_it_runs_as_a_pull_request_on_fewer_rows(bench: lab.Lab, tmp_path: Path) -> None:
    results = bench.run(lab.load(new_use_case("small", "dag", tmp_path), "pr"), sample=None)
    assert results.succeeded, results.reason
    assert set(results.table()["lines"]) == {8}

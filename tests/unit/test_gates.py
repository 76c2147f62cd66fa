"""Choosing the candidate and holding gates against it."""

from __future__ import annotations

from shared.chain.messages import Candidate
from shared.evaluation.gates import choose, held, sentence, with_spread
from shared.evaluation.spread import spread
from shared.experimentation.matrix import Cell
from shared.use_case.model import Gate, Gates

BY_F1 = Gates(choose_by=("q", "f1"))


def cells(*labels: str, datasets: tuple[str, ...] = ("web",)) -> tuple[Cell, ...]:
    pairs = [(dataset, label) for dataset in datasets for label in labels]
    return tuple(
        Cell(
            index=index,
            dataset=dataset,
            label=label,
            is_default=label == "default",
            variants={},
            parameters={},
            digest="a" * 64,
        )
        for index, (dataset, label) in enumerate(pairs)
    )


def metrics(**by_label: float) -> dict[str, dict[str, dict[str, float]]]:
    return {label: {"web": {"q.f1": value}} for label, value in by_label.items()}


def test_the_best_mean_over_the_datasets_is_the_candidate():
    matrix = cells("default", "a", datasets=("web", "mail"))
    scores = {
        "default": {"web": {"q.f1": 0.9}, "mail": {"q.f1": 0.1}},
        "a": {"web": {"q.f1": 0.6}, "mail": {"q.f1": 0.6}},
    }
    assert choose(matrix, scores, BY_F1) == Candidate(label="a", cell=1)


def test_on_a_tie_the_default_stays():
    assert choose(cells("a", "default"), metrics(a=0.5, default=0.5), BY_F1) == Candidate(label="default", cell=1)


def test_a_choice_that_lacks_a_dataset_is_no_candidate():
    matrix = cells("default", "a", datasets=("web", "mail"))
    scores = {
        "default": {"web": {"q.f1": 0.2}, "mail": {"q.f1": 0.2}},
        "a": {"web": {"q.f1": 1.0}},
    }
    assert choose(matrix, scores, BY_F1) == Candidate(label="default", cell=0)


def test_without_any_metric_there_is_no_candidate():
    assert choose(cells("default", "a"), {"default": {}, "a": {}}, BY_F1) is None


def test_without_choose_by_the_default_choice_is_the_candidate():
    assert choose(cells("a", "default"), {}, Gates()) == Candidate(label="default", cell=1)


def test_on_a_new_dataset_the_registered_choice_stays_the_candidate():
    scores = metrics(default=0.9, a=0.1)
    assert choose(cells("default", "a"), scores, BY_F1, stays="a") == Candidate(label="a", cell=1)
    assert choose(cells("default", "a"), scores, BY_F1, stays="gone") == Candidate(label="default", cell=0)


def results(gate: Gate, value: float | None, baseline: float | None = None):
    found = {"web": {"q.f1": value}} if value is not None else {}
    before = {"web": {"q.f1": baseline}} if baseline is not None else {}
    return list(held(gate, "default", found, ("web",), baseline=before, candidate=Candidate(label="default", cell=0)))


def test_limits_hold_at_their_very_value():
    gate = Gate("q", "f1", at_least=0.8, at_most=0.8)
    assert [r.passed for r in results(gate, 0.8)] == [True, True]
    assert [r.passed for r in results(gate, 0.79)] == [False, True]
    assert [r.passed for r in results(gate, 0.81)] == [True, False]


def test_a_metric_that_was_not_measured_misses_every_limit():
    assert [r.passed for r in results(Gate("q", "f1", at_least=0.1, at_most=1, max_drop=1), None, 0.5)] == [False] * 3


def test_a_drop_is_measured_from_the_baseline_and_allowed_up_to_its_size():
    gate = Gate("q", "f1", max_drop=0.1)
    assert results(gate, 0.7, 0.8)[0].passed
    assert not results(gate, 0.69, 0.8)[0].passed
    assert results(gate, 0.69, 0.8)[0].baseline == 0.8


def test_without_a_baseline_a_drop_gate_holds():
    (result,) = results(Gate("q", "f1", max_drop=0.1), 0.2)
    assert result.passed
    assert result.baseline is None


def test_the_candidate_is_the_first_repetition_of_its_choice():
    matrix = tuple(
        cell.model_copy(update={"repetition": cell.index % 2, "label": "a" if cell.index >= 2 else "default"})
        for cell in cells("default", "default", "a", "a")
    )
    assert choose(matrix, metrics(default=0.5, a=0.9), BY_F1) == Candidate(label="a", cell=2)
    assert choose(matrix, {}, Gates()) == Candidate(label="default", cell=0)


def test_the_mean_over_datasets_of_very_large_metrics_is_a_number():
    matrix = cells("default", "a", datasets=("web", "mail"))
    scores = {label: {"web": {"q.f1": 1.7e308}, "mail": {"q.f1": 1.7e308}} for label in ("default", "a")}
    assert choose(matrix, scores, BY_F1) == Candidate(label="default", cell=0)


def test_a_missed_gate_names_mean_and_spread_of_its_repetitions_and_those_that_failed():
    (result,) = results(Gate("q", "f1", at_least=0.8), 0.7)
    spreads = {"web": {"q.f1": spread([0.6, 0.8])}}
    assert sentence(with_spread(result, spreads, 3)) == (
        "q.f1 of default on web is 0.7 on average of 2 repetitions (0.6 to 0.8, 1 more failed); it must be at least 0.8"
    )
    assert sentence(with_spread(result, spreads, 1)) == "q.f1 of default on web is 0.7; it must be at least 0.8"

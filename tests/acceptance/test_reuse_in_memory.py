"""Only what changed is run: whole chains in memory, counting the lines that the runner was really given."""

from __future__ import annotations

import json

import pytest

from shared import chain_store, result_store
from shared.adapters.memory.runner import MemoryFlowRunner
from shared.chain.messages import DatasetUpload
from shared.chain.state import ChainStatus
from shared.experimentation import reuse
from shared.experimentation.reuse import pinning
from shared.results import cell_folder, evaluation_folder
from shared.use_case.model import Reuse
from tests.memory_world import World, accuracy, exact, small_flow

QUESTIONS = "data/questions.jsonl"


class CountingRunner(MemoryFlowRunner):
    """Also says how many lines of which flow each chain ran."""

    def lines_of(self, chain, flow=None):
        return sum(
            len(self._runs[spec.name].outcome.lines)
            for spec in self.started
            if spec.name.startswith(chain) and flow in (None, spec.flow.name)
        )


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    world.runner = CountingRunner({"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, clock=world.clock)
    world.ports = world._wired()
    return world


def rows(*numbers):
    return "".join(
        json.dumps({"question": f"question {number}", "answer": f"QUESTION {number}"}) + "\n" for number in numbers
    )


def ended(world, request_id, **fields):
    """A pr chain, whole."""
    world.clock.advance(100)
    chain = world.request("pr", request_id=request_id, **fields)
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    return chain


def records(world, chain):
    prepared = chain_store.read_prepared(world.blobs, chain)
    cells = {
        f"{cell.label}/{cell.repetition}": result_store.record(world.blobs, cell_folder(chain, cell.name))
        for cell in prepared.cells
    }
    evaluations = {
        f"{cell.label}/{cell.repetition}": result_store.record(
            world.blobs, evaluation_folder(chain, cell.name, "exact")
        )
        for cell in prepared.cells
    }
    return cells, evaluations


def test_the_same_commit_again_runs_nothing_and_says_where_its_lines_come_from(world):
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2, 3)})
    first = ended(world, "a", bundle=bundle)
    second = ended(world, "b", bundle=bundle)

    assert (world.runner.lines_of(first), world.runner.lines_of(second)) == (12, 0)
    cells, evaluations = records(world, second)
    was, _ = records(world, first)
    assert cells["default/0"].reused_lines == cells["default/0"].lines == 3
    assert [origin.run for origin in cells["default/0"].origins] == [was["default/0"].name]
    assert cells["default/0"].origins[0].ended_at == was["default/0"].ended_at
    assert evaluations["default/0"].metrics == {"accuracy": 1.0}, "metrics are computed again, over all lines"
    assert not list(world.blobs.list("results", f"{second}/00000-questions-0/reused")), "nothing stays pinned"


def test_appending_rows_costs_those_rows_and_metrics_are_of_all(world):
    first = ended(world, "a", bundle=world.publish_use_case({QUESTIONS: rows(*range(10))}))
    spoilt = rows(*range(10)) + json.dumps({"question": "another", "answer": "wrong"}) + "\n"
    second = ended(world, "b", bundle=world.publish_use_case({QUESTIONS: spoilt}), variants="defaults")

    assert world.runner.lines_of(second, "small") == 1
    assert world.runner.lines_of(second, "evaluate") == 1
    cells, evaluations = records(world, second)
    assert evaluations["default/0"].metrics == {"accuracy": 10 / 11}
    assert (cells["default/0"].lines, cells["default/0"].reused_lines) == (11, 10)
    assert world.runner.lines_of(first, "small") == 20


def test_rows_may_move_be_changed_and_be_removed(world):
    ended(world, "a", bundle=world.publish_use_case({QUESTIONS: rows(*range(10))}))
    order = [7, 3, 99, 0, 3, 9]
    second = ended(world, "b", bundle=world.publish_use_case({QUESTIONS: rows(*order)}), variants="defaults")

    assert world.runner.lines_of(second, "small") == 1
    prepared = chain_store.read_prepared(world.blobs, second)
    lines = list(result_store.lines(world.blobs, cell_folder(second, prepared.cells[0].name)))
    assert [line.line for line in lines] == list(range(6))
    assert [line.outputs["answer"] for line in lines] == [f"QUESTION {number}" for number in order]
    assert [line.origin is None for line in lines] == [number == 99 for number in order]


def test_editing_one_variant_runs_that_variant_alone(world):
    data = {QUESTIONS: rows(1, 2, 3)}
    ended(world, "a", bundle=world.publish_use_case(data))
    flow = (world.settings.flows / "small/flows/small/flow.dag.yaml").read_text()
    quiet = flow.index("quiet:")
    edited = flow[:quiet] + flow[quiet:].replace(
        "          inputs:\n", "          activate: {when: '${inputs.question}', is: x}\n          inputs:\n"
    )
    second = ended(world, "b", bundle=world.publish_use_case({**data, "flows/small/flow.dag.yaml": edited}))

    cells, _ = records(world, second)
    assert {label: record.reused_lines for label, record in cells.items()} == {"default/0": 3, "shout.quiet/0": 0}


def test_editing_an_evaluator_runs_no_standard_flow(world):
    data = {QUESTIONS: rows(1, 2, 3)}
    ended(world, "a", bundle=world.publish_use_case(data))
    code = (world.settings.flows / "small/flows/evaluate/compare.py").read_text()
    changed = {**data, "flows/evaluate/compare.py": code + "\n# stricter\n"}
    second = ended(world, "b", bundle=world.publish_use_case(changed))

    assert world.runner.lines_of(second, "small") == 0
    assert world.runner.lines_of(second, "evaluate") == 6


def test_a_helper_that_a_node_may_import_counts_for_every_variant(world):
    data = {QUESTIONS: rows(1, 2, 3)}
    ended(world, "a", bundle=world.publish_use_case(data))
    second = ended(world, "b", bundle=world.publish_use_case({**data, "flows/small/helper.py": "LOUD = True\n"}))
    assert world.runner.lines_of(second, "small") == 6


def test_fresh_runs_everything_and_serves_later_chains(world):
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2)})
    ended(world, "a", bundle=bundle)
    fresh = ended(world, "b", bundle=bundle, fresh=True)
    third = ended(world, "c", bundle=bundle)

    assert world.runner.lines_of(fresh) == 8
    assert world.runner.lines_of(third) == 0
    assert records(world, third)[0]["default/0"].origins[0].run.startswith(fresh)


def with_key(world, key):
    text = (world.settings.flows / "small/experiment.yaml").read_text()
    return f"{text}\n{key}\n"


def test_without_reuse_everything_is_run(world):
    files = {QUESTIONS: rows(1, 2), "experiment.yaml": with_key(world, "reuse: none")}
    bundle = world.publish_use_case(files)
    ended(world, "a", bundle=bundle)
    assert world.runner.lines_of(ended(world, "b", bundle=bundle)) == 8


def test_reuse_of_runs_takes_whole_runs_only(world):
    key = with_key(world, "reuse: runs")
    first = {QUESTIONS: rows(1, 2), "experiment.yaml": key}
    ended(world, "a", bundle=world.publish_use_case(first))
    assert world.runner.lines_of(ended(world, "b", bundle=world.publish_use_case(first))) == 0
    more = {QUESTIONS: rows(1, 2, 3), "experiment.yaml": key}
    third = ended(world, "c", bundle=world.publish_use_case(more))
    assert world.runner.lines_of(third, "small") == 6


def test_runs_of_one_chain_take_nothing_from_each_other(world):
    """Which of them ends first is chance."""
    experiment = (world.settings.flows / "small/experiment.yaml").read_text()
    datasets = experiment.index("evaluators:")
    twin = "  - name: twins\n    source: questions.jsonl\n    mappings:\n      question: ${data.question}\n\n"
    experiment = experiment[:datasets] + twin + experiment[datasets:]
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2), "experiment.yaml": experiment})
    first = ended(world, "a", bundle=bundle, variants="defaults")
    assert world.runner.lines_of(first, "small") == 4
    assert world.runner.lines_of(ended(world, "b", bundle=bundle, variants="defaults"), "small") == 0


def test_repetitions_are_runs_of_their_own_and_each_is_reused(world):
    files = {QUESTIONS: rows(1, 2), "experiment.yaml": with_key(world, "repeat: 3")}
    bundle = world.publish_use_case(files)
    first = ended(world, "a", bundle=bundle, variants="defaults")
    second = ended(world, "b", bundle=bundle, variants="defaults")
    assert world.runner.lines_of(first, "small") == 6, "no repetition finds the results of the one before"
    assert world.runner.lines_of(second, "small") == 0
    assert set(records(world, second)[0]) == {"default/0", "default/1", "default/2"}


def test_failed_lines_are_run_again(world):
    down = {"is": True}

    def flow(inputs, spec):
        if down["is"] and inputs["question"].endswith("2"):
            raise ValueError("the model is down")
        return small_flow(inputs, spec)

    world.runner = CountingRunner({"small": flow, "evaluate": exact}, {"evaluate": accuracy}, clock=world.clock)
    world.ports = world._wired()
    key = with_key(world, "tolerated_failures: 0.5")
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2, 3), "experiment.yaml": key})
    ended(world, "a", bundle=bundle, variants="defaults")
    down["is"] = False
    second = ended(world, "b", bundle=bundle, variants="defaults")
    assert world.runner.lines_of(second, "small") == 1
    cells, evaluations = records(world, second)
    assert (cells["default/0"].failed_lines, evaluations["default/0"].lines) == (0, 3)


def test_results_that_were_cleared_away_are_run_again(world):
    bundle = world.publish_use_case({QUESTIONS: rows(1, 2)})
    first = ended(world, "a", bundle=bundle)
    for info in list(world.blobs.list("results", first)):
        world.blobs.delete("results", info.name)
    assert world.runner.lines_of(ended(world, "b", bundle=bundle)) == 8


def test_an_upload_with_one_new_row_costs_one_line_a_variant(world):
    world.request("ci", request_id="a")
    world.pump()
    shipped = (world.settings.flows / "small/data/questions.jsonl").read_text()
    upload = "small/questions/new.jsonl"
    world.blobs.write("datasets", upload, (shipped + rows(99)).encode())
    world.clock.advance(100)
    chain = world.request("dataset", request_id="b", dataset=DatasetUpload(name="questions", blob=upload))
    world.pump()
    assert world.chain(chain).status is ChainStatus.SUCCEEDED, world.log(chain)
    assert world.runner.lines_of(chain, "small") == 2


def test_a_death_at_any_step_of_a_chain_that_reuses_changes_nothing(world, tmp_path):
    old = {QUESTIONS: rows(1, 2, 3)}
    new = {QUESTIONS: rows(1, 2, 3, 4)}

    def story(crash_at, after):
        world = World(tmp_path / f"{crash_at}-{after}")
        world.runner = CountingRunner(
            {"small": small_flow, "evaluate": exact}, {"evaluate": accuracy}, clock=world.clock
        )
        world.ports = world._wired()
        first = world.publish_use_case(old)
        second = world.publish_use_case(new)
        ended(world, "a", bundle=first, variants="defaults")
        begun = world.steps.count
        world.steps.crash_at = begun + crash_at if crash_at else None
        world.steps.after = after
        chain = ended(world, "b", bundle=second, variants="defaults")
        cells, evaluations = records(world, chain)
        pinned = [info.name for info in world.blobs.list("results") if "/reused." in info.name]
        return (
            world.steps.count - begun,
            (cells["default/0"].reused_lines, cells["default/0"].lines, evaluations["default/0"].metrics, pinned),
        )

    steps, expected = story(0, after=False)
    assert expected == (3, 4, {"accuracy": 1.0}, [])
    for step in range(1, steps + 1):
        for after in (False, True):
            assert story(step, after)[1] == expected, (step, after)


def test_two_deliveries_that_pin_at_once_come_to_know_the_same_lines(world):
    """The second has found more: a run that ended meanwhile. What the first wrote counts, or lines would be missing."""
    ended(world, "a", bundle=world.publish_use_case({QUESTIONS: rows(1)}), variants="defaults")
    more = world.publish_use_case({QUESTIONS: rows(1, 2)})
    chain = ended(world, "b", bundle=more, variants="defaults")
    cell = chain_store.read_prepared(world.blobs, chain).cells[0]
    inputs = [{"question": f"question {number}"} for number in (1, 2, 3)]
    later = reuse.notes(world.blobs, cell.configuration, Reuse.LINES)
    earlier = [note for note in later if not note.folder.startswith(chain)]
    assert (len(later), len(earlier)) == (2, 1)

    class Late:
        """A store in which the first delivery pins its lines while the second is about to."""

        def __getattr__(self, name):
            return getattr(world.blobs, name)

        def write(self, *args, **options):
            self.write = world.blobs.write
            assert reuse.pin(world.blobs, "c/00000", earlier, list(enumerate(inputs))).numbers == {0}
            world.blobs.delete("results", f"c/00000/{pinning.PINNED}")  # it has not come to that yet
            return world.blobs.write(*args, **options)

    second = reuse.pin(Late(), "c/00000", later, list(enumerate(inputs)))
    assert second.numbers == {0}
    assert reuse.pinned(world.blobs, "c/00000") == second
    assert [line.line for line in reuse.pinned_lines(world.blobs, "c/00000")] == [0]


def test_a_matrix_of_many_runs_under_one_configuration_is_found_again(world):
    """More than are looked through: each leaves a note under its evaluator's configuration, and here under its own."""
    questions = ", ".join(f"question {number}" for number in range(1, 31))
    key = with_key(world, f"parameters:\n  inputs.question: [{questions}]")
    ended(world, "a", bundle=world.publish_use_case({QUESTIONS: rows(1), "experiment.yaml": key}))
    again = ended(world, "b", bundle=world.publish_use_case({QUESTIONS: rows(1), "experiment.yaml": key}))
    assert world.runner.lines_of(again) == 0
    more = ended(world, "c", bundle=world.publish_use_case({QUESTIONS: rows(1) + rows(1), "experiment.yaml": key}))
    assert world.runner.lines_of(more) == 0, "other runs, with lines that are known"


def test_notes_of_a_configuration_are_found_the_newest_first_and_bounded(world):
    bundle = world.publish_use_case({QUESTIONS: rows(1)})
    chains = [ended(world, f"n{n}", bundle=bundle, variants="defaults", fresh=True) for n in range(25)]
    prepared = chain_store.read_prepared(world.blobs, chains[-1])
    cell = prepared.cells[0]
    found = reuse.notes(world.blobs, cell.configuration, Reuse.LINES)
    assert len(found) == reuse.MOST_RUNS
    assert [note.run.split("-0000")[0] for note in found] == chains[::-1][: reuse.MOST_RUNS]

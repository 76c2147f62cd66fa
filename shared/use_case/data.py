"""The datasets of `experiment.yaml`: their files, and mappings checked against columns, flow inputs and run outputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from shared.datasets.facts import DatasetFacts, inspect
from shared.datasets.mapping import Origin, Reference, reference
from shared.errors import Malformed
from shared.use_case.block import Block
from shared.use_case.flow_facts import FlowFacts
from shared.use_case.model import Dataset
from shared.use_case.problems import one_of
from shared.use_case.sources import dataset_file, is_inside

KEYS = ("name", "source", "description", "mappings", "max_rows")


def used_rows(dataset: Dataset, facts: DatasetFacts) -> int:
    """Rows of a dataset that are used: all of them, or the first `max_rows`."""
    return facts.rows if dataset.max_rows is None else min(dataset.max_rows, facts.rows)


class DataReader:
    """Reads the dataset blocks of one use case. Each file is read once."""

    def __init__(self, folder: Path, outside: Path | None, flow: FlowFacts | None, read_data: bool) -> None:
        self.folder = folder
        self.outside = outside
        self.flow = flow
        self.read_data = read_data
        self.datasets: dict[str, Dataset] = {}
        self.truths: dict[str, Dataset] = {}
        """The evaluators' own datasets: a name means one file, whichever evaluator uses it."""
        self.facts: dict[Path, DatasetFacts | None] = {}

    def experiment_datasets(self, block: Block) -> tuple[Dataset, ...]:
        """The datasets that the standard flow runs on."""
        for item in block.items():
            if item.mapping((*KEYS, "reference")) is None:
                continue
            name = item.name("name")
            if name in self.datasets:
                item.problem(f"there is another dataset named {name!r}; names must differ", "name")
            if "reference" in item:
                item.problem("only an evaluator's dataset refers to another one; remove this key", "reference")
            path = self.file(item, required=True)
            mappings = self.mappings(item, self.flow, path, None)
            if name and name not in self.datasets:
                self.datasets[name] = self.dataset(item, name, path, mappings, None)
        if not block.value:
            block.problem("there is no dataset; expected a list with at least one `- name: …`")
        return tuple(self.datasets.values())

    def evaluator_datasets(self, block: Block, flow: FlowFacts | None, elsewhere: Collection[str]) -> list[Dataset]:
        """The datasets of one evaluator.

        Args:
            block: the evaluator's `datasets`.
            flow: the evaluation flow.
            elsewhere: experiment datasets that this environment leaves out, and whose evaluations it leaves out too.
        """
        found: dict[str, Dataset] = {}
        for item in block.items():
            if item.mapping((*KEYS, "reference")) is None:
                continue
            name = item.name("name")
            shared = self.datasets.get(name)
            if shared is not None and not self.is_same(item, shared):
                message = f"{name!r} is an experiment dataset: remove `source` and `reference`, or rename it"
                item.problem(message, "name")
                continue
            own = shared is None and ("source" in item or "reference" in item)
            belongs_to = item.text("reference", required=True) if own else name
            if belongs_to not in self.datasets:
                if belongs_to and belongs_to not in elsewhere:
                    hint = "" if own else "; a dataset of its own needs `source` and `reference`"
                    key = "reference" if own else "name"
                    item.problem(one_of(belongs_to, self.datasets, "experiment dataset") + hint, key)
                continue
            if belongs_to in found:
                item.problem(f"this evaluator has another dataset for {belongs_to!r}; keep one", "name")
                continue
            path = self.file(item, required=True) if own else self.datasets[belongs_to].path
            mappings = self.mappings(item, flow, path, self.flow)
            found[belongs_to] = self.dataset(item, name, path, mappings, belongs_to if own else None)
            if own:
                first = self.truths.setdefault(name, found[belongs_to])
                if (first.path, first.max_rows) != (found[belongs_to].path, found[belongs_to].max_rows):
                    item.problem(f"another evaluator has a dataset {name!r} with other rows; rename one", "name")
            self.check_rows(item, self.datasets[belongs_to], found[belongs_to])
        if not block.value:
            block.problem("there is no dataset; expected at least one `- name: …` with `mappings`")
        return list(found.values())

    def is_same(self, item: Block, dataset: Dataset) -> bool:
        """Whether an evaluator's block says nothing else than the experiment dataset of its name."""
        source, reference_ = item.child("source").value, item.child("reference").value
        return source in (None, dataset.source) and reference_ in (None, dataset.name)

    def dataset(
        self, item: Block, name: str, path: Path | None, mappings: Mapping[str, object], belongs_to: str | None
    ) -> Dataset:
        """The value of a block."""
        base = self.datasets.get(name)
        return Dataset(
            name=name,
            source=item.text("source") or (base.source if base else ""),
            path=path or self.folder,
            description=item.text("description", default=base.description if base else "") or "",
            mappings=mappings,
            reference=belongs_to,
            max_rows=item.integer("max_rows", 1, 10_000_000) or (base.max_rows if base else None),
        )

    def file(self, item: Block, *, required: bool) -> Path | None:
        """The file of a block's `source`, read to see whether it is well-formed."""
        source = item.text("source", required=required)
        if source is None:
            return None
        if source.startswith("azureml:"):
            item.problem(f"{source!r} is a data asset; expected the path of a .jsonl or .csv file", "source")
            return None
        path = dataset_file(source, self.folder, self.outside)
        if path is None:
            places = ["the use case folder", "its data/", *([f"data/{self.outside.name}/"] if self.outside else [])]
            hint = "" if is_inside(source) else "; it must be a relative path without `..`"
            item.problem(f"there is no file {source!r} in {', '.join(places)}{hint}", "source")
            return None
        if path not in self.facts:
            self.facts[path] = None
            try:
                self.facts[path] = inspect(path, source) if self.read_data else None
            except Malformed as error:
                item.problem(str(error), "source")
        return path

    def mappings(
        self, item: Block, target: FlowFacts | None, path: Path | None, run: FlowFacts | None
    ) -> dict[str, object]:
        """The complete mappings of a block for the flow `target`; `run` is the flow whose outputs they may use.

        An input that has neither a mapping nor a default takes the column of its own name, as prompt flow does. A
        mapped name that the flow does not have is dropped, as prompt flow does, where every input of the flow is
        mapped; else it is taken for a misspelling.
        """
        block = item.child("mappings")
        facts = self.facts.get(path) if path else None
        written: dict[str, Any] = dict(block.value) if block.value is not None and block.mapping() else {}
        complete = dict(written)
        if target is not None:
            unmapped = [name for name in target.inputs if name not in written]
            for name in written:
                if name not in target.inputs:
                    del complete[name]
                    if unmapped:
                        block.problem(one_of(name, target.inputs, "input of the flow"), name)
            for name in unmapped:
                if target.inputs[name].required:
                    if facts is None or name in facts.columns:
                        complete[name] = f"${{data.{name}}}"
                    else:
                        block.problem(
                            f"the flow's input {name!r} has no default and no mapping; "
                            f"add {name}: ${{data.<column>}} with one of: {', '.join(facts.columns[:20])}"
                        )
        limit = item.child("max_rows").value
        rows = limit if isinstance(limit, int) else facts.rows if facts else 0
        for name, mapping in complete.items():
            try:
                found = reference(mapping)
            except Malformed as error:
                block.problem(str(error), name)
                continue
            if found is not None and found.origin is Origin.DATA:
                self.check_column(block, name, found.name, facts, rows)
            elif found is not None:
                self.check_run(block, name, found, run)
        return complete

    def check_rows(self, item: Block, experiment: Dataset, truth: Dataset) -> None:
        """Row i of the truth belongs to row i of the experiment dataset, so that there must be as many."""
        have = self.facts.get(truth.path) if truth.path else None
        need = self.facts.get(experiment.path) if experiment.path else None
        if have is None or need is None:
            return
        rows, wanted = used_rows(truth, have), used_rows(experiment, need)
        if rows < wanted:
            count = "1 row" if rows == 1 else f"{rows} rows"
            item.problem(
                f"has {count} for the {wanted} of {experiment.name!r}: line i of a run is evaluated with row i; "
                f"add the missing rows, or set `max_rows: {rows}` on {experiment.name!r}",
                "source" if truth.reference else "name",
            )

    def check_column(self, block: Block, name: str, column: str, facts: DatasetFacts | None, rows: int) -> None:
        """Every used row has the column."""
        if facts is None:
            return
        if column not in facts.columns:
            block.problem(one_of(column, facts.columns, "column of the dataset"), name)
        elif gap := facts.gap(column, rows):
            block.problem(f"the dataset has no {column!r} in line {gap.line}; every row needs it", name)

    def check_run(self, block: Block, name: str, found: Reference, run: FlowFacts | None) -> None:
        """The run has that output or input."""
        if block.path[0] == "datasets":
            block.problem("refers to a run, which only an evaluator reads; expected ${data.<column>}", name)
        elif run is not None:
            outputs = found.origin is Origin.RUN_OUTPUTS
            there = run.outputs if outputs else tuple(run.inputs)
            if found.name not in there:
                block.problem(one_of(found.name, there, f"{'output' if outputs else 'input'} of the flow"), name)

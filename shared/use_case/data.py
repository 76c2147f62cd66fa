"""The datasets of `experiment.yaml`: their files, and mappings checked against columns, flow inputs and run outputs."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from shared.datasets.facts import DatasetFacts
from shared.datasets.mapping import Origin, Reference, reference
from shared.errors import Malformed
from shared.use_case.block import Block
from shared.use_case.dataset_files import DatasetFile, DatasetFiles, begins_with
from shared.use_case.flow_facts import FlowFacts
from shared.use_case.model import Dataset
from shared.use_case.problems import one_of

_NEARLY: Final = re.compile(r"\$\{ *(data|run|target)\.")
KEYS = ("name", "source", "description", "mappings", "max_rows")


def used_rows(dataset: Dataset, facts: DatasetFacts) -> int:
    """Rows of a dataset that are used: all of them, or the first `max_rows`."""
    return facts.rows if dataset.max_rows is None else min(dataset.max_rows, facts.rows)


def _has_same_rows(one: Dataset, other: Dataset) -> bool:
    """Whether two blocks mean the same rows of the same file or asset."""
    return (one.path or one.source, one.max_rows) == (other.path or other.source, other.max_rows)


class DataReader:
    """Reads the dataset blocks of one use case. Each file is read once."""

    def __init__(
        self,
        sources: DatasetFiles,
        flow: FlowFacts | None,
        supplied: Collection[str],
    ) -> None:
        self.sources = sources
        self.flow = flow
        self.supplied = supplied
        """Inputs of the standard flow that a parameter gives a value."""
        self.datasets: dict[str, Dataset] = {}
        self.files: dict[str, DatasetFile] = {}
        self.truths: dict[str, Dataset] = {}
        """The evaluators' own datasets: a name means one file, whichever evaluator uses it."""

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
            file = self.sources.find(item)
            mappings = self.mappings(item, self.flow, file, None)
            if name and name not in self.datasets:
                self.datasets[name] = self.dataset(item, name, file, mappings, None)
                self.files[name] = file
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
            file = self.sources.find(item) if own else self.files[belongs_to]
            mappings = self.mappings(item, flow, file, self.flow)
            truth = self.dataset(item, name, file, mappings, belongs_to if own else None)
            found[belongs_to] = truth
            if own and not _has_same_rows(truth, self.truths.setdefault(name, truth)):
                item.problem(f"another evaluator has a dataset {name!r} with other rows; rename one", "name")
            self.check_rows(item, belongs_to, truth, file)
        if not block.value:
            block.problem("there is no dataset; expected at least one `- name: …` with `mappings`")
        return list(found.values())

    def is_same(self, item: Block, dataset: Dataset) -> bool:
        """Whether an evaluator's block says nothing else than the experiment dataset of its name."""
        source, reference_ = item.child("source").value, item.child("reference").value
        return source in (None, dataset.source) and reference_ in (None, dataset.name)

    def dataset(
        self, item: Block, name: str, file: DatasetFile, mappings: Mapping[str, object], belongs_to: str | None
    ) -> Dataset:
        """The value of a block."""
        base = self.datasets.get(name)
        return Dataset(
            name=name,
            source=item.text("source") or (base.source if base else ""),
            path=file.path,
            description=item.text("description", default=base.description if base else "") or "",
            mappings=mappings,
            reference=belongs_to,
            max_rows=item.integer("max_rows", 1, 10_000_000) or (base.max_rows if base else None),
        )

    def mappings(
        self, item: Block, target: FlowFacts | None, file: DatasetFile, run: FlowFacts | None
    ) -> dict[str, object]:
        """The complete mappings of a block for the flow `target`; `run` is the flow whose outputs they may use.

        As prompt flow does, an unmapped input takes its default, or else the column of its own name; and a mapped name
        that the flow does not have is dropped, which is worth a warning. Where an input is left without a value, such
        a name is taken for a misspelling of it.
        """
        block = item.child("mappings")
        facts = self.sources.facts(file)
        written: dict[str, Any] = dict(block.value) if block.value is not None and block.mapping() else {}
        supplied = self.supplied if run is None else ()
        complete = dict(written)
        missing: list[str] = []
        for name, spec in target.inputs.items() if target is not None else ():
            if name in written or name in supplied:
                continue
            if spec.required and facts is not None and name not in facts.columns:
                missing.append(name)
            elif spec.required or (spec.default is None and begins_with(file.readable, name)):
                complete[name] = f"${{data.{name}}}"
        for name in missing:
            columns = ", ".join(facts.columns[:20]) if facts is not None else ""
            block.problem(
                f"the flow's input {name!r} has no default and no mapping; "
                f"add {name}: ${{data.<column>}} with one of: {columns}"
            )
        for name in written if target is not None and not target.takes_any_input else ():
            if target is None or name in target.inputs:
                continue
            del complete[name]
            said = one_of(name, target.inputs, "input of the flow")
            if missing:
                block.problem(said, name)
            else:
                block.warn(f"{said}. It has no effect: every input has a value without it", name)
        self.check_references(item, block, complete, facts, run)
        return complete

    def check_references(
        self,
        item: Block,
        block: Block,
        mappings: Mapping[str, object],
        facts: DatasetFacts | None,
        run: FlowFacts | None,
    ) -> None:
        """Everything that a mapping refers to is there, in every row that is used."""
        limit = item.child("max_rows").value
        used = limit if isinstance(limit, int) else facts.rows if facts else 0
        for name, mapping in mappings.items():
            try:
                found = reference(mapping)
            except Malformed as error:
                block.problem(str(error), name)
                continue
            if found is None:
                self.check_constant(block, name, mapping)
            elif found.origin is Origin.DATA:
                self.check_column(block, name, found.name, facts, used)
            elif found is not None:
                self.check_run(block, name, found, run)

    def check_rows(self, item: Block, name: str, truth: Dataset, file: DatasetFile) -> None:
        """Row i of the truth belongs to row i of the experiment dataset, so that there must be as many."""
        experiment, needed = self.datasets[name], self.files[name]
        have, need = self.sources.facts(file), self.sources.facts(needed)
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

    def check_constant(self, block: Block, name: str, value: object) -> None:
        """What is no reference is JSON, and does not only miss being a reference by a brace."""
        text = json.dumps(value)
        if "NaN" in text or "Infinity" in text:
            block.problem(f"is {text[:80]}, which is not JSON; use null or a number", name)
        elif isinstance(value, str) and _NEARLY.search(value):
            shown = repr(value[:80])
            block.problem(f"is {shown}; a reference stands alone and has the form ${{data.<column>}}", name)

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
            anything = run.gives_any_output if outputs else run.takes_any_input
            if found.name not in there and not anything:
                block.problem(one_of(found.name, there, f"{'output' if outputs else 'input'} of the flow"), name)

"""What a chain left behind, as tables: a row a run, a row a line, one metric over variants and datasets.

Everything is read from the chain's stored results, as its report is, when it is asked for. pandas is loaded with the
first table.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any, Final

from genaiops.lab.chart import Chart, Panel
from genaiops.lab.errors import LabError
from genaiops.lab.rows import metrics_of, records_of, score_of, score_value, told
from shared import reporting
from shared.chain.state import Chain, ChainStatus
from shared.errors import NotFound
from shared.ports import BlobStore
from shared.reporting import facts as reading
from shared.reporting.charts import Bar
from shared.reporting.facts import CellFacts, Facts, Line
from shared.reporting.scores import lowers
from shared.results import RunRecord
from shared.use_case.problems import one_of

if TYPE_CHECKING:
    import pandas as pd

_KEYS: Final = ("variant", "dataset")
_ERRORS_SHOWN: Final = 5


class Results:
    """The runs of one chain with their evaluations. A notebook that ends with it shows the table and what it cost."""

    def __init__(self, blobs: BlobStore, chain: Chain) -> None:
        self._blobs = blobs
        self._facts: Facts = reading.read(blobs, chain)

    # ---------------------------------------------------------------------------------------------------- in one glance

    @property
    def succeeded(self) -> bool:
        """Whether all runs and evaluations ended well and the candidate met the gates."""
        return self._facts.chain.status is ChainStatus.SUCCEEDED

    @property
    def reason(self) -> str:
        """Why the chain failed, with the errors of its log; empty if it did not."""
        reason = self._facts.chain.reason
        if not reason:
            return ""
        errors = dict.fromkeys(entry.text for entry in self._facts.log if entry.level == "error")
        return "\n".join([reason, *[text for text in errors if reason not in text][:_ERRORS_SHOWN]])

    @property
    def variants(self) -> tuple[str, ...]:
        """The choices of variants and parameters, in the order of the matrix."""
        return self._facts.labels

    @property
    def datasets(self) -> tuple[str, ...]:
        """The datasets that the flow ran on."""
        return tuple(dict.fromkeys(facts.cell.dataset for facts in self._facts.cells))

    @property
    def candidate(self) -> str | None:
        """The choice that `gates.choose_by` picks; a ci chain would register it."""
        return self._facts.candidate

    @property
    def models(self) -> tuple[str, ...]:
        """Every model that was asked; the stand-in model (rules, not an LLM) is named as such."""
        return self._facts.models

    @property
    def runs(self) -> tuple[RunRecord, ...]:
        """The record of every run that left one, in the order of the matrix; without those of evaluations."""
        return tuple(facts.run for facts in self._facts.cells if facts.run is not None)

    @property
    def model_calls(self) -> int:
        """Model calls that these runs and evaluations made: none for lines that were taken from earlier runs."""
        return sum(record.model_calls for facts in self._facts.cells for record in records_of(facts))

    @property
    def reused_lines(self) -> int:
        """Lines of runs that were not run, since an earlier run has done the same."""
        return sum(facts.run.reused_lines for facts in self._facts.cells if facts.run)

    def __repr__(self) -> str:
        lines = sum(facts.run.lines for facts in self._facts.cells if facts.run)
        counts = f"{len(self._facts.cells)} runs with {lines} lines ({self.reused_lines} reused)"
        ended = "succeeded" if self.succeeded else f"{self._facts.chain.status}: {self.reason}"
        return f"{counts}, {self.model_calls} model calls; {', '.join(self.models) or 'no model'}; {ended}"

    def _repr_html_(self) -> str:
        from markupsafe import escape

        return f"<p>{escape(repr(self))}</p>{self.table().to_html(index=False)}"

    # ---------------------------------------------------------------------------------------------------------- tables

    def table(self) -> pd.DataFrame:
        """A row for each variant and dataset (and repetition): counts, cost, latency, and every metric.

        `model_calls` and `tokens` are those of the run and its evaluations, latencies those of the run's lines, in ms.
        The column `note` is there if something failed, and says what.
        """
        import pandas as pd

        frame = pd.DataFrame([self._row(facts) for facts in self._facts.cells])
        if (frame["repetition"] == 0).all():
            frame = frame.drop(columns="repetition")
        return frame if frame["note"].any() else frame.drop(columns="note")

    def compare(self, metric: str) -> pd.DataFrame:
        """One metric, `<evaluator>.<metric>`: a row a variant, a column a dataset; the mean where a run was repeated.

        Raises:
            LabError: no evaluator has that metric; names the nearest one.
        """
        import pandas as pd

        cells = self._means(metric)
        rows = [[cells.get((variant, dataset), math.nan) for dataset in self.datasets] for variant in self.variants]
        return pd.DataFrame(
            rows, index=pd.Index(self.variants, name="variant"), columns=pd.Index(self.datasets, name=metric)
        )

    def plot(self, metric: str) -> Chart:
        """One metric as bars, a bar for each variant, a panel for each dataset; the best one stands out.

        Raises:
            LabError: no evaluator has that metric; names the nearest one.
        """
        cells = self._means(metric)
        better = min if tuple(metric.split(".", 1)) in lowers(self._facts) else max
        panels = []
        for dataset in self.datasets:
            values = {variant: cells.get((variant, dataset), math.nan) for variant in self.variants}
            known = {variant: value for variant, value in values.items() if math.isfinite(value)}
            best = better(known.values()) if len(set(known.values())) > 1 else None
            bars = (Bar(variant, value, f"{value:.4g}", main=value == best) for variant, value in known.items())
            if known:
                panels.append(Panel(dataset, tuple(bars)))
        if not panels:
            raise LabError(f"{metric} is a number on no run: results.table() shows what it is.")
        return Chart(metric, tuple(panels))

    def lines(self, variant: str, dataset: str) -> pd.DataFrame:
        """Every line of one run: inputs, outputs, what was expected, and the evaluators' scores.

        Raises:
            LabError: there is no such variant or dataset; names the nearest one.
        """
        import pandas as pd

        cells = self._cells(variant, dataset)
        return pd.DataFrame([told(facts, line) for facts, line in self._lines(cells)])

    def worst(
        self, score: str, n: int = 10, variant: str | None = None, *, lower_is_better: bool | None = None
    ) -> pd.DataFrame:
        """The worst lines: those on which the flow failed, then those with the worst score.

        Args:
            score: `<evaluator>.<score>`, one of the evaluator's outputs; or `<evaluator>.<metric>`: then the mean of
                the evaluator's scores on the line.
            n: so many lines at most.
            variant: of this choice alone; None: of all.
            lower_is_better: None: if a gate caps the metric (`at_most`).

        Raises:
            LabError: there is no such score, metric or variant; names the nearest one.
        """
        import pandas as pd

        cells = self._cells(variant, None)
        evaluator, name = self._score(score, cells)
        if lower_is_better is None:
            lower_is_better = tuple(score.split(".", 1)) in lowers(self._facts)
        sign = -1.0 if lower_is_better else 1.0
        number = count()

        def ranked() -> Iterator[tuple[float, int, CellFacts, Line, float | None]]:
            for facts, line in self._lines(cells):
                value = score_of(line, evaluator, name)
                if line.failed:
                    yield -math.inf, next(number), facts, line, value
                elif value is not None:
                    yield sign * value, next(number), facts, line, value

        found = heapq.nsmallest(n, ranked(), key=lambda item: item[:2])
        rows = [{"score": value, **told(facts, line)} for _, _, facts, line, value in found]
        frame = pd.DataFrame(rows)
        return frame[[*_KEYS, *(column for column in frame if column not in _KEYS)]] if rows else frame

    def report(self, folder: str | Path) -> Path:
        """Write the chain's report (page, CSV files, evidence) to `folder`, which is made; returns the page's path."""
        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        for name in reporting.FILES:
            try:
                content = self._blobs.read(reporting.CONTAINER, f"{self._facts.chain.id}/{name}")
            except NotFound:
                raise LabError(f"The chain has no report: {self.reason}") from None
            (target / name).write_bytes(content)
        return target / reporting.FILES[0]

    # -------------------------------------------------------------------------------------------------------- reading

    def _row(self, facts: CellFacts) -> dict[str, Any]:
        run, records = facts.run, list(records_of(facts))
        notes = [record.reason for record in records if record.reason]
        return {
            "variant": facts.cell.label,
            "dataset": facts.cell.dataset,
            "repetition": facts.cell.repetition,
            "lines": run.lines if run else 0,
            "failed": run.failed_lines if run else 0,
            "reused": run.reused_lines if run else 0,
            "model_calls": sum(record.model_calls for record in records),
            "tokens": facts.tokens.total,
            "p50_ms": run.latency.p50_ms if run else math.nan,
            "p95_ms": run.latency.p95_ms if run else math.nan,
            **metrics_of(facts),
            "note": " ".join(notes) if run else "The run left no results.",
        }

    def _means(self, metric: str) -> dict[tuple[str, str], float]:
        """(variant, dataset) → the metric's mean over repetitions."""
        values: dict[tuple[str, str], list[float]] = {}
        known: set[str] = set()
        for facts in self._facts.cells:
            metrics = metrics_of(facts)
            known |= metrics.keys()
            if metric in metrics:
                values.setdefault((facts.cell.label, facts.cell.dataset), []).append(metrics[metric])
        if not values:
            raise LabError(f"{one_of(metric, known, 'metric of these results')}.")
        return {key: fmean(found) for key, found in values.items()}

    def _cells(self, variant: str | None, dataset: str | None) -> list[CellFacts]:
        if variant is not None and variant not in self.variants:
            raise LabError(f"{one_of(variant, self.variants, 'variant of these results')}.")
        if dataset is not None and dataset not in self.datasets:
            raise LabError(f"{one_of(dataset, self.datasets, 'dataset of these results')}.")
        return [
            facts
            for facts in self._facts.cells
            if variant in (None, facts.cell.label) and dataset in (None, facts.cell.dataset)
        ]

    def _lines(self, cells: Iterable[CellFacts]) -> Iterator[tuple[CellFacts, Line]]:
        for facts in cells:
            for line in reading.lines(self._blobs, self._facts, facts.cell):
                yield facts, line

    def _score(self, score: str, cells: Iterable[CellFacts]) -> tuple[str, str | None]:
        """The evaluator and its output that `score` means; no output for a metric, which stands for all of them."""
        outputs = {
            f"{evaluator}.{name}"
            for _, line in self._lines(cells)
            for evaluator, record in line.evaluations.items()
            for name, value in record.outputs.items()
            if score_value(value) is not None
        }
        evaluator, _, name = score.partition(".")
        if score in outputs:
            return evaluator, name
        metrics = {metric for facts in self._facts.cells for metric in metrics_of(facts)}
        if score in metrics and any(output.startswith(f"{evaluator}.") for output in outputs):
            return evaluator, None
        raise LabError(f"{one_of(score, outputs | metrics, 'score or metric of these results')}.")

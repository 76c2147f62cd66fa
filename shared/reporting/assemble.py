"""Building a report: facts → one pass over the lines → evidence, CSV files and the page, in this order.

Everything is written under the chain's name and may be written again: the same results give the same evidence.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final, cast

from shared.chain.state import Chain
from shared.errors import NotFound
from shared.ports import BlobStore, Ports
from shared.reporting import evidence, survey, tables
from shared.reporting import facts as reading
from shared.reporting.facts import Facts, Line
from shared.reporting.report_page import report_html
from shared.reporting.reuse import read_reuse
from shared.reporting.scores import tables as score_tables
from shared.reporting.verdict import reading as read_verdict
from shared.reporting.verdict import release_verdict

CONTAINER: Final = "reports"
FILES: Final = ("report.html", "metrics.csv", "lines.csv", "evidence.json")


@dataclass(frozen=True)
class BuiltReport:
    """A report that was built."""

    evidence: str
    """SHA-256 of `evidence.json`: what an approver approves."""
    blob: str
    """Name of the HTML page in the container `reports`."""


def build(ports: Ports, chain: Chain, *, final: bool) -> BuiltReport:
    """Build the chain's report from its stored results.

    Args:
        ports: where results are read and reports written.
        chain: the chain as it is now.
        final: whether the page also tells what happened after the results: approval, registration, deployment.

    Raises:
        NotFound: the chain was never prepared.
    """
    blobs = ports.blobs
    facts = reading.read(blobs, chain)
    surveyed = survey.take(blobs, facts)
    reuse = read_reuse(facts, surveyed.saved_calls)
    scores = score_tables(facts)
    approved = _taken_over(blobs, facts)
    if approved is not None:
        verdict = release_verdict(facts, approved)
        document, digest = approved, chain.evidence or ""
    else:
        verdict = read_verdict(facts)
        document = evidence.document(facts, verdict, surveyed.digests, reuse, scores)
        digest = evidence.digest(evidence.canonical(document))
    html = report_html(
        facts, surveyed, verdict, scores, reuse=reuse, evidence=digest, settings=str(document["settings"]), final=final,
        built_at=ports.clock.now(),
    )  # fmt: skip
    if approved is None:
        blobs.write(CONTAINER, f"{chain.id}/{evidence.BLOB}", evidence.canonical(document))
        blobs.write(CONTAINER, f"{chain.id}/metrics.csv", tables.metrics_csv(scores))
        with tempfile.TemporaryFile() as file:
            tables.write_lines(file, facts, surveyed.columns, _all_lines(blobs, facts), more=surveyed.more_columns)
            file.seek(0)
            blobs.write(CONTAINER, f"{chain.id}/lines.csv", cast("BinaryIO", file))
    # The page last: whoever finds it finds the files that it links to.
    blobs.write(CONTAINER, f"{chain.id}/report.html", html.encode("utf-8", "replace"))
    return BuiltReport(evidence=digest, blob=f"{chain.id}/report.html")


def _taken_over(blobs: BlobStore, facts: Facts) -> dict[str, Any] | None:
    """The evidence of the chain that registered what a release deploys.

    The release's approver approved exactly this document, so that a report of the release must not replace it.
    """
    if facts.cells or facts.chain.evidence is None:
        return None
    try:
        content = blobs.read(CONTAINER, f"{facts.chain.id}/{evidence.BLOB}")
    except NotFound:
        return None
    if evidence.digest(content) != facts.chain.evidence:
        return None
    document: dict[str, Any] = json.loads(content)
    return document


def _all_lines(blobs: BlobStore, facts: Facts) -> Iterator[tuple[int, Line]]:
    for index, cell in enumerate(facts.cells):
        for line in reading.lines(blobs, facts, cell.cell):
            yield index, line

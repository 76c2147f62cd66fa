"""What the owners are told when a new dataset shows that the registered flow is worse than it should be.

It holds no links: the channel adds them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.chain.state import Chain
from shared.notification import sections
from shared.notification.markdown import bounded, escaped, one_line
from shared.notification.told import Told, read
from shared.ports import Ports

LIMIT: Final = 16_000
"""Characters: mail programs cut off long mails."""


def alert_text(ports: Ports, chain: Chain) -> str:
    """The alert, in Markdown."""
    return rendered(read(ports, chain, lines=True))


def alert_title(chain: Chain) -> str:
    """One line of plain text: which use case, and on which dataset."""
    dataset = chain.request.dataset.name if chain.request.dataset else "a dataset"
    what = "is worse on" if chain.regressions else "misses its gates on"
    return one_line(f"{chain.request.use_case} {what} the new version of {dataset}")


def rendered(told: Told) -> str:
    """The alert from what was read."""
    return bounded(_sections(told), LIMIT, "The rest is left out for its length; the report has all of it.")


def _sections(told: Told) -> Iterator[str]:
    chain = told.chain
    upload = chain.request.dataset
    if upload is not None:
        yield f"**{escaped(upload.name)}** was uploaded ({escaped(upload.blob)}), and the flow was evaluated on it."
    yield sections.sentences(chain.missed_gates)
    yield sections.about(told)
    if told.evidence is None:
        return
    if note := sections.stand_in(told.evidence):
        yield f"> {note}"
    yield from sections.metrics(told.evidence)
    yield sections.baseline(told)
    if told.changes is not None:
        yield sections.changed_lines(told.changes)

"""The comment on a pull request: verdict, metrics, differences from the baseline, the worst changed lines.

It is edited in place: the same chain always gives the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from shared.chain.state import Chain, ChainStatus
from shared.notification import sections
from shared.notification.markdown import bounded, escaped
from shared.notification.told import Told, ending, read
from shared.pages.words import plural, sign
from shared.ports import Ports

LIMIT: Final = 48_000
"""Characters; Azure DevOps takes 150,000 in a comment, and reads badly long before."""


def comment(ports: Ports, chain: Chain) -> str:
    """The comment, in Markdown."""
    return rendered(read(ports, chain, lines=True))


def rendered(told: Told) -> str:
    """The comment from what was read."""
    left_out = f"The rest is left out for its length. {sections.links(told)}"
    return bounded(_sections(told), LIMIT, left_out)


def verdict(told: Told) -> str:
    """The heading, and why."""
    chain = told.chain
    end = ending(chain)
    lines = [f"### {sign(end.tone)} {escaped(chain.request.use_case)}: {end.word}", why(told)]
    return "\n\n".join(filter(None, lines))


def why(told: Told) -> str:
    """Why it ended so: the sentences of the gates, the reason, or the evidence's headline."""
    chain = told.chain
    end = ending(chain)
    if chain.missed_gates and end.outcome is ChainStatus.FAILED:
        count = plural(len(chain.missed_gates), "gate")
        return f"{count} missed:\n\n{sections.sentences(chain.missed_gates)}"
    if chain.reason:
        return escaped(chain.reason, sections.SENTENCE)
    if told.evidence is not None and end.outcome is ChainStatus.SUCCEEDED:
        said = told.evidence["verdict"]
        return "\n\n".join(
            filter(None, [escaped(said["headline"], sections.SENTENCE), sections.sentences(said["reasons"], 3)])
        )
    return ""


def _sections(told: Told) -> Iterator[str]:
    yield verdict(told)
    yield sections.about(told)
    yield sections.links(told)
    if told.evidence is None:
        yield "There is no report: the chain ended before it had results." if ending(told.chain).outcome else ""
        return
    if note := sections.stand_in(told.evidence):
        yield f"> {note}"
    if told.evidence["cells"]:
        yield "#### Metrics"
        yield from sections.metrics(told.evidence)
        yield f"#### Against the baseline\n\n{sections.baseline(told)}"
    if told.changes is not None and (lines := sections.changed_lines(told.changes)):
        yield f"#### Lines that changed\n\n{lines}"

"""The reporting commands: build the report that is approved, and publish it again with what happened since."""

from __future__ import annotations

from typing import assert_never

from shared.answers import answer_to
from shared.chain.messages import Answer, BuildReport, PublishReport, ReportBuilt, ReportPublished
from shared.chain.state import Chain
from shared.ports import Ports
from shared.reporting.assemble import build

ReportingCommand = BuildReport | PublishReport


def perform(ports: Ports, chain: Chain, command: ReportingCommand) -> Answer:
    """Build the chain's report; repeating it writes the same evidence under the same names."""
    match command:
        case BuildReport():
            built = build(ports, chain, final=False)
            return ReportBuilt(**answer_to(ports, command), evidence=built.evidence, blob=built.blob)
        case PublishReport():
            built = build(ports, chain, final=True)
            return ReportPublished(**answer_to(ports, command), blob=built.blob)
        case _:
            assert_never(command)

"""One chain of ticket triage that nobody disturbed, for every test that looks at what a chain brings about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from shared.chain.state import Chain, ChainStatus
from tests.acceptance.embedded import ROOT, Embedded, facts

USE_CASE = "ticket_triage"
FOLDER = ROOT / "flows" / USE_CASE


@dataclass(frozen=True)
class Undisturbed:
    """The host, which still runs, and what its first chain brought about."""

    embedded: Embedded
    chain: Chain
    facts: dict[str, Any]
    model_calls: dict[str, int]
    """As the stand-in model had counted them when the chain began to wait for its approval."""
    messages: dict[str, tuple[int, int, int]]
    """Queue → messages (active, scheduled, dead letters) that were left when the chain had ended."""


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Undisturbed]:
    embedded = Embedded(tmp_path_factory.mktemp("undisturbed") / "home")
    embedded.start()
    try:
        embedded.until_serving()
        chain = embedded.request(USE_CASE, "build-1", folder=FOLDER, commit="a" * 40, branch="main")
        waiting = embedded.until_waiting(chain)
        model_calls = embedded.counts_of_model_calls()
        assert embedded.approve(waiting) == 303
        ended = embedded.until_ended(chain)
        assert ended.status is ChainStatus.SUCCEEDED, embedded.log(chain)
        embedded.until(lambda: not any(active for active, _, _ in embedded.messages().values()), "all is done")
        yield Undisturbed(embedded, ended, facts(embedded, chain), model_calls, embedded.messages())
        embedded.stop()
    finally:
        if embedded.process is not None:
            embedded.kill()
    embedded.until_no_process_is_left()

"""A pull request's thread and status: one thread a use case, edited in place, and a status for policies."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from shared.chain.state import Chain, ChainStatus, Step
from shared.errors import GenAIOpsError, NotFound, raised_for
from shared.notification.told import ending
from shared.ports.pipelines import CheckState, PipelineRun, PullRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from shared.ports import Ports

log = logging.getLogger("genaiops.notification")


def is_told(ports: Ports, chain: Chain) -> bool:
    """Whether the chain tells a pull request in Azure Repos of an organisation that the settings allow."""
    place = chain.request.azure_devops
    return (
        place is not None
        and place.repository is not None
        and chain.request.pull_request is not None
        # A chain of another kind would leave its status pending for ever.
        and any(step.step is Step.COMMENT for step in chain.steps)
        and not ports.pipelines.refusal(place.collection)
    )


def is_decided(chain: Chain) -> bool:
    """Whether the last status was set, or is about to be: from then on none may be pending."""
    return ending(chain).outcome is not None


def tell(ports: Ports, chain: Chain, text: str) -> None:
    """Write the thread and set the status. A pull request that is gone is logged, and that is all.

    Raises BusinessFailure where the service refuses, Throttled or Transient to be called again.
    """
    if not is_told(ports, chain):
        return
    succeeded = (chain.outcome or ChainStatus.SUCCEEDED) is ChainStatus.SUCCEEDED
    # The status first: a policy waits for it. Neither holds the other back: they are different rights.
    each_way(
        lambda: _unless_gone(chain, lambda: set_status(ports, chain)),
        lambda: _unless_gone(
            chain,
            lambda: ports.pipelines.comment(_pull_request(chain), name_of(chain), text, is_settled=succeeded),
        ),
    )


def each_way(*ways: Callable[[], None]) -> None:
    """Tell on every way: one that fails keeps nobody else from being told.

    Raises GenAIOpsError: a passing fault if there is one, for it comes again, where a refusal ends the step.
    """
    faults: list[GenAIOpsError] = []
    for way in ways:
        try:
            way()
        except GenAIOpsError as fault:
            faults.append(fault)
    if faults:
        raise raised_for(faults)


def _unless_gone(chain: Chain, way: Callable[[], None]) -> None:
    try:
        way()
    except NotFound as error:
        log.warning("%s: its pull request cannot be told: %s", chain.id, error)


def set_status(ports: Ports, chain: Chain) -> None:
    """Set the status as the chain stands. Raises as `Pipelines.set_status` does."""
    from shared.notification.run_page import status_line

    match ending(chain).outcome:
        case None:
            state = CheckState.PENDING
        case ChainStatus.SUCCEEDED:
            state = CheckState.SUCCEEDED
        case _:
            state = CheckState.FAILED
    link = f"{ports.settings.functions_url}/api/chains/{chain.id}"
    ports.pipelines.set_status(_pull_request(chain), name_of(chain), state, status_line(chain), link)


def tag_run(ports: Ports, chain: Chain) -> None:
    """Add the chain's tags to its pipeline run. A run that is gone is logged. Raises as `tell` does."""
    from shared.notification.run_page import tags

    place = chain.request.azure_devops
    if place is None or place.run is None or ports.pipelines.refusal(place.collection):
        return
    try:
        ports.pipelines.tag(PipelineRun(place.collection, place.project, place.run), tags(chain))
    except NotFound as error:
        log.warning("%s: its pipeline run cannot be tagged: %s", chain.id, error)


def name_of(chain: Chain) -> str:
    """Names thread and status: the use case, so that each use case of one pull request has its own."""
    return chain.request.use_case


def _pull_request(chain: Chain) -> PullRequest:
    request = chain.request
    place = request.azure_devops
    assert place is not None
    assert place.repository is not None
    assert request.pull_request is not None
    return PullRequest(place.collection, place.project, place.repository, request.pull_request, request.commit)

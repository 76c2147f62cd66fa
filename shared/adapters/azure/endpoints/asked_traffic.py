"""Traffic that was asked for and does not hold yet: brought on its way, a step at a call, until it holds or fails."""

from __future__ import annotations

from shared.adapters.azure.endpoints import wishes
from shared.adapters.azure.endpoints.info import holds, shown
from shared.adapters.azure.endpoints.records import EndpointRecord, EndpointRecords, WantedTraffic
from shared.adapters.azure.endpoints.target import SeenEndpoint, Target
from shared.errors import BusinessFailure
from shared.ports import DeploymentState


class AskedTraffic:
    """What is asked for is in the endpoints' records; it stays there until it is settled."""

    def __init__(self, records: EndpointRecords) -> None:
        self._records = records

    def drive(self, target: Target, record: EndpointRecord, seen: SeenEndpoint | None, *, may_fail: bool) -> None:
        """Bring the split that was asked for, if there is one, nearer to what the platform has.

        What has failed may be deployed anew: only when it is asked again does a split that names it fail (`may_fail`).

        Raises:
            BusinessFailure: it never will be that; then it is no longer asked for.
        """
        asked = record.traffic
        if asked is None or (seen is None and asked.split):
            return
        if holds(record, seen) or seen is None:
            self._settle(record, asked, None)
        elif not asked.begun:
            self._shift(target, record, asked, seen, may_fail=may_fail)
        elif not seen.is_changing:
            # It was accepted, and is not what the platform has: it failed, or somebody has changed it there since.
            self._settle(record, asked, None)
            raise BusinessFailure(
                f"The platform of endpoint {record.name!r} did not take up the traffic {dict(asked.split)}, and has "
                f"{dict(seen.traffic)}: look at the endpoint in the portal, and run the chain again."
            )

    def _shift(
        self, target: Target, record: EndpointRecord, asked: WantedTraffic, seen: SeenEndpoint, *, may_fail: bool
    ) -> None:
        states = {name: each.state for name in asked.split if (each := shown(seen, name)) is not None}
        failed = sorted(name for name, state in states.items() if state is DeploymentState.FAILED)
        if failed and may_fail:
            self._settle(record, asked, None)
            raise BusinessFailure(
                f"The traffic of endpoint {record.name!r} cannot go to {', '.join(failed)}, which has failed."
            )
        if len(states) < len(asked.split) or any(state is not DeploymentState.READY for state in states.values()):
            return
        try:
            accepted = target.shift(record, asked.split)
        except BusinessFailure:
            self._settle(record, asked, None)
            raise
        if accepted:
            self._settle(record, asked, WantedTraffic(split=asked.split, begun=True))

    def _settle(self, record: EndpointRecord, asked: WantedTraffic, then: WantedTraffic | None) -> None:
        self._records.update(record.name, lambda before: wishes.confirm(before, asked, then))

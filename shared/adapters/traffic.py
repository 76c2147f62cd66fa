"""What endpoints of every kind have in common about traffic splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from shared.errors import BusinessFailure


def without(traffic: Mapping[str, int], name: str) -> dict[str, int]:
    """The split in which the others have the share of `name`, in proportion; empty where they had no share.

    It is what users see already while `name` has failed, since requests go to those that can answer.
    """
    if not traffic.get(name):
        return dict(traffic)
    others = {other: share for other, share in traffic.items() if other != name and share > 0}
    total = sum(others.values())
    if not total:
        return {}
    split = {other: share * 100 // total for other, share in others.items()}
    split[max(others, key=lambda other: others[other])] += 100 - sum(split.values())
    return split


def check_traffic(traffic: Mapping[str, int], deployments: Collection[str], endpoint: str) -> None:
    """Raise BusinessFailure unless `traffic` is a valid split over `deployments`."""
    unknown = sorted(set(traffic) - set(deployments))
    if unknown:
        known = ", ".join(deployments) or "none"
        raise BusinessFailure(
            f"Traffic of endpoint {endpoint!r} names {', '.join(unknown)}, which is not deployed there. Deployed are: "
            f"{known}."
        )
    wrong = {name: share for name, share in traffic.items() if not 0 <= share <= 100}
    if wrong or sum(traffic.values()) not in {0, 100}:
        raise BusinessFailure(
            f"Traffic of endpoint {endpoint!r} is {dict(traffic)}: every share must be from 0 to 100, and their sum "
            "100 (or 0, for no traffic at all)."
        )

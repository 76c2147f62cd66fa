"""What the local and the in-memory endpoints have in common about traffic splits."""

from __future__ import annotations

from collections.abc import Mapping


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

"""How traffic is split between a new deployment and the former one. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def shifted(before: Mapping[str, int], new: str, percent: int) -> dict[str, int]:
    """The split that gives `new` its percent and the rest to the former deployment.

    The former deployment is the one with the most traffic so far (by name on a tie). Where there is none, `new` gets
    everything, since an endpoint without traffic answers nobody. Sums to 100.
    """
    others = {name: share for name, share in before.items() if name != new and share > 0}
    if not others:
        return {new: 100}
    former = min(others, key=lambda name: (-others[name], name))
    return {former: 100 - percent, new: percent}

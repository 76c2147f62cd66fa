"""How traffic moves between a new deployment and the former one. Pure.

Splits are relative to what the endpoint has now: another chain may have changed it since this one began.
"""

from __future__ import annotations

from collections.abc import Mapping


def shifted(now: Mapping[str, int], new: str, percent: int, *, exactly: bool = False) -> dict[str, int]:
    """The split that gives `new` its percent and the rest to the former deployment.

    The former deployment is the one with the most traffic now (by name on a tie). Where there is none, `new` gets
    everything, since an endpoint without traffic answers nobody. A deployment that has a larger share already keeps it,
    unless `exactly` this percent was asked for. Sums to 100.
    """
    former = _former(now, new)
    if former is None:
        return {new: 100}
    if now.get(new, 0) >= percent and not exactly:
        return {name: share for name, share in now.items() if share}
    return {former: 100 - percent, new: percent}


def returned(now: Mapping[str, int], new: str, before: Mapping[str, int]) -> dict[str, int]:
    """The split that takes `new` back to the share it had `before`; the former deployment gets the difference.

    Where `new` has all the traffic now, the split is the one from before. Sums to 100, or to 0 if nothing was routed.
    """
    former = _former(now, new)
    if former is None:
        return {name: share for name, share in before.items() if share}
    share = before.get(new, 0)
    split = {name: share for name, share in now.items() if share}
    split[former] += split.pop(new, 0) - share
    if share:
        split[new] = share
    return split


def _former(now: Mapping[str, int], new: str) -> str | None:
    others = {name: share for name, share in now.items() if name != new and share > 0}
    return min(others, key=lambda name: (-others[name], name)) if others else None

"""Which errors of the model's client stand behind an exception of a flow: they are the model's fault, not the flow's.

They go by their names, so that a flow that calls no model never imports the client.
"""

from __future__ import annotations


def model_errors(error: BaseException) -> frozenset[str]:
    """Names of the client's error classes of this error, and of those that it was raised from or wraps."""
    names: set[str] = set()
    seen: set[int] = set()
    left = [error]
    while left:
        each = left.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        names.update(kind.__name__ for kind in type(each).__mro__ if kind.__module__.partition(".")[0] == "openai")
        behind = (each.__cause__, each.__context__, getattr(each, "inner_exception", None))  # the last is prompt flow's
        left.extend(link for link in behind if isinstance(link, BaseException))
    return frozenset(names)

"""In a process that runs flows: what went wrong, in one sentence to act on, and values in their JSON form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from shared.adapters.local.engines.contract import FlowError, InputError
from shared.errors import GenAIOpsError
from shared.nesting import DEEPEST, is_deeper


class NoJsonForm(ValueError):
    """A flow returned a value that cannot be stored."""

    def __str__(self) -> str:
        return str(self.args[0])


def described(error: BaseException) -> str:
    """Type and text of what a flow raised; a flow's own exceptions may fail even at being shown."""
    try:
        if isinstance(error, FlowError | InputError):
            return str(error)
        return f"{type(error).__name__}: {error}"
    except Exception:
        return type(error).__name__


def load_error(error: BaseException) -> str:
    """Why a flow cannot be loaded: the innermost cause, with what to do about a missing package."""
    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    for link in chain:
        if isinstance(link, ModuleNotFoundError):
            return (
                f"it imports {link.name!r}, which is not installed: add the package to the flow's requirements and"
                " install it where flows run"
            )
    first, last = chain[0], chain[-1]
    if last is first and not _speaks_for_itself(first):
        return described(first)
    outer = " ".join(str(first).split())
    inner = " ".join(str(last).split())
    text = outer if last is first or (inner and inner in outer) else f"{outer} Cause: {type(last).__name__}: {inner}"
    return text if text.strip() else type(error).__name__


def _speaks_for_itself(error: BaseException) -> bool:
    """Whether its text alone says what is wrong: ours and prompt flow's do."""
    return isinstance(error, GenAIOpsError | FlowError | InputError) or type(error).__module__.startswith("promptflow")


def plain(outputs: Mapping[str, Any]) -> dict[str, Any]:
    """The outputs as JSON values; NaN and the infinities, which JSON lacks, become null.

    Raises:
        NoJsonForm: naming the output and its type.
    """
    result = {}
    for name, value in outputs.items():
        try:
            text = json.dumps(value, default=_of_engine)
            result[name] = json.loads(text, parse_constant=lambda _: None)
        except RecursionError as error:
            raise _too_deep(name) from error
        except (TypeError, ValueError) as error:
            raise NoJsonForm(
                f"the output {name!r} ({type(value).__name__}) has no JSON form ({error}): return texts, numbers, lists"
                " or mappings with text keys"
            ) from error
        # Each level has a bracket: a text with few of them needs no look at the value.
        if text.count("{") + text.count("[") > DEEPEST and is_deeper(result[name]):
            raise _too_deep(name)
    return result


def _of_engine(value: object) -> Any:
    """The JSON form of prompt flow's own values, such as pictures; nothing else has one."""
    if not type(value).__module__.startswith("promptflow."):
        raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")
    from promptflow._utils.utils import default_json_encoder

    return default_json_encoder(value)


def _too_deep(name: str) -> NoJsonForm:
    return NoJsonForm(
        f"the output {name!r} is nested deeper than {DEEPEST} levels: return what is needed of it, or a text"
    )

"""Importing of prompt flow what runs a flow, and no more until it is asked for: half of the time, and no threads.

`import promptflow.executor` brings the whole of prompt flow along: its database, its service, its exporters of
telemetry, which begin threads as they are imported. Here its packages stand in `sys.modules` before their own code has
run; it runs, in place, as soon as flow code asks them for something that needs it (`from promptflow import tool`).
"""

from __future__ import annotations

import functools
import gc
import importlib
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final


@dataclass(frozen=True)
class _Late:
    """What a module whose code has not run gives all the same."""

    elsewhere: Mapping[str, str] = field(default_factory=dict)
    """Name → the module that it really comes from."""
    called: frozenset[str] = frozenset()
    """Functions that are handed out at once and looked up when they are called."""


_PACKAGED_TOOLS_USE: Final = {
    "ToolProvider": "promptflow._core.tool",
    "enable_cache": "promptflow._core.cache_manager",
    "register_apis": "promptflow._core.tools_manager",
    "tool": "promptflow._core.tool",
}
_LATE: Final[Mapping[str, _Late]] = {
    "promptflow": _Late(),
    "promptflow._internal": _Late(elsewhere=_PACKAGED_TOOLS_USE),
    "promptflow._cli": _Late(),
    "promptflow._cli._utils": _Late(called=frozenset({"get_workspace_triad_from_local"})),
}

_OTHERS_S: Final = 60.0
"""How long to wait for another thread that runs a module's code."""


def import_promptflow() -> None:
    """Import prompt flow's executor and packaged tools.

    Raises:
        ImportError: prompt flow, or something that it needs, is not installed.
    """
    is_collecting = gc.isenabled()
    gc.disable()  # what an import makes stays: every collection meanwhile would look at all of it in vain
    try:
        try:
            _set_late()
            _import()
        except Exception:  # another version of prompt flow than the one that this was written for
            for name in [name for name in sys.modules if name.partition(".")[0] == "promptflow"]:
                del sys.modules[name]
            _import()
    finally:
        if is_collecting:
            gc.enable()


def _import() -> None:
    import promptflow.executor
    import promptflow.tools  # noqa: F401  # the packaged tools of `llm` nodes


def _set_late() -> None:
    if any(name in sys.modules for name in _LATE):  # somebody was here before
        return
    for name, late in _LATE.items():
        spec = find_spec(name)
        if spec is None or spec.loader is None:
            raise ImportError(f"there is no {name}")
        module = _LateModule(name, spec, late)
        sys.modules[name] = module
        parent, _, child = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], child, module)


class _LateModule(ModuleType):
    """A module that runs its code when it is first asked for what only that can give."""

    def __init__(self, name: str, spec: ModuleSpec, late: _Late) -> None:
        super().__init__(name)
        self.__spec__ = spec
        self.__loader__ = spec.loader
        self.__file__ = spec.origin
        self.__package__ = spec.parent
        if spec.submodule_search_locations is not None:
            self.__path__ = list(spec.submodule_search_locations)
        self._late = late
        self._lock = threading.RLock()
        self._running = False

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__all__", "__version__"):  # the import system's questions
            raise _unknown(self, name)
        late: _Late = vars(self)["_late"]
        if name in late.called:
            return _when_called(functools.partial(_own, self, name))
        if name in late.elsewhere:
            return getattr(importlib.import_module(late.elsewhere[name]), name)
        return _own(self, name)


# Functions and not methods: while one thread waits, another makes an ordinary module of it, which has no such methods.


def _own(module: ModuleType, name: str) -> Any:
    """What the module's own code makes of the name; the code runs if it has not."""
    # Not without end: who holds the lock may wait for an import that this very thread is in the middle of.
    lock = vars(module)["_lock"]
    if not lock.acquire(timeout=_OTHERS_S):
        raise _unknown(module, name)
    try:
        if type(module) is _LateModule:
            _run(module, name)
    finally:
        lock.release()
    return getattr(module, name)


def _run(module: _LateModule, name: str) -> None:
    if vars(module)["_running"]:  # what its code imports has come back here, too early
        raise _unknown(module, name)
    assert isinstance(module.__loader__, Loader)
    vars(module)["_running"] = True
    try:
        module.__loader__.exec_module(module)
    finally:
        vars(module)["_running"] = False
    module.__class__ = ModuleType  # type: ignore[assignment]


def _unknown(module: ModuleType, name: str) -> AttributeError:
    return AttributeError(f"module {module.__name__!r} has no attribute {name!r}")


def _when_called(find: Callable[[], Callable[..., Any]]) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        return find()(*args, **kwargs)

    return call

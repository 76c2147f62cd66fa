"""Acting on a module when, and only when, somebody imports it: a hook on `sys.meta_path`.

Flow code decides what it imports. So what must be changed in a library is changed right after its import, and a
process whose flow does not use the library never pays for it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

Act = Callable[[ModuleType], None]


class AfterImport(MetaPathFinder):
    """Runs an act on a module as soon as its code has run, before its importer goes on."""

    def __init__(self) -> None:
        self._acts: dict[str, list[Act]] = {}

    def install(self) -> None:
        """Begin to watch imports."""
        sys.meta_path.insert(0, self)

    def on(self, name: str, act: Act) -> None:
        """Act on the module of that name: now if it is imported already, else once when it is.

        An error of the act is the import's.
        """
        module = sys.modules.get(name)
        if module is not None:
            act(module)
        else:
            self._acts.setdefault(name, []).append(act)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module as it would be found anyway, with our act behind its loading."""
        if fullname not in self._acts:
            return None
        for finder in sys.meta_path:
            if finder is self or not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(fullname, path, target)
            if spec is not None:
                if spec.loader is not None and hasattr(spec.loader, "exec_module"):
                    spec.loader = _Acting(spec.loader, self._acts, fullname)
                return spec
        return None


class _Acting(Loader):
    """Stands in for a module's loader while the module is loaded."""

    def __init__(self, loader: Loader, acts: dict[str, list[Act]], name: str) -> None:
        self._loader = loader
        self._acts = acts
        self._name = name

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Before its code runs, for the code may ask for its loader (for resources beside it).
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        module.__loader__ = self._loader
        self._loader.exec_module(module)
        for act in self._acts.pop(self._name, ()):  # a module that failed to load may be tried again: only now
            act(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

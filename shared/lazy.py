"""A module that is imported when it is first used, for packages whose import alone would be a cold start.

`azurefunctions.extensions.bindings.blob` pulls in the storage SDK and two HTTP stacks (0.7 s); a trigger
needs it for one annotation, which the Functions worker reads and the embedded host does not.
"""

from __future__ import annotations

import importlib
from types import ModuleType


class LazyModule(ModuleType):
    """Stands for the module `name` until one of its attributes is asked for."""

    def __getattr__(self, attribute: str) -> object:
        if attribute.startswith("__"):
            # Inspection (`__wrapped__`, `__path__`, …) must not cause the import that this class avoids.
            raise AttributeError(attribute)
        return getattr(importlib.import_module(self.__name__), attribute)

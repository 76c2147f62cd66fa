"""Importing a flow's modules: by their own names beside the flow's file, and by the name of the use case."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType


class _UseCasePackage(MetaPathFinder):
    """Finds the use case's folder under the use case's name, whatever the folder is called on this machine."""

    def __init__(self, package: str, root: Path) -> None:
        self._package = package
        self._root = root

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,  # noqa: ARG002
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """As every finder's."""
        if fullname != self._package:
            return None
        init = self._root / "__init__.py"
        if init.is_file():
            return spec_from_file_location(fullname, init, submodule_search_locations=[str(self._root)])
        spec = ModuleSpec(fullname, None, is_package=True)
        spec.submodule_search_locations = [str(self._root)]
        return spec


def make_importable(flow: Path, package: str, root: Path | None, *, not_from: Sequence[str] = ()) -> None:
    """Let the flow's folder come first on `sys.path`, and `root` be importable as `package`.

    A module that lies beside the flow's file goes before the use case of the same name, and so does one that this
    process has imported: it is needed as it is. `not_from` are entries of `sys.path` that are taken away.
    """
    sys.path[:] = [str(flow), *(entry for entry in sys.path if entry not in ("", str(flow), *not_from))]
    if root is None or package in ("", *sys.stdlib_module_names, *sys.modules):
        return
    if PathFinder.find_spec(package, [str(flow)]) is None:
        sys.meta_path.insert(0, _UseCasePackage(package, root))


def imported(flow: Path, name: str) -> ModuleType:
    """The flow's module of that name. Raises whatever its code raises, and ModuleNotFoundError.

    A file of the flow's folder goes before a module of the same name that this process has imported for itself.
    """
    file = flow / f"{name.replace('.', '/')}.py"
    there = sys.modules.get(name)
    if there is None or not file.is_file() or Path(str(getattr(there, "__file__", ""))) == file:
        return importlib.import_module(name)
    spec = spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module

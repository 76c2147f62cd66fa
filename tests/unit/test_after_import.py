"""Acting on a module when it is imported, and only then."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from shared.adapters.local.engines.after_import import AfterImport


@pytest.fixture
def imports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AfterImport]:
    package = tmp_path / "a_library"
    package.mkdir()
    (package / "__init__.py").write_text("from a_library.inner import VALUE\n")
    (package / "inner.py").write_text("VALUE = 'as written'\nLOADER = __spec__.loader\n")
    (package / "fails.py").write_text("raise RuntimeError('not today')\n")
    (package / "words.txt").write_text("beside it")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    imports = AfterImport()
    imports.install()
    yield imports
    for name in [name for name in sys.modules if name.startswith("a_library")]:
        del sys.modules[name]


def test_a_module_is_changed_before_its_importer_goes_on(imports):
    imports.on("a_library.inner", lambda module: setattr(module, "VALUE", "changed"))
    assert importlib.import_module("a_library").VALUE == "changed"


def test_nothing_is_imported_for_it(imports):
    imports.on("a_library.inner", lambda module: None)
    assert "a_library.inner" not in sys.modules


def test_a_module_that_is_there_already_is_changed_at_once(imports):
    module = importlib.import_module("a_library.inner")
    imports.on("a_library.inner", lambda module: setattr(module, "VALUE", "changed"))
    assert module.VALUE == "changed"


def test_several_acts_are_done_in_their_order_and_once(imports):
    done: list[int] = []
    for number in (1, 2):
        imports.on("a_library.inner", lambda module, number=number: done.append(number))
    importlib.import_module("a_library")
    del sys.modules["a_library.inner"]
    importlib.import_module("a_library.inner")
    assert done == [1, 2]


def test_a_module_keeps_its_own_loader_and_what_lies_beside_it(imports):
    imports.on("a_library", lambda module: None)
    imports.on("a_library.inner", lambda module: None)
    library = importlib.import_module("a_library")
    assert type(library.__loader__).__name__ == "SourceFileLoader"
    assert type(sys.modules["a_library.inner"].LOADER).__name__ == "SourceFileLoader"
    assert resources.files("a_library").joinpath("words.txt").read_text() == "beside it"


def test_a_module_that_fails_to_load_is_not_changed(imports):
    done: list[object] = []
    imports.on("a_library.fails", done.append)
    with pytest.raises(RuntimeError, match="not today"):
        importlib.import_module("a_library.fails")
    assert done == []


def test_a_module_that_does_not_exist_is_not_found_as_ever(imports):
    imports.on("a_library.missing", lambda module: None)
    with pytest.raises(ModuleNotFoundError, match=r"a_library\.missing"):
        importlib.import_module("a_library.missing")

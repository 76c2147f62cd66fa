"""A flow's modules are its own, whatever they are called, and it may import its use case by name."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.adapters.local.engines.modules import imported, make_importable


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    monkeypatch.setattr(sys, "modules", dict(sys.modules))
    importlib.invalidate_caches()

    def write(**files: str) -> Path:
        for name, text in files.items():
            path = tmp_path / f"{name.replace('__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return write


def test_the_use_case_is_found_under_its_name_whatever_its_folder_is_called(folder):
    root = folder(flows__standard__flow="import helper\n", flows__standard__helper="", words="GREETING = 'hello'\n")
    make_importable(root / "flows" / "standard", "my_use_case", root)
    assert importlib.import_module("my_use_case.words").GREETING == "hello"
    assert importlib.import_module("my_use_case.flows.standard.flow").helper is sys.modules["helper"]


def test_the_use_case_may_have_an_init_file(folder):
    root = folder(flows__a__flow="", other="")
    (root / "__init__.py").write_text("NAME = __name__\n")
    make_importable(root / "flows" / "a", "my_use_case", root)
    assert importlib.import_module("my_use_case").NAME == "my_use_case"
    assert importlib.import_module("my_use_case.other").__package__ == "my_use_case"


def test_a_module_beside_the_flow_goes_before_the_use_case_of_its_name(folder):
    root = folder(flows__a__talk="WHERE = 'beside'\n")
    make_importable(root / "flows" / "a", "talk", root)
    assert importlib.import_module("talk").WHERE == "beside"


def test_what_python_itself_needs_keeps_its_name(folder):
    root = folder(flows__a__flow="")
    make_importable(root / "flows" / "a", "json", root)
    assert importlib.import_module("json") is json


def test_an_entry_is_the_flows_own_file_though_a_module_of_its_name_is_loaded(folder):
    root = folder(json="WHERE = 'in the flow'\n")
    make_importable(root, "", None)
    assert imported(root, "json").WHERE == "in the flow"
    assert imported(root, "json") is sys.modules["json"]


def test_an_entry_in_a_package_is_found(folder):
    root = folder(inner__flow="WHERE = 'inside'\n")
    make_importable(root, "", None)
    assert imported(root, "inner.flow").WHERE == "inside"


def test_entries_that_are_in_the_way_are_taken_from_the_path(folder, monkeypatch):
    root = folder(flow="")
    monkeypatch.setattr(sys, "path", ["", "/elsewhere", *sys.path])
    make_importable(root, "", None, not_from=["/elsewhere"])
    assert sys.path[0] == str(root)
    assert "" not in sys.path
    assert "/elsewhere" not in sys.path

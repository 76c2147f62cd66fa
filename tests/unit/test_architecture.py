"""Imports point inward, the core knows no SDK and does no I/O, triggers are thin, and every folder says what it is for."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT / "shared"
FUNCTIONS = ROOT / "functions"

ALWAYS_PURE = ("shared.assets", "shared.errors", "shared.names", "shared.results")
PURE_MODELS = ("shared.use_case.model", "shared.experimentation.matrix")
DOMAIN = [
    *sorted((SHARED / "chain").glob("*.py")),
    *(ROOT / f"{name.replace('.', '/')}.py" for name in [*ALWAYS_PURE, *PURE_MODELS]),
]
STANDARD_LIBRARY_OF_VALUES = frozenset(
    {"__future__", "base64", "bisect", "collections", "copy", "dataclasses", "datetime", "enum", "functools", "hashlib"}
    | {
        "hmac",
        "inspect",
        "itertools",
        "json",
        "math",
        "operator",
        "pathlib",
        "re",
        "statistics",
        "string",
        "textwrap",
        "types",
    }
    | {"typing"}
)
INPUT_AND_OUTPUT = frozenset(
    {"open", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "unlink", "iterdir", "glob", "exists"}
)
HEAVY = frozenset(
    {"azure", "azurefunctions", "promptflow", "pandas", "aiohttp", "openai", "sqlite3", "numpy", "requests", "httpx"}
)
COMPOSITION_ROOTS = frozenset({"shared/bootstrap.py"})


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def modules(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports(path: Path, *, inside_functions: bool) -> Iterator[str]:
    """Modules that the file imports when it runs; those under TYPE_CHECKING are for the type checker alone."""
    package = relative(path).removesuffix(".py").split("/")[:-1]

    def walk(node: ast.AST) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if is_type_checking(child):
                continue
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not inside_functions:
                continue
            if isinstance(child, ast.Import):
                yield from (alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else []
                source = ".".join([*base, *([child.module] if child.module else [])])
                yield source
                yield from (f"{source}.{alias.name}" for alias in child.names)
            else:
                yield from walk(child)

    yield from walk(ast.parse(path.read_text()))


@pytest.mark.parametrize("path", DOMAIN, ids=relative)
def test_the_domain_imports_only_itself_and_the_standard_librarys_values(path: Path) -> None:
    wrong = []
    for name in imports(path, inside_functions=True):
        inner = ("shared.chain", *ALWAYS_PURE) if path.parent.name == "chain" else (*ALWAYS_PURE, *PURE_MODELS)
        is_domain = name.startswith(inner)
        root = name.split(".")[0]
        allowed = root in STANDARD_LIBRARY_OF_VALUES or root == "pydantic" or name in {"shared", "shared.chain"}
        if not (is_domain or allowed):
            wrong.append(name)
    assert wrong == []


@pytest.mark.parametrize("path", DOMAIN, ids=relative)
def test_the_domain_does_no_input_or_output(path: Path) -> None:
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    names = {ast.unparse(call.func).split(".")[-1]: call.lineno for call in calls}
    assert {name: line for name, line in names.items() if name in INPUT_AND_OUTPUT | {"print", "now", "utcnow"}} == {}


@pytest.mark.parametrize("path", modules(SHARED), ids=relative)
def test_shared_never_looks_outward(path: Path) -> None:
    outward = [name for name in imports(path, inside_functions=True) if name.startswith(("functions", "genaiops"))]
    assert outward == []


@pytest.mark.parametrize("path", modules(SHARED), ids=relative)
def test_only_the_composition_root_imports_adapters(path: Path) -> None:
    if relative(path) in COMPOSITION_ROOTS or relative(path).startswith("shared/adapters/"):
        return
    assert [name for name in imports(path, inside_functions=True) if name.startswith("shared.adapters")] == []


@pytest.mark.parametrize("path", modules(SHARED), ids=relative)
def test_heavy_packages_are_imported_where_they_are_used(path: Path) -> None:
    if relative(path).startswith("shared/adapters/"):
        return
    assert [name for name in imports(path, inside_functions=False) if name.split(".")[0] in HEAVY] == []


@pytest.mark.parametrize("path", modules(FUNCTIONS), ids=relative)
def test_triggers_import_the_functions_sdk_and_shared_services_only(path: Path) -> None:
    allowed = ("azure.functions", "azurefunctions", "functions", "shared")
    wrong = [
        name
        for name in imports(path, inside_functions=True)
        if (not name.startswith(allowed) and name != "azure" and name.split(".")[0] not in sys.stdlib_module_names)
        or name.startswith("shared.adapters")
    ]
    assert wrong == []


@pytest.mark.parametrize("path", modules(FUNCTIONS), ids=relative)
def test_a_trigger_file_stays_under_forty_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) < 40, "parse, make one call, return; the rest belongs into shared/"


@pytest.mark.parametrize("folder", ["shared", "functions", "genaiops", "benchmarks"])
def test_every_package_that_holds_code_says_what_it_is_for(folder: str) -> None:
    silent = []
    for package in (ROOT / folder).rglob("__init__.py"):
        has_code = any(path.name != "__init__.py" for path in package.parent.glob("*.py"))
        if has_code and not ast.get_docstring(ast.parse(package.read_text())):
            silent.append(relative(package))
    assert silent == []


def folders() -> Iterator[str]:
    """Top-level folders and those of shared/, as far as they hold files."""
    unnamed = {"__pycache__", "node_modules", "test-results"}
    for parent in (ROOT, SHARED):
        for folder in sorted(parent.iterdir()):
            is_named = folder.is_dir() and not folder.name.startswith(".") and folder.name not in unnamed
            if is_named and any(path.is_file() and "__pycache__" not in path.parts for path in folder.rglob("*")):
                yield f"{relative(folder)}/"


@pytest.mark.parametrize("folder", list(folders()))
def test_the_architecture_page_has_a_line_for_every_folder(folder: str) -> None:
    section = (ROOT / "docs" / "architecture.md").read_text().split("## Folders", 1)[1].split("\n## ", 1)[0]
    assert f"| `{folder}` |" in section, "add a line for the folder to docs/architecture.md, ## Folders"

"""Imports point inward, the core knows no SDK and does no I/O, triggers are thin, and every folder says what it is for."""

from __future__ import annotations

import ast
import re
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


LARGE_PACKAGES = sorted(path.parent for path in SHARED.rglob("__init__.py") if len(list(path.parent.glob("*.py"))) > 15)


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


ENGINES = SHARED / "adapters" / "local" / "engines"
FLOW_RUNNER = SHARED / "adapters" / "local" / "flow_runner"
SERVING = SHARED / "adapters" / "serving"
AZURE_RUNS = SHARED / "adapters" / "azure" / "machine_learning" / "runs"

PROMPT_FLOW_MODULES = frozenset(
    {f"promptflow_{name}" for name in ("dag", "hooks", "prompty")}
    | {"isolation", "lean_import", "reasons", "scheduling"}
)
"""Modules of the engines that may import prompt flow: `reasons` does for what a flow of it returned or raised."""
ENGINES_FOR_ALL = frozenset({"connections", "contract", "dag", "environment", "kinds"})
"""Modules of the engines that only read and convert. The others load flow code or change the process that they are in.
"""
WORKER_ONLY = frozenset({"fork_server_process", "lines", "model_calls", "places", "retry", "worker"})
FLOW_PROCESSES = frozenset(
    {ENGINES / path.name for path in ENGINES.glob("*.py")}
    | {FLOW_RUNNER / f"{name}.py" for name in WORKER_ONLY}
    | {SERVING / "apps.py", SERVING / "scoring.py"}
    | set((AZURE_RUNS / "staged").glob("*.py"))
)
"""Files that run in a process of flow code only."""


def inner(path: Path, room: Path) -> set[str]:
    """The modules of a package that a file imports, by their file's name."""
    package = f"{relative(room).replace('/', '.')}."
    found = (name.removeprefix(package) for name in imports(path, inside_functions=True) if name.startswith(package))
    names = {name.split(".")[0] for name in found}
    return {name for name in names if (room / f"{name}.py").is_file()}


def reached(names: set[str], room: Path) -> set[str]:
    """These modules of a package and all of its modules that they import, directly or not."""
    seen: set[str] = set()
    todo = set(names)
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= inner(room / f"{name}.py", room) - seen
    return seen


@pytest.mark.parametrize("path", modules(SHARED / "use_case"), ids=relative)
def test_reading_a_use_case_imports_no_service(path: Path) -> None:
    below = ("datasets", "digests", "env_file", "errors", "names", "ports", "use_case")
    rooms = {name.split(".")[1] for name in imports(path, inside_functions=True) if name.startswith("shared.")}
    assert rooms - set(below) == set()


def test_engines_for_plain_python_import_nothing_of_prompt_flow() -> None:
    plain = reached({"code", "evaluators"}, ENGINES)
    assert {"code", "evaluators", "signature", "whole_run"} <= plain
    assert plain & PROMPT_FLOW_MODULES == set()


@pytest.mark.parametrize("path", modules(SHARED), ids=relative)
def test_prompt_flow_is_imported_by_its_engines_and_where_a_flow_of_it_is_served(path: Path) -> None:
    if (path.parent == ENGINES and path.stem in PROMPT_FLOW_MODULES) or path == SERVING / "apps.py":
        return
    if path.parent == AZURE_RUNS / "staged" or path == AZURE_RUNS / "submission.py":
        return
    assert [name for name in imports(path, inside_functions=True) if name.split(".")[0] == "promptflow"] == []


@pytest.mark.parametrize("path", sorted(set(modules(SHARED)) - FLOW_PROCESSES), ids=relative)
def test_what_runs_beside_flow_code_is_imported_in_processes_of_flow_code_only(path: Path) -> None:
    assert inner(path, FLOW_RUNNER) & WORKER_ONLY == set()
    assert inner(path, ENGINES) - ENGINES_FOR_ALL == set()


@pytest.mark.parametrize("name", sorted(WORKER_ONLY))
def test_the_workers_side_imports_nothing_of_the_runners_side(name: str) -> None:
    assert inner(FLOW_RUNNER / f"{name}.py", FLOW_RUNNER) - WORKER_ONLY - {"protocol"} == set()


ROOMS: dict[str, tuple[str, ...]] = {
    "cli": (
        *("genaiops.demo", "genaiops.embedded", "genaiops.host", "genaiops.known_connections", "genaiops.new"),
        "shared.adapters.azure.endpoints",  # `image` writes the context that deployments write
    ),
    "demo": ("genaiops.cli", "genaiops.embedded", "genaiops.host", "genaiops.stand_in_model"),
    "host": ("shared.adapters.local.clock",),
    "lab": ("genaiops.cli.wiring", "genaiops.stand_in_model", "shared.adapters"),
    "new": (),
    "stand_in_model": (),
}
"""What each room of genaiops/ may import of the other rooms and of the adapters."""


def test_every_room_of_genaiops_says_what_it_may_import() -> None:
    assert {path.parent.name for path in (ROOT / "genaiops").glob("*/__init__.py")} == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_of_genaiops_imports_of_the_others_what_it_may(room: str) -> None:
    allowed = (f"genaiops.{room}", *ROOMS[room])
    parents = {".".join(name.split(".")[:end]) for name in ROOMS[room] for end in (1, 2, 3)} | {"genaiops"}
    wrong = {
        f"{relative(path)}: {name}"
        for path in modules(ROOT / "genaiops" / room)
        for name in imports(path, inside_functions=True)
        if name.startswith(("genaiops", "shared.adapters")) and not name.startswith(allowed) and name not in parents
    }
    assert wrong == set()


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


@pytest.mark.parametrize("package", LARGE_PACKAGES, ids=relative)
def test_a_package_of_many_files_says_what_each_is_for(package: Path) -> None:
    told = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    files = {path.name for path in package.glob("*.py")} - {"__init__.py"}
    assert set(re.findall(r"\b\w+\.py\b", told)) == files, (
        "the package's docstring has a line for each file that there is"
    )


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

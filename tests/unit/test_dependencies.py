"""The lock is what is installed: everything declared is pinned with hashes, and the function app gets the same pins."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OF_IMAGES = ("shared/adapters/serving/requirements.txt", "shared/adapters/serving/requirements-promptflow.txt")
REQUIREMENT = re.compile(r"^\s*\"(?P<name>[A-Za-z0-9._-]+)[^\"]*\",(?P<comment>.*)$")


def canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file: str) -> dict[str, str]:
    text = (ROOT / file).read_text()
    lines = re.findall(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", text, flags=re.MULTILINE)
    return {canonical(name): version for name, version in lines}


def declared() -> tuple[list[str], list[str]]:
    """Direct dependencies of the runtime, and of development."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = [re.split(r"[^A-Za-z0-9._-]", text)[0] for text in project["project"]["dependencies"]]
    tools = [re.split(r"[^A-Za-z0-9._-]", text)[0] for text in project["dependency-groups"]["dev"]]
    return [canonical(name) for name in names], [canonical(name) for name in tools]


def test_every_direct_dependency_is_pinned_in_the_lock() -> None:
    runtime, tools = declared()
    assert runtime, "pyproject.toml declares no dependency"
    assert set(runtime + tools) - set(pins("requirements.lock")) == set()


def test_the_function_apps_requirements_are_a_part_of_the_lock_with_equal_pins() -> None:
    lock, requirements = pins("requirements.lock"), pins("requirements.txt")
    runtime, tools = declared()
    assert set(runtime) <= set(requirements)
    assert {name: lock.get(name) for name in requirements} == requirements
    assert "pytest" in tools
    assert "pytest" not in requirements


@pytest.mark.parametrize("file", OF_IMAGES)
def test_what_images_of_served_flows_install_is_a_part_of_the_lock_with_equal_pins(file: str) -> None:
    lock, image = pins("requirements.lock"), pins(file)
    assert {"openai", "pydantic", "ruamel-yaml", "waitress"} <= set(image)
    assert ("promptflow" in image) is ("promptflow" in file)
    assert {name: lock.get(name) for name in image} == image
    assert set(image) & {"azure-functions", "azure-ai-ml", "pytest"} == set()


@pytest.mark.parametrize("file", ["requirements.lock", "requirements.txt", *OF_IMAGES])
def test_every_pin_has_hashes_and_no_package_index_is_named(file: str) -> None:
    text = (ROOT / file).read_text()
    blocks = re.split(r"^(?=[A-Za-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [block.split("\n")[0] for block in blocks if "--hash=sha256:" not in block] == []
    assert re.findall(r"https?://\S+|--(?:extra-)?index-url.*|--find-links.*|file:.*", text) == []
    assert "make lock" in text.split("\n")[1]


def test_every_direct_dependency_has_its_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    lists = text.split("\n[tool.")[0].split("dependencies = [", 1)[1]
    requirements = [match for line in lists.splitlines() if (match := REQUIREMENT.match(line))]
    runtime, tools = declared()
    assert len(requirements) == len(runtime) + len(tools)
    assert [match["name"] for match in requirements if len(match["comment"].partition("#")[2].split()) < 2] == []


def test_every_package_that_the_code_imports_is_declared() -> None:
    """A package that comes with another one may leave with it: what is imported is declared."""
    runtime, _ = declared()
    distributions = importlib.metadata.packages_distributions()
    undeclared: dict[str, str] = {}
    for path in product_code():
        for name in imported(path):
            owners = {canonical(owner) for owner in distributions.get(name, [])}
            if owners and not owners & set(runtime):
                undeclared[name] = path.relative_to(ROOT).as_posix()
    assert undeclared == {}


def product_code() -> Iterator[Path]:
    yield ROOT / "function_app.py"
    for folder in ("shared", "functions", "genaiops"):
        yield from (ROOT / folder).rglob("*.py")


def imported(path: Path) -> set[str]:
    """Top-level packages that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names

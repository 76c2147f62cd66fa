"""What the README and the pages in docs/ say exists: files, commands, options, make targets and settings."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import typer

from genaiops.cli.app import app
from shared import settings
from shared.chain.messages import Queue

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "flows").glob("*/README.md"))]
SETTINGS_PAGE = ROOT / "docs" / "reference" / "settings.md"
PYTHON_MODULES = {"genaiops", "genaiops.stand_in_model"}
REFUSED_VARIABLES = {"ServiceBus", "Storage", "AzureWebJobsServiceBus", "AzureWebJobsStorage"}
"""Looked at only to refuse a key in them."""
TOOL_VARIABLES = {"GENAIOPS_DEBUG", "GENAIOPS_PYTHON", "GENAIOPS_CHROMIUM"}


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def links(page: Path) -> Iterator[str]:
    """Targets of the page's links and pictures, without those in code."""
    text = re.sub(r"^    .*$|(?<!\[)`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE)
    yield from re.findall(r"\]\(([^)\s]+)\)", text)


def anchors(page: Path) -> set[str]:
    """What GitHub makes of the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def variables_of(page: Path, heading: str) -> dict[str, list[str]]:
    """The rows of the table below a heading: variable → its other cells."""
    section = page.read_text().split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `([A-Za-z_]+)` \|(.*)\|$", section, flags=re.MULTILINE)
    return {name: [cell.strip() for cell in cells.split("|")] for name, cells in rows}


def known_variables() -> set[str]:
    """Every variable that `settings.read` looks at, under either profile."""

    class Recording(dict[str, str]):
        def get(self, key: str, default: object = None) -> str | None:  # type: ignore[override]
            asked.add(key)
            return super().get(key, default if isinstance(default, str) else None)  # type: ignore[arg-type]

    asked: set[str] = set()
    settings.read(Recording())
    with pytest.raises(settings.InvalidSettings):
        settings.read(Recording(GENAIOPS_PROFILE="azure"))
    return asked - REFUSED_VARIABLES


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_relative_link_leads_to_a_file_and_a_heading_that_exist(page: Path) -> None:
    broken = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_command_and_option_that_a_page_shows_exists(page: Path) -> None:
    wrong = []
    for line in re.findall(r"python -m (genaiops\b[^`#|\n]*)", page.read_text()):
        module, *words = line.rstrip(".,:;)").split()
        assert module in PYTHON_MODULES, line
        if module != "genaiops":
            continue
        command: object = typer.main.get_command(app)
        for word in words:
            below = getattr(command, "commands", {})
            if word in below:
                command = below[word]
            elif below and re.fullmatch(r"[a-z][a-z-]*", word):
                wrong.append(line)
                break
        known = {option for parameter in command.params for option in parameter.opts} | {"--help"}  # type: ignore[attr-defined]
        wrong.extend(f"{line}: {word}" for word in words if re.match(r"--?[a-z]", word) and word not in known)
    assert wrong == []


@pytest.mark.parametrize("page", PAGES, ids=relative)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = re.findall(r"(?:`|^    (?:[A-Z_]+=\S+ )*|[A-Z_]+=\S+ )make ([a-z]+)", page.read_text(), flags=re.MULTILINE)
    assert set(named) <= targets


def test_the_settings_page_lists_exactly_the_variables_that_are_read() -> None:
    app_settings, queues = variables_of(SETTINGS_PAGE, "The app"), variables_of(SETTINGS_PAGE, "Queue names")
    azure, telemetry = variables_of(SETTINGS_PAGE, "Azure"), variables_of(SETTINGS_PAGE, "Telemetry")
    people = variables_of(SETTINGS_PAGE, "People")
    assert {*app_settings, *azure, *telemetry, *people, *queues} == known_variables()
    assert {name: cells[0].strip("`") for name, cells in queues.items()} == {
        settings.queue_variable(queue): queue.value for queue in Queue
    }
    assert set(variables_of(SETTINGS_PAGE, "Tools")) >= TOOL_VARIABLES


def test_the_settings_pages_defaults_are_those_of_the_code() -> None:
    stated = {name: cells[0].split(" ")[0].strip("`") for name, cells in variables_of(SETTINGS_PAGE, "The app").items()}
    read = settings.read({})
    assert stated["GENAIOPS_PROFILE"] == read.profile
    assert stated["GENAIOPS_HOME"] == read.home.name
    assert stated["GENAIOPS_ENV_FILE"] == read.env_file.name
    numbers = {
        "GENAIOPS_HTTP_PORT": read.http_port,
        "GENAIOPS_ROUTER_PORT": read.router_port,
        "GENAIOPS_STAND_IN_PORT": read.stand_in_port,
        "GENAIOPS_MAX_DELIVERY_COUNT": read.max_delivery_count,
        "GENAIOPS_CELLS_IN_FLIGHT": read.cells_in_flight,
        "GENAIOPS_CALLS_IN_FLIGHT": read.calls_in_flight,
        "GENAIOPS_LOOK_SECONDS": read.look_seconds,
    }
    assert {name: int(stated[name]) for name in numbers} == numbers


def test_the_settings_pages_limits_are_those_of_the_code() -> None:
    for name, cells in variables_of(SETTINGS_PAGE, "The app").items():
        if limits := re.fullmatch(r"(\d+)–(\d+)", cells[1]):
            low, high = int(limits[1]), int(limits[2])
            settings.read({name: str(low)})
            settings.read({name: str(high)})
            for beyond in (low - 1, high + 1):
                with pytest.raises(settings.InvalidSettings, match=f"from {low} to {high}"):
                    settings.read({name: str(beyond)})


def test_the_sample_of_local_settings_lists_the_same_variables_with_values_that_are_read_as_the_defaults() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    ours = {name: value for name, value in sample.items() if name in known_variables()}
    assert set(ours) == known_variables() - {"WEBSITE_HOSTNAME", "WEBSITE_AUTH_ENABLED"}  # the platform's to set
    assert settings.read(ours) == settings.read({})


def test_the_sample_names_what_the_azure_profile_needs_in_its_place() -> None:
    sample = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    with pytest.raises(settings.InvalidSettings) as caught:
        settings.read(sample | {"GENAIOPS_PROFILE": "azure"})
    required = {n for n, cells in variables_of(SETTINGS_PAGE, "Azure").items() if cells[0] == "required"}
    assert {line.split(" ")[2] for line in str(caught.value).splitlines()[1:]} == required
    assert "is missing" not in str(caught.value)


def container_variables() -> set[str]:
    """Settings of ours that the program in an image reads."""
    program = ROOT / "shared" / "adapters" / "serving" / "container.py"
    return set(re.findall(r'"(GENAIOPS_[A-Z_]+)"', program.read_text()))


def test_every_setting_of_a_container_has_a_row_where_containers_are_told_of() -> None:
    page = (ROOT / "docs" / "how-to" / "serve-a-flow-anywhere.md").read_text()
    rows = set(re.findall(r"^\| `(GENAIOPS_[A-Z_]+)` \|", page, flags=re.MULTILINE))
    assert rows == container_variables()


def test_pages_name_no_setting_that_nothing_reads() -> None:
    known = known_variables() | TOOL_VARIABLES | container_variables()
    wrong = {
        f"{relative(page)}: {name}"
        for page in PAGES
        for name in re.findall(r"GENAIOPS_[A-Z_]*[A-Z]", page.read_text())
        if name not in known
    }
    assert wrong == set()


def test_every_key_of_experiment_yaml_has_a_row_in_its_reference() -> None:
    from shared.use_case.load import KEYS

    page = (ROOT / "docs" / "reference" / "experiment-yaml.md").read_text()
    section = page.split("\n## All keys\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^\| `(\w+)`(?: \+)? \|", section, flags=re.MULTILINE)) == set(KEYS)


def test_the_pictures_of_the_readme_are_small_enough_to_load_at_once() -> None:
    pictures = [ROOT / link for link in links(ROOT / "README.md") if link.endswith(".png")]
    assert len(pictures) == 2, pictures
    for picture in pictures:
        assert picture.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
        assert picture.stat().st_size < 300_000

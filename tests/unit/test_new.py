"""`new` writes a use case folder that is valid as it is, touches nothing that is there, and leaves nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from genaiops.cli import new as command
from genaiops.cli.outcome import ExitCode
from genaiops.new import KINDS, Kind, new_use_case, writing
from shared.errors import Conflict, InvalidName, NotFound
from shared.use_case.flow_facts import flow_facts
from shared.use_case.flow_model import FlowKind
from shared.use_case.load import load
from tests.cli import printed_json, run


@pytest.fixture
def flows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder `flows/` of an app of its own, from whose root the commands are typed."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "flows"
    folder.mkdir()
    return folder


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_use_case_is_valid_in_every_environment_and_can_be_planned(flows: Path, kind: Kind) -> None:
    made = run("new", "my_use_case", "--kind", kind)
    assert made.exit_code == ExitCode.OK, made.stderr
    checked = printed_json(run("validate", "my_use_case", "--json"))
    assert checked["problems"] == []
    assert checked["environments"] == ["dev", "pr"]
    counts = printed_json(run("plan", "my_use_case", "--json"))["counts"]
    assert counts["lines"] == counts["model_calls"] == counts["evaluation_lines"]
    assert counts["lines"] == 18 * counts["runs"]
    assert counts["runs"] >= 2, "something is varied"
    assert printed_json(run("plan", "my_use_case", "--kind", "pr", "-e", "pr", "--json"))["counts"]["lines"] == (
        8 * counts["runs"]
    )
    use_case = load(flows / "my_use_case", "dev", data=None)
    assert use_case.name == "my_use_case"
    assert use_case.warnings == ()
    assert flow_facts(use_case.flow, use_case.flow_file).kind is FlowKind(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_place_for_a_name_is_filled_in(flows: Path, kind: Kind) -> None:
    folder = new_use_case("my_use_case", kind, flows)
    texts = {path: path.read_text("utf-8") for path in folder.rglob("*") if path.is_file()}
    assert [path for path, text in texts.items() for place in PLACES if place in text] == []
    assert "python -m genaiops validate flows/my_use_case" in texts[folder / "README.md"]
    rows = [json.loads(line) for line in texts[folder / "data" / "messages.jsonl"].splitlines()]
    assert f"{len(rows)} made-up messages" in texts[folder / "README.md"]
    files = {path.relative_to(folder).as_posix() for path in texts}
    assert {"experiment.yaml", "experiment.pr.yaml", "configs/sample-request.json"} < files


PLACES = ("@name@", "@path@", "@parameters@", "@about@", "@files@")


def test_the_text_says_what_to_do_next_with_the_folder_as_it_is_named_from_here(flows: Path) -> None:
    said = run("new", "my_use_case").stdout
    assert "python -m genaiops validate flows/my_use_case" in said
    elsewhere = flows.parent / "elsewhere"
    elsewhere.mkdir()
    said = run("new", "other", "--kind", "prompty", "--into", "elsewhere").stdout
    assert "python -m genaiops submit elsewhere/other" in said
    assert (elsewhere / "other" / "experiment.yaml").is_file()


def test_a_path_of_this_machine_gets_into_no_file(
    flows: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("far"))
    folder = new_use_case("my_use_case", "dag", flows)
    assert [path for path in folder.rglob("*") if path.is_file() and str(flows.parent) in path.read_text("utf-8")] == []


@pytest.mark.parametrize("taken", ["folder", "empty folder", "file", "dangling link"])
def test_what_has_the_name_is_never_touched(flows: Path, taken: str) -> None:
    target = flows / "my_use_case"
    match taken:
        case "folder":
            target.mkdir()
            (target / "notes.txt").write_text("mine")
        case "empty folder":
            target.mkdir()
        case "file":
            target.write_text("mine")
        case _:
            target.symlink_to("nowhere")
    before = sorted(path.name for path in flows.rglob("*"))
    refused = run("new", "my_use_case")
    assert refused.exit_code == ExitCode.NO
    assert "was not touched" in refused.stderr
    assert sorted(path.name for path in flows.rglob("*")) == before


def test_a_folder_that_appears_meanwhile_is_not_touched_either(flows: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = writing.files_of

    def slow(template: Path) -> Any:
        (flows / "my_use_case").mkdir(exist_ok=True)
        return real(template)

    monkeypatch.setattr(writing, "files_of", slow)
    with pytest.raises(Conflict):
        new_use_case("my_use_case", "dag", flows)
    assert [path.name for path in flows.rglob("*")] == ["my_use_case"]


@pytest.mark.parametrize("name", ["", "..", "a/b", "a b", ".hidden", "ü", "x" * 64, "-e"])
def test_a_name_that_is_not_allowed_is_refused_with_the_rule(flows: Path, name: str) -> None:
    with pytest.raises(InvalidName, match="1 to 63"):
        new_use_case(name, "dag", flows)
    assert list(flows.iterdir()) == []


def test_the_command_refuses_wrong_names_kinds_and_folders(flows: Path) -> None:
    assert run("new", "a b").exit_code == ExitCode.USAGE
    assert run("new", "fine", "--kind", "graph").exit_code == ExitCode.USAGE
    missing = run("new", "fine", "--into", "nowhere")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert "--into" in missing.stderr
    assert list(flows.iterdir()) == []
    with pytest.raises(NotFound):
        new_use_case("fine", "dag", flows / "nowhere")


@pytest.mark.parametrize("failure", [OSError("the disk is full"), KeyboardInterrupt()], ids=["full disk", "Ctrl-C"])
def test_after_an_error_nothing_is_left(flows: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException) -> None:
    real, written = Path.write_text, []

    def failing(path: Path, *arguments: Any, **options: Any) -> int:
        written.append(path)
        if len(written) == 5:
            raise failure
        return real(path, *arguments, **options)

    monkeypatch.setattr(Path, "write_text", failing)
    with pytest.raises(type(failure)):
        new_use_case("my_use_case", "dag", flows)
    assert len(written) == 5
    assert list(flows.iterdir()) == []


def test_the_folder_can_be_read_by_whom_other_folders_can(flows: Path) -> None:
    folder = new_use_case("my_use_case", "dag", flows)
    assert folder.stat().st_mode == flows.stat().st_mode


def test_the_command_offers_the_kinds_that_there_are() -> None:
    assert get_args(command.Kind) == KINDS

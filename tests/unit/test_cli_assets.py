"""`assets`: what is registered, files registered as data assets, and use cases whose datasets they are."""

from __future__ import annotations

import typing
from dataclasses import replace
from pathlib import Path

import pytest

from genaiops.cli import assets
from genaiops.cli.outcome import ExitCode
from shared import bootstrap
from shared.adapters.local.registry import LocalRegistry
from shared.ports import AssetKind, NewAsset, Ports
from tests.cli import fake_ports, printed_json, run
from tests.unit.use_case_folder import change, put, written

ROWS = '{"text": "hello"}\n{"text": "good day"}\n{"text": "hello"}\n'


@pytest.fixture
def wired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ports:
    """An installation without anything registered, and the use case `greetings`."""
    monkeypatch.setenv("GENAIOPS_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    written(tmp_path)
    (tmp_path / "home").mkdir()
    ports, _ = fake_ports(tmp_path / "home", monkeypatch, GENAIOPS_ROOT=str(tmp_path))
    with_registry = replace(ports, registry=LocalRegistry(ports.blobs, ports.clock))
    monkeypatch.setattr(bootstrap, "_ports", [with_registry])
    return with_registry


def sourced(tmp_path: Path, source: str) -> int:
    """The use case's dataset comes from there; returns the line that says so."""
    return change(tmp_path / "flows" / "greetings", "experiment.yaml", "source: data/train.jsonl", f"source: {source}")


# ------------------------------------------------------------------------------------------------------------ register


def test_a_file_becomes_version_1_and_its_content_is_stored_under_its_hash(wired: Ports, tmp_path: Path) -> None:
    put(tmp_path, "faq.jsonl", ROWS)
    done = run("assets", "register", "faq", "faq.jsonl", "--description", "What people ask.")
    assert done.exit_code == ExitCode.OK, done.output
    assert "Registered faq, version 1: 3 rows with text." in done.stdout
    assert "1 row of them is equal to earlier ones." in done.stdout
    assert "source: azureml:faq:1" in done.stdout

    asset = wired.registry.get(AssetKind.DATA, "faq")
    assert asset.blob == f"bundles/datasets/{asset.content_hash}"
    assert wired.blobs.read("bundles", f"datasets/{asset.content_hash}").decode() == ROWS
    assert (asset.description, asset.tags["source"], asset.tags["rows"]) == ("What people ask.", "faq.jsonl", "3")


def test_known_content_is_not_registered_again_and_new_content_is_the_next_version(
    wired: Ports, tmp_path: Path
) -> None:
    put(tmp_path, "faq.jsonl", ROWS)
    first = printed_json(run("assets", "register", "faq", "faq.jsonl", "--json"))
    again = printed_json(run("assets", "register", "faq", "faq.jsonl", "--description", "Later.", "--json"))
    assert (first["created"], first["version"], first["rows"], first["columns"]) == (True, "1", 3, ["text"])
    assert (again["created"], again["version"], again["description"]) == (False, "1", "")
    said = run("assets", "register", "faq", "faq.jsonl").stdout
    assert "faq, version 1, has this content already" in said

    put(tmp_path, "faq.jsonl", ROWS + '{"text": "bye"}\n')
    more = printed_json(run("assets", "register", "faq", "faq.jsonl", "--json"))
    assert (more["created"], more["version"], more["rows"]) == (True, "2", 4)
    assert len(wired.registry.list(AssetKind.DATA, "faq")) == 2


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("faq.jsonl", '{"text": "a"}\n{"text": \n', "faq.jsonl, line 2: is not valid JSON"),
        ("faq.csv", "text,label\na,b\nc\n", "faq.csv, line 3: has 1 values for 2 columns"),
        ("faq.jsonl", "", "faq.jsonl has no rows"),
        ("faq.txt", "text\n", "must end in one of .jsonl"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_by_its_line_and_leaves_nothing(
    wired: Ports, tmp_path: Path, file: str, content: str, says: str
) -> None:
    put(tmp_path, file, content)
    refused = run("assets", "register", "faq", file)
    assert refused.exit_code == ExitCode.NO
    assert says in refused.stderr
    assert wired.registry.list(AssetKind.DATA) == []
    assert list(wired.blobs.list("bundles")) == []


def test_a_name_that_no_asset_can_have_is_refused_before_the_file_is_stored(wired: Ports, tmp_path: Path) -> None:
    put(tmp_path, "faq.jsonl", ROWS)
    assert run("assets", "register", "../faq", "faq.jsonl").exit_code == ExitCode.USAGE
    assert run("assets", "register", "a.b.c", "faq.jsonl").exit_code == ExitCode.USAGE
    assert list(wired.blobs.list("bundles")) == []


# ------------------------------------------------------------------------------------------------------- list and show


@pytest.fixture
def registered(wired: Ports) -> Ports:
    """`faq` in two versions, and a flow and a dataset that have one name."""
    for number, rows in ((1, "3"), (2, "4")):
        new = NewAsset(
            AssetKind.DATA, "faq", f"hash-{number}", f"bundles/datasets/{number}", "Questions.", {"rows": rows}
        )
        wired.registry.register(new)
    wired.registry.register(NewAsset(AssetKind.MODEL, "greetings", "hash", "bundles/x.zip", tags={"chain": "c-1"}))
    return wired


def test_the_list_shows_every_version_by_name_or_those_of_one_name_or_kind(registered: Ports) -> None:
    shown = run("assets", "list").stdout
    lines = [line.split()[:3] for line in shown.splitlines()]
    assert [line for line in lines if line[1:2] in (["data"], ["model"])] == [
        ["faq", "data", "1"],
        ["faq", "data", "2"],
        ["greetings", "model", "1"],
    ]
    assert [a["version"] for a in printed_json(run("assets", "list", "faq", "--json"))] == ["1", "2"]
    assert [a["name"] for a in printed_json(run("assets", "list", "--kind", "model", "--json"))] == ["greetings"]


def test_an_asset_that_is_not_there_is_not_found_and_the_nearest_one_is_named(registered: Ports) -> None:
    for command in (("list", "fag"), ("show", "fag")):
        missing = run("assets", *command)
        assert missing.exit_code == ExitCode.NOT_FOUND
        assert "'fag' is no registered asset; did you mean 'faq'?" in missing.stderr
    missing = run("assets", "show", "faq", "7")
    assert missing.exit_code == ExitCode.NOT_FOUND
    assert "'7' is no version of faq; expected one of: 1, 2" in missing.stderr


def test_one_version_is_shown_with_its_lineage_and_how_it_is_used(registered: Ports) -> None:
    shown = run("assets", "show", "faq").stdout
    assert "version         2" in shown
    assert "rows            4" in shown
    assert "{" not in shown, "each tag has a line of its own"
    assert "source: azureml:faq:2" in shown
    assert printed_json(run("assets", "show", "faq", "1", "--json"))["tags"] == {"rows": "3"}
    assert "submit greetings --kind cd --flow-version 1" in run("assets", "show", "greetings").stdout


def test_a_name_of_both_kinds_needs_the_kind(registered: Ports) -> None:
    registered.registry.register(NewAsset(AssetKind.DATA, "greetings", "hash", "bundles/datasets/9"))
    unclear = run("assets", "show", "greetings")
    assert unclear.exit_code == ExitCode.USAGE
    assert "--kind" in unclear.stderr
    assert printed_json(run("assets", "show", "greetings", "--kind", "data", "--json"))["kind"] == "data"


def test_where_nothing_is_registered_the_list_says_so_and_makes_no_installation(wired: Ports) -> None:
    assert "Nothing is registered." in run("assets", "list").stdout
    wired.settings.home.rmdir()
    assert printed_json(run("assets", "list", "--json")) == []
    assert not wired.settings.home.exists()


def test_the_kinds_of_the_option_are_those_of_the_registry() -> None:
    assert set(typing.get_args(assets.Kind)) == set(AssetKind)


# ------------------------------------------------------------------------------------- datasets that are data assets


@pytest.mark.parametrize("source", ["azureml:faq:1", "azureml:faq"])
def test_a_registered_file_is_a_dataset_that_validates_and_is_planned(
    wired: Ports, tmp_path: Path, source: str
) -> None:
    put(tmp_path, "faq.jsonl", '{"text": "a", "answer": "warm"}\n{"text": "b", "answer": "cold"}\n')
    assert run("assets", "register", "faq", "faq.jsonl").exit_code == ExitCode.OK
    sourced(tmp_path, source)
    done = run("validate", "greetings")
    assert done.exit_code == ExitCode.OK, done.output
    counts = printed_json(run("plan", "greetings", "--json"))["counts"]
    assert (counts["runs"], counts["lines"]) == (3, 6)
    assert run("submit", "greetings").exit_code == ExitCode.OK


def test_a_use_cases_own_asset_needs_no_prefix(wired: Ports, tmp_path: Path) -> None:
    put(tmp_path, "own.csv", "text\na\n")
    assert run("assets", "register", "greetings.words", "own.csv").exit_code == ExitCode.OK
    sourced(tmp_path, "azureml:words")
    done = run("validate", "greetings")
    assert done.exit_code == ExitCode.OK, done.output
    assert printed_json(run("plan", "greetings", "--json"))["counts"]["lines"] == 3


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("azureml:fag", "'fag' is no registered data asset; did you mean 'faq'?"),
        ("azureml:faq:7", "'7' is no version of the data asset 'faq'; expected one of: 1"),
    ],
)
def test_an_asset_that_is_not_registered_is_a_problem_of_its_line(
    wired: Ports, tmp_path: Path, source: str, says: str
) -> None:
    put(tmp_path, "faq.jsonl", ROWS)
    assert run("assets", "register", "faq", "faq.jsonl").exit_code == ExitCode.OK
    line = sourced(tmp_path, source)
    refused = run("validate", "greetings")
    assert refused.exit_code == ExitCode.NO
    assert f"flows/greetings/experiment.yaml:{line}: datasets[0].source: {source}: {says}" in refused.stdout
    for command in ("plan", "submit"):
        also = run(command, "greetings")
        assert also.exit_code == ExitCode.NO
        assert says in also.stderr


def test_a_column_that_an_asset_lacks_is_a_problem_of_the_mapping(wired: Ports, tmp_path: Path) -> None:
    put(tmp_path, "faq.jsonl", '{"txt": "a"}\n')
    assert run("assets", "register", "faq", "faq.jsonl").exit_code == ExitCode.OK
    sourced(tmp_path, "azureml:faq")
    assert "'text' is no column of the dataset; did you mean 'txt'?" in run("validate", "greetings").stdout


def test_assets_are_left_out_where_there_is_no_installation_or_it_is_not_meant(wired: Ports, tmp_path: Path) -> None:
    sourced(tmp_path, "azureml:faq:3")
    assert run("validate", "greetings").exit_code == ExitCode.NO
    assert run("validate", "greetings", "--no-environment").exit_code == ExitCode.OK
    wired.settings.home.rmdir()
    done = run("validate", "greetings")
    assert done.exit_code == ExitCode.OK, done.output

"""Content hashes: the same content, whatever the machine, has the same name; another content has another one."""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.digests import file_digest, files_of, json_digest
from shared.errors import Malformed

names = st.lists(st.sampled_from("abcdé"), min_size=1, max_size=3).map("".join)
files = st.dictionaries(
    st.tuples(names, names).map("/".join) | names.map(lambda n: f"{n}.py"),
    st.binary(max_size=20),
    min_size=1,
    max_size=5,
)


def filled(folder: Path, content: dict[str, bytes], order: list[str]) -> Path:
    for name in order:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content[name])
    return folder


def content_of(folder: Path) -> str:
    return json_digest([[name, file_digest(path)] for name, path in files_of(folder)])


@settings(deadline=None)
@given(files, st.randoms(use_true_random=False))
def test_the_order_in_which_files_come_to_be_does_not_count(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes], random: Random
) -> None:
    shuffled = list(content)
    random.shuffle(shuffled)
    one = filled(tmp_path_factory.mktemp("one"), content, list(content))
    other = filled(tmp_path_factory.mktemp("other"), content, shuffled)
    assert content_of(one) == content_of(other)


@settings(deadline=None)
@given(files)
def test_a_renamed_a_changed_and_an_added_file_are_changes(
    tmp_path_factory: pytest.TempPathFactory, content: dict[str, bytes]
) -> None:
    folder = filled(tmp_path_factory.mktemp("folder"), content, list(content))
    seen = {content_of(folder)}
    victim = folder / min(content)
    renamed = victim.rename(victim.with_name("renamed"))
    seen.add(content_of(folder))
    renamed.write_bytes(renamed.read_bytes() + b"!")
    seen.add(content_of(folder))
    (folder / "added").touch()
    seen.add(content_of(folder))
    assert len(seen) == 4


def test_times_modes_caches_editors_leftovers_and_secrets_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "flow.dag.yaml").write_text("nodes: []\n")
    before = content_of(tmp_path)
    os.utime(tmp_path / "flow.dag.yaml", (0, 0))
    (tmp_path / "flow.dag.yaml").chmod(0o755)
    for name in (
        "__pycache__/x.pyc",
        ".promptflow/flow.tools.json",
        ".git/HEAD",
        ".env",
        "a.py~",
        ".a.py.swp",
        "empty/.DS_Store",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    assert content_of(tmp_path) == before


def test_two_files_cannot_be_confused_with_one(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    (tmp_path / "one" / "ab").write_text("c")
    (tmp_path / "two" / "a").write_text("bc")
    assert content_of(tmp_path / "one") != content_of(tmp_path / "two")


def test_links_and_pipes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(Malformed, match="is a symbolic link"):
        content_of(tmp_path)
    (tmp_path / "link").unlink()
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(Malformed, match="neither a file nor a folder"):
        content_of(tmp_path)


def test_a_files_digest_is_its_sha256(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"abc")
    assert file_digest(tmp_path / "x") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_json_has_one_canonical_form() -> None:
    assert json_digest({"b": [1, "é"], "a": None}) == json_digest({"a": None, "b": [1, "é"]})
    assert json_digest({"a": 1}) != json_digest({"a": "1"})

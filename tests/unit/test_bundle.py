"""Bundles: the same folder is the same bytes, and nothing that an enemy packs gets out of its folder."""

from __future__ import annotations

import hashlib
import io
import os
import stat
import struct
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.digests import files_of
from shared.errors import BusinessFailure, InvalidName, Malformed
from shared.use_case import unpack as unpacking
from shared.use_case.bundle import make, unpack
from shared.use_case.load import load
from tests.unit.use_case_folder import change, put, written


def packed(entries: list[tuple[zipfile.ZipInfo | str, bytes]], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def digest_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def refused(content: bytes, root: Path, digest: str | None = None) -> str:
    """What `unpack` says about it; afterwards there is no trace of it, inside or outside of `root`."""
    root.mkdir(parents=True, exist_ok=True)
    with pytest.raises(Malformed) as caught:
        unpack(content, digest or digest_of(content), root)
    assert list(root.iterdir()) == []
    assert [p.name for p in root.parent.iterdir()] == [root.name]
    return str(caught.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "outer" / "root"


# ------------------------------------------------------------------------------------------------------------- packing


def test_a_bundle_is_self_contained_and_means_the_same_use_case(tmp_path: Path) -> None:
    folder = written(tmp_path)
    made = make(folder, tmp_path / "data")
    assert made.use_case == "greetings"
    unpacked = unpack(made.content, made.digest, tmp_path / "cache")
    assert unpacked == tmp_path / "cache" / made.digest

    here, there = load(folder, "dev", data=tmp_path / "data"), load(unpacked, "dev", data=None)
    packed_flow, unpacked_flow = dict(files_of(here.flow)), dict(files_of(there.flow))
    assert list(packed_flow) == list(unpacked_flow)
    assert [path.read_bytes() for path in packed_flow.values()] == [
        path.read_bytes() for path in unpacked_flow.values()
    ]
    assert there.evaluators[0].datasets[0].path == unpacked / "data" / "truth.csv"
    assert there.evaluators[0].datasets[0].path.read_bytes() == here.evaluators[0].datasets[0].path.read_bytes()


def test_a_bundle_serves_every_environment(tmp_path: Path) -> None:
    folder = written(tmp_path)
    put(tmp_path / "data" / "greetings", "few.jsonl", '{"text": "hi"}\n')
    put(
        folder,
        "experiment.pr.yaml",
        "datasets:\n- {name: train, source: few.jsonl, mappings: {text: '${data.text}'}}\n",
    )
    made = make(folder, tmp_path / "data")
    unpacked = unpack(made.content, made.digest, tmp_path / "cache")
    assert load(unpacked, "pr", data=None).datasets[0].path == unpacked / "data" / "few.jsonl"


def test_times_modes_and_leftovers_do_not_change_a_bundle_but_a_renamed_file_does(tmp_path: Path) -> None:
    folder = written(tmp_path)
    first = make(folder, tmp_path / "data")
    for path in folder.rglob("*.py"):
        os.utime(path, (1, 1))
        path.chmod(0o700)
    put(folder, ".env", 'aoai={"api_key": "secret"}')
    put(folder, "flows/standard/__pycache__/parse.pyc", b"x")
    second = make(folder, tmp_path / "data")
    assert second == first
    assert b"secret" not in second.content
    (folder / "sample.json").rename(folder / "example.json")
    assert make(folder, tmp_path / "data").digest != first.digest


def test_a_dataset_that_would_be_mistaken_for_another_one_in_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = written(tmp_path)
    outside = tmp_path / "data" / "greetings"
    put(outside, "x.jsonl", '{"text": "a"}\n' * 3)
    put(outside, "data/x.jsonl", '{"text": "b"}\n' * 3)
    change(
        folder,
        "experiment.yaml",
        "evaluators:\n",
        "- {name: one, source: x.jsonl, mappings: {text: a}}\n- {name: two, source: data/x.jsonl, mappings: {text: a}}\n\nevaluators:\n",
    )
    with pytest.raises(BusinessFailure, match="would mean another file"):
        make(folder, tmp_path / "data")


def test_what_could_not_be_unpacked_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path)
    monkeypatch.setattr("shared.use_case.members.MOST_FILES", 3)
    with pytest.raises(BusinessFailure, match="a bundle may have 3 files"):
        make(folder, tmp_path / "data")


def test_a_name_that_is_no_name_is_refused_before_it_is_used(tmp_path: Path) -> None:
    folder = written(tmp_path)
    change(folder, "experiment.yaml", "name: greetings", "name: ../greetings")
    with pytest.raises(InvalidName, match=r"'\.\./greetings' is not a valid name"):
        make(folder, tmp_path / "data")


# ----------------------------------------------------------------------------------------------------------- unpacking


def test_a_bundle_that_is_there_is_found_without_reading_the_content(tmp_path: Path) -> None:
    content = packed([("a", b"1")])
    folder = unpack(content, digest_of(content), tmp_path)
    assert unpack(b"", digest_of(content), tmp_path) == folder


def test_an_entry_with_a_second_name_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.12 and later let the extra field 0x7075 replace `filename`; the name that was judged is another one."""
    original = zipfile.ZipFile.infolist

    def renamed(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
        entries = original(archive)
        entries[0].filename = "../../evil"
        return entries

    monkeypatch.setattr(zipfile.ZipFile, "infolist", renamed)
    assert "'../../evil' as a second name" in refused(packed([("a", b"1")]), root)


def test_other_packers_compress_and_name_folders(tmp_path: Path) -> None:
    content = packed([("a/", b""), ("a/b.txt", b"x" * 5000)], zipfile.ZIP_DEFLATED)
    assert (unpack(content, digest_of(content), tmp_path) / "a" / "b.txt").read_bytes() == b"x" * 5000


def test_many_at_once_unpack_one_folder(tmp_path: Path) -> None:
    content = packed([(f"f{n}/x", b"%d" % n) for n in range(200)])
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(unpack(content, digest_of(content), tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {tmp_path / digest_of(content)}
    assert len(found) == 8
    assert [path.name for path in tmp_path.iterdir()] == [digest_of(content)]


def test_what_a_killed_process_left_behind_is_removed_later(tmp_path: Path) -> None:
    old, fresh = tmp_path / ".unpacking-old", tmp_path / ".unpacking-fresh"
    put(old, "half", "x")
    put(fresh, "half", "x")
    os.utime(old, (time.time() - 7200,) * 2)
    content = packed([("a", b"1")])
    unpack(content, digest_of(content), tmp_path)
    assert not old.exists()
    assert fresh.exists(), "another process may be at work in it"


def test_content_that_is_not_what_was_asked_for_is_refused(root: Path) -> None:
    content = packed([("a", b"1")])
    assert "digest is" in refused(content, root, digest_of(b"other"))
    assert "no bundle's digest" in refused(content, root, "../../x")


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("/etc/passwd", "is absolute"),
        ("C:/x", "is absolute"),
        ("c:x", "is absolute"),
        ("../x", "`..`"),
        ("a/../../x", "`..`"),
        ("a/./x", "`.`"),
        ("a//x", "an empty part"),
        ("a\\..\\x", "backslash"),
        ("a\nb", "control character"),
        ("a\x00b", "control character"),
        ("x" * 241, "longer than 240"),
        ("é" * 130, "too long for a file name"),
    ],
)
def test_a_path_that_leads_elsewhere_is_refused(root: Path, name: str, says: str) -> None:
    entry = zipfile.ZipInfo("placeholder")
    entry.filename = name
    assert says in refused(packed([("ok", b"1"), (entry, b"2")]), root)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFDIR])
def test_links_and_devices_are_refused(root: Path, kind: int) -> None:
    entry = zipfile.ZipInfo("x")
    entry.create_system = 3
    entry.external_attr = (kind | 0o777) << 16
    assert "a link or a device" in refused(packed([(entry, b"/etc/passwd")]), root)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["a", "a"], "one name twice"),
        (["a/x", "A/x"], "alike but for case"),
        (["caf\u00e9", "cafe\u0301"], "one name twice"),
        (["a", "a/b"], "both as a file and as the folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_names_that_collide_are_refused(root: Path, names: list[str], says: str) -> None:
    assert says in refused(packed([(name, b"1") for name in names]), root)


def test_a_hundred_thousand_entries_are_refused_before_they_are_listed(root: Path) -> None:
    assert "too many entries" in refused(packed([(f"{n}", b"") for n in range(100_000)]), root)
    assert "10,001 entries" in refused(packed([(f"{n}", b"") for n in range(10_001)]), root)


def test_a_bomb_is_refused_by_what_it_claims(root: Path) -> None:
    bomb = packed([("x", b"\0" * (20 * 1024 * 1024))], zipfile.ZIP_DEFLATED)
    assert "times its size" in refused(bomb, root)


def test_a_bomb_that_lies_about_its_size_is_stopped_by_what_comes_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unpacking, "LARGEST_BUNDLE", 100_000)
    content = bytearray(packed([("x", b"\0" * 3_000_000), ("y", b"\0" * 3_000_000)], zipfile.ZIP_DEFLATED))
    for signature, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset : at + offset + 4] = struct.pack("<I", 10)
            at = content.find(signature, at + 4)
    refused(bytes(content), root)


def test_more_bytes_than_allowed_are_refused_as_they_come_out(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = packed([("x", b"a" * 3000), ("y", b"b" * 3000)], zipfile.ZIP_DEFLATED)
    monkeypatch.setattr(unpacking, "LARGEST_BUNDLE", 5000)
    monkeypatch.setattr(unpacking, "_check_entries", lambda entries, packed: None)
    assert "unpacks to more than 5,000 bytes" in refused(content, root)


def encrypted(content: bytearray) -> None:
    content[content.find(b"PK\x01\x02") + 8] |= 1


def spoilt(content: bytearray) -> None:
    content[content.find(b"payload")] ^= 1


def unusual(content: bytearray) -> None:
    content[content.find(b"PK\x01\x02") + 10] = 14


def commented(content: bytearray) -> None:
    content[-2:] = b"\x01\x00"
    content += b"!"


def huge_directory(content: bytearray) -> None:
    content[-10:-6] = b"\xff\xff\xff\x00"


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (encrypted, "is encrypted"),
        (spoilt, "not a readable zip file: Bad CRC"),
        (unusual, "packed in an unusual way"),
        (commented, "no comment"),
        (huge_directory, "too many entries"),
        (bytearray.clear, "too short"),
    ],
)
def test_what_is_no_plain_zip_is_refused(root: Path, spoil: Callable[[bytearray], None], says: str) -> None:
    content = bytearray(packed([("x", b"payload")]))
    spoil(content)
    assert says in refused(bytes(content), root)


awkward = st.sampled_from(["..", ".", "", "a", "b", "C:", "\\", "/", "a\\b", "é", "A", "\x00", "x" * 100])


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(st.lists(awkward, min_size=1, max_size=4), st.binary(max_size=50)), max_size=5))
@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_whatever_the_names_nothing_lands_outside_and_nothing_is_half_done(
    tmp_path_factory: pytest.TempPathFactory, entries: list[tuple[list[str], bytes]]
) -> None:
    outer = tmp_path_factory.mktemp("outer")
    infos = []
    for parts, content in entries:
        info = zipfile.ZipInfo("placeholder")
        info.filename = "/".join(parts)
        infos.append((info, content))
    content = packed(infos)
    root = outer / "root"
    try:
        folder = unpack(content, digest_of(content), root)
    except Malformed:
        assert list(root.iterdir()) == []
    else:
        inside = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert inside == {info.filename: data for info, data in infos if not info.filename.endswith("/")}
    assert [p.name for p in outer.iterdir()] == ["root"]


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_a_bundle_with_any_byte_changed_is_refused_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    content = bytearray(packed([("a/b", b"hello"), ("c", b"x" * 100)], zipfile.ZIP_DEFLATED))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    outer = tmp_path_factory.mktemp("outer")
    try:
        unpack(bytes(content), digest_of(bytes(content)), outer / "root")
    except Malformed:
        assert list((outer / "root").iterdir()) == []
    assert [p.name for p in outer.iterdir()] == ["root"]

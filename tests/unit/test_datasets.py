"""Datasets: rows come out as they were written, and whatever is wrong is named by its line."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.datasets.facts import Gap, columns, inspect
from shared.datasets.mapping import apply, reference
from shared.datasets.read import LONGEST_LINE, numbered_rows, rows
from shared.errors import Malformed


def read(content: bytes, name: str = "d.jsonl") -> list[dict[str, object]]:
    return list(rows(io.BytesIO(content), name))


# ------------------------------------------------------------------------------------------------------------- reading


def test_json_lines_with_bom_crlf_blank_lines_and_no_final_newline_are_read() -> None:
    content = b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": "\xc3\xa9"}'
    assert read(content) == [{"a": 1}, {"a": "é"}]
    assert [line for line, _ in numbered_rows(io.BytesIO(content), "d.jsonl")] == [1, 3]


def test_csv_with_bom_crlf_and_quoted_line_breaks_is_read_as_text() -> None:
    content = b'\xef\xbb\xbfid,text\r\n007,"a, ""b""\r\nc"\r\n8,\r\n'
    assert read(content, "d.csv") == [{"id": "007", "text": 'a, "b"\r\nc'}, {"id": "8", "text": ""}]


def test_tabs_separate_in_tsv() -> None:
    assert read(b"a\tb\n1,5\t2\n", "D.TSV") == [{"a": "1,5", "b": "2"}]


def test_a_hundred_levels_are_read_and_brackets_in_texts_are_no_levels() -> None:
    content = b'{"a": ' + b"[" * 99 + b"]" * 99 + b"}\n" + b'{"a": "' + b"[" * 500 + b'"}\n'
    assert len(read(content)) == 2


def test_a_limit_ends_the_reading_before_a_bad_line_is_met(tmp_path: Path) -> None:
    (tmp_path / "d.jsonl").write_bytes(b'{"a": 1}\nbroken\n')
    assert list(rows(tmp_path / "d.jsonl", "d.jsonl", limit=1)) == [{"a": 1}]


@pytest.mark.parametrize(
    ("content", "name", "says"),
    [
        (b"", "d.jsonl", "has no rows"),
        (b"\n\n", "d.jsonl", "has no rows"),
        (b"a,b\n", "d.csv", "has no rows"),
        (b'{"a": 1}\n{"a": }\n', "d.jsonl", "line 2: is not valid JSON"),
        (b'{"a": 1}\n[1]\n', "d.jsonl", "line 2: is a JSON list"),
        (b"null\n", "d.jsonl", "line 1: is null"),
        (b'{"a": NaN}\n', "d.jsonl", "line 1: .*NaN is not JSON"),
        (b'{"a": -Infinity}\n', "d.jsonl", "line 1: .*-Infinity is not JSON"),
        (b'{"a": 1e999}\n', "d.jsonl", "line 1: .*too large"),
        (b'{"a": ' + b"9" * 5000 + b"}\n", "d.jsonl", "line 1: is not valid JSON"),
        (b'{"a": ' + b"[" * 100_000 + b"\n", "d.jsonl", "line 1: is nested deeper than 100 levels"),
        (b'{"a": 1}\n{"a": ' + b"[" * 100 + b"]" * 100 + b"}\n", "d.jsonl", "line 2: is nested deeper than 100 levels"),
        (b'{"a": ' * 101 + b"1" + b"}" * 101 + b"\n", "d.jsonl", "line 1: is nested deeper than 100 levels"),
        (b'{"a": "\\ud83d"}\n', "d.jsonl", "line 1: holds half of a character"),
        (b'{"a": 1}\n{"a": "\xff"}\n', "d.jsonl", "line 2: byte 0xff is not UTF-8"),
        (b"a,b\n1,2\n1\n", "d.csv", "line 3: has 1 values for 2 columns"),
        (b"a,b\n1,2,3\n", "d.csv", "line 2: has 3 values for 2 columns"),
        (b'a\n"x\n', "d.csv", "line 2: is not valid CSV"),
        (b"a,a\n1,2\n", "d.csv", "more than once"),
        (b"a,\n1,2\n", "d.csv", "column 2 of the header has no name"),
        (b"a\n\xe9\n", "d.csv", "line 2: byte 0xe9 is not UTF-8"),
        (b"{}", "d.xlsx", "must end in one of .jsonl, .ndjson, .csv, .tsv"),
    ],
)
def test_what_cannot_be_read_is_named_by_file_and_line(content: bytes, name: str, says: str) -> None:
    with pytest.raises(Malformed, match=says) as caught:
        read(content, name)
    assert name in str(caught.value)


def test_a_line_without_end_is_refused_before_it_fills_the_memory() -> None:
    with pytest.raises(Malformed, match="line 1: is longer than"):
        read(b'{"a": "' + b"x" * LONGEST_LINE)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.dictionaries(st.text(), json_values, max_size=4), min_size=1, max_size=6), st.booleans())
def test_every_json_object_survives_the_way_through_a_file(written: list[dict[str, object]], ascii_only: bool) -> None:
    content = "\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in written).encode()
    assert read(content) == written


@given(st.binary(max_size=300), st.sampled_from(["d.jsonl", "d.csv", "d.tsv"]))
def test_any_bytes_are_either_rows_or_a_clear_refusal(content: bytes, name: str) -> None:
    refusal = ""
    found: list[dict[str, object]] = []
    try:
        found = read(content, name)
    except Malformed as error:
        refusal = str(error)
    assert bool(found) != (name in refusal)
    json.dumps(found, ensure_ascii=False, allow_nan=False).encode()


# --------------------------------------------------------------------------------------------------------------- facts


def test_facts_count_rows_and_duplicates_and_find_gaps(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_bytes(b'{"a": 1, "b": 2}\n\n{"b": 2, "a": 1}\n{"a": 3, "c": 4}\n')
    facts = inspect(path)
    assert (facts.rows, facts.duplicates) == (3, 1)
    assert facts.columns == ("a", "b", "c") == columns(path)
    assert facts.gap("a", 3) is None
    assert facts.gap("b", 3) == Gap(row=2, line=4)
    assert facts.gap("b", 2) is None, "beyond the rows that are used"
    assert facts.gap("c", 3) == Gap(row=0, line=1)


def test_the_content_hash_is_of_the_bytes(tmp_path: Path) -> None:
    for name, content in (("1.jsonl", b'{"a": 1}\n'), ("2.jsonl", b'{"a": 1}\n'), ("3.jsonl", b'{"a":1}\n')):
        (tmp_path / name).write_bytes(content)
    first, second, third = (inspect(tmp_path / f"{n}.jsonl").content_hash for n in (1, 2, 3))
    assert first == second != third


# ------------------------------------------------------------------------------------------------------------- mapping


def test_a_mapping_takes_columns_outputs_inputs_and_constants() -> None:
    mappings = {"q": "${data.question}", "p": "${run.outputs.label}", "i": "${run.inputs.text}", "k": 5, "s": "text"}
    assert apply(mappings, {"question": "?"}, {"label": "warm"}, run_inputs={"text": "hi"}) == {
        "q": "?",
        "p": "warm",
        "i": "hi",
        "k": 5,
        "s": "text",
    }


def test_a_column_may_hold_dots() -> None:
    found = reference("${data.a.b}")
    assert found is not None
    assert found.name == "a.b"


@pytest.mark.parametrize(
    ("mapping", "says"),
    [
        ("${data.txt}", r"row 3 of train has no 'txt'; it has: text"),
        ("${run.outputs.label}", r"the run's outputs of row 3 of train has no 'label'; it has: nothing"),
        ("${output.label}", r"refers to nothing: expected \$\{data\.<column>\}"),
        ("${data.}", r"refers to nothing"),
    ],
)
def test_a_missing_column_is_named_with_its_row(mapping: str, says: str) -> None:
    with pytest.raises(Malformed, match=says):
        apply({"q": mapping}, {"text": "hi"}, line=2, dataset="train")


@given(st.dictionaries(st.text(), json_values), st.dictionaries(st.text(min_size=1), json_values, min_size=1))
def test_mapping_is_pure_and_gives_exactly_the_mapped_names(
    constants: dict[str, object], row: dict[str, object]
) -> None:
    plain = {name: value for name, value in constants.items() if not isinstance(value, str) or "${" not in value}
    referable = {name: f"${{data.{name}}}" for name in row if not set("{}") & set(name)}
    mappings = {**plain, **referable}
    before = json.dumps([mappings, row])
    result = apply(mappings, row, line=0)
    assert result == {**plain, **{name: row[name] for name in referable}}
    assert json.dumps([mappings, row]) == before


def test_what_evaluators_call_a_target_is_an_output_of_the_run() -> None:
    assert reference("${target.answer}") == reference("${run.outputs.answer}")
    assert apply({"found": "${target.answer}"}, {}, {"answer": 7}) == {"found": 7}
    with pytest.raises(Malformed, match="refers to nothing"):
        reference("${targets.answer}")

"""Reading datasets row by row: JSON Lines (`.jsonl`, `.ndjson`) and CSV (`.csv`, `.tsv`), UTF-8 with or without BOM.

A file is streamed, never held: one row at a time. A row that cannot be read is named by its line number, because a
dataset with one bad line is a mistake of that line's author, not of the chain.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from shared.errors import Malformed
from shared.nesting import DEEPEST, is_deeper

LONGEST_LINE: Final = 16 * 1024 * 1024
"""Bytes of one line: more is no dataset but a file of another kind, and would fill the memory."""
JSON_LINES: Final = (".jsonl", ".ndjson")
SEPARATED: Final = {".csv": ",", ".tsv": "\t"}

Row = dict[str, Any]


def rows(source: Path | BinaryIO, name: str, limit: int | None = None) -> Iterator[Row]:
    """The rows of a dataset, at most `limit`, in order.

    Args:
        source: the file, or its bytes as a stream (which stays open).
        name: the file's name: its ending tells the format, and errors show it.
        limit: `max_rows` of the use case; None: all.

    Raises:
        Malformed: naming the file, the line and what is wrong with it; also where there is no row at all.
    """
    return (row for _, row in islice(numbered_rows(source, name), limit))


def numbered_rows(source: Path | BinaryIO, name: str) -> Iterator[tuple[int, Row]]:
    """As `rows`, each with the number of the line on which it ends, from 1."""
    if isinstance(source, Path):
        with source.open("rb") as stream:
            yield from numbered_rows(stream, name)
        return
    suffix = Path(name).suffix.lower()
    if suffix in JSON_LINES:
        found = _json_lines(source, name)
    elif suffix in SEPARATED:
        found = _separated(source, name, SEPARATED[suffix])
    else:
        endings = ", ".join([*JSON_LINES, *SEPARATED])
        raise Malformed(f"{name}: a dataset's file name must end in one of {endings}, which tells its format.")
    empty = True
    for numbered in found:
        empty = False
        yield numbered
    if empty:
        raise Malformed(f"{name} has no rows: a dataset needs at least one.")


def _lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, str]]:
    """The lines with their numbers, decoded one by one so that a bad byte is named by its line."""
    number = 0
    while raw := stream.readline(LONGEST_LINE + 1):
        number += 1
        if len(raw) > LONGEST_LINE:
            raise Malformed(f"{name}, line {number}: is longer than {LONGEST_LINE:,} bytes; put one row on each line.")
        try:
            yield number, raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            raise Malformed(
                f"{name}, line {number}: byte 0x{raw[error.start]:02x} is not UTF-8; save the file in UTF-8 encoding."
            ) from error


def _json_lines(stream: BinaryIO, name: str) -> Iterator[tuple[int, Row]]:
    for number, text in _lines(stream, name):
        if not text.strip():
            continue
        try:
            row = _DECODER.decode(text)
        except RecursionError:
            raise _too_deep(name, number) from None
        except ValueError as error:
            # The decoder counts lines of its own, in the one line that it was given.
            said = f"{error.msg}, column {error.pos + 1}" if isinstance(error, json.JSONDecodeError) else str(error)
            raise Malformed(f"{name}, line {number}: is not valid JSON ({said}); correct or remove it.") from error
        if not isinstance(row, dict):
            raise Malformed(f"{name}, line {number}: is {_kind(row)}; expected one JSON object with a key per column.")
        if text.count("{") + text.count("[") > DEEPEST and is_deeper(row):
            raise _too_deep(name, number)
        if "\\u" in text:
            _refuse_surrogates(row, name, number)
        yield number, row


def _too_deep(name: str, number: int) -> Malformed:
    return Malformed(f"{name}, line {number}: is nested deeper than {DEEPEST} levels; expected one flat JSON object.")


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is not JSON; use null or a number")


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise ValueError(f"{text} is too large for a number")
    return number


_DECODER: Final = json.JSONDecoder(parse_constant=_refuse, parse_float=_finite)


def _refuse_surrogates(row: Row, name: str, number: int) -> None:
    # JSON can spell half of a character (`\\ud83d` alone); it would only fail later, when results are written.
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise Malformed(
            f"{name}, line {number}: holds half of a character (a lone \\u surrogate); write the whole one."
        ) from error


def _kind(value: object) -> str:
    match value:
        case list():
            return "a JSON list"
        case str():
            return "a JSON text"
        case None:
            return "null"
        case _:
            return f"the JSON value {value!r}"[:80]


def _separated(stream: BinaryIO, name: str, delimiter: str) -> Iterator[tuple[int, Row]]:
    """CSV with a header. Values stay texts: a flow's typed inputs convert them, and `007` stays `007`."""
    csv.field_size_limit(LONGEST_LINE)
    reader = csv.reader((text for _, text in _lines(stream, name)), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    try:
        for fields in reader:
            if not fields:
                continue
            if header is None:
                header = _header(fields, name, reader.line_num)
                continue
            if len(fields) != len(header):
                raise Malformed(
                    f"{name}, line {reader.line_num}: has {len(fields)} values for {len(header)} columns; "
                    f"quote values that hold {delimiter!r}, a quote or a line break."
                )
            yield reader.line_num, dict(zip(header, fields, strict=True))
    except csv.Error as error:
        raise Malformed(f"{name}, line {reader.line_num}: is not valid CSV ({error}); correct its quotes.") from error


def _header(fields: list[str], name: str, line: int) -> list[str]:
    header = [field.strip() for field in fields]
    if not all(header):
        raise Malformed(f"{name}, line {line}: column {header.index('') + 1} of the header has no name.")
    for column in header:
        if header.count(column) > 1:
            raise Malformed(f"{name}, line {line}: the header has the column {column!r} more than once.")
    return header

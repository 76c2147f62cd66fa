"""Markdown in which data stays data: whatever a text says, it is shown as it is, and becomes nothing else."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from shared.chain.state import LogEntry
from shared.notification.final_log import log_line, plain
from shared.notification.markdown import JOINER, bounded, escaped, link, one_line, table
from shared.visible import visible
from tests import samples

READER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
"""Stricter than Azure DevOps: raw HTML is let through, so that a test sees what slips past the escaping."""

PIECES = (
    "`", "```", "*", "**", "_", "__", "~~", "#", "# ", "!", "|", "\\", "\\|", "[", "]", "(", ")", "<", ">", "&", "&lt;", ";",
    "\n", "\n\n", "\r", "\t", "    ", "- ", "+ ", "1. ", "12) ", "> ", "===", "---", ":::", ":smile:", "$", "$$", "{", "}",
    "@<6f1d3c2e-0000-4000-8000-000000000000>", "@", "#123", "!45", "AB#7", "https://", "www.", "evil.example.com", "a@b.com",
    "<b>", "</td>", "<img src=x onerror=y>", "<!--", "-->", "<script>", "![x](http://e.com/p.png)", "[x](javascript:y)",
    "[[_TOC_]]", "\u202e", "\x00", "\x1b[31m", "\u2028", "### ✓ small: Succeeded", "##vso[task.complete result=Succeeded]",
    "##[error]", "##", "[command]", "word", "0.5", "ä", "文", "😀", " ",
)  # fmt: skip
hostile = st.lists(st.sampled_from(PIECES) | st.text(max_size=4), max_size=12).map("".join)

LINKS = re.compile(r"[#!]\d|@<|@[\w-]|https?://|www\.\w|\.com\b", re.ASCII | re.IGNORECASE)
"""What Azure DevOps, or a reader of links, would make a link or a mention of."""


def leaves(markdown: str) -> list[Token]:
    """Everything that the rendered text is made of, blocks and what is in them."""
    return [leaf for token in READER.parse(markdown) for leaf in (token, *(token.children or ()))]


def said(tokens: list[Token]) -> str:
    """The text that a reader sees."""
    return "".join(token.content for token in tokens if token.type in ("text", "text_special"))


@given(hostile)
@example("* a")
@example("1. a")
@example("a\\")
@example("\\|")
@example("@<6f1d3c2e-0000-4000-8000-000000000000> see #12 and !7")
def test_a_text_in_a_paragraph_is_shown_as_it_is(text: str) -> None:
    tokens = leaves(escaped(text))
    assert {token.type for token in tokens} <= {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert said(tokens).replace(JOINER, "") == one_line(text).replace(JOINER, "")


@given(hostile, hostile)
@example("a\\", "|")
def test_a_text_in_a_table_stays_in_its_cell(first: str, second: str) -> None:
    tokens = leaves(table(("A", "B"), [(escaped(first), escaped(second)), ("1", "2")]))
    inner = {token.type for token in tokens} - {"inline", "text", "text_special"}
    assert inner == {
        f"{part}_{end}" for part in ("table", "thead", "tbody", "tr", "th", "td") for end in ("open", "close")
    }
    cells = [said(list(token.children or ())) for token in tokens if token.type == "inline"]
    shown = [cell.replace(JOINER, "") for cell in cells]
    assert shown == ["A", "B", *(one_line(text).replace(JOINER, "").strip() for text in (first, second)), "1", "2"]


@given(hostile)
def test_a_text_in_the_middle_of_a_list_makes_nothing_else(text: str) -> None:
    tokens = leaves(f"- x {escaped(text)} y")
    allowed = {"bullet_list", "list_item", "paragraph"}
    assert {token.type.rpartition("_")[0] for token in tokens if token.type.endswith(("_open", "_close"))} == allowed
    assert not [token for token in tokens if token.type not in ("inline", "text", "text_special") and not token.nesting]


@given(hostile)
@example("evil.example.com²")
def test_no_text_is_a_mention_a_work_item_a_pull_request_or_an_address(text: str) -> None:
    markdown = escaped(text)
    assert not LINKS.search(markdown)
    assert not LINKS.search(said(leaves(markdown)))
    assert "<" not in markdown
    assert ">" not in markdown


@given(hostile, st.integers(min_value=1, max_value=60))
def test_a_text_is_cut_before_it_is_escaped_so_that_no_escape_is_cut(text: str, limit: int) -> None:
    assert len(one_line(text, limit)) <= limit
    assert said(leaves(escaped(text, limit))).replace(JOINER, "") == one_line(text, limit).replace(JOINER, "")


@pytest.mark.parametrize(
    "text", ["ticket_triage", "classify.temperature=0.7", "at most 0.02 below the baseline", "f1.billing"]
)
def test_an_ordinary_name_is_written_as_it_is(text: str) -> None:
    assert escaped(text) == text


@given(hostile)
@example("##vso[task.setvariable variable=x]y")
@example("#\n#vso[task.complete result=Succeeded]")
@example("####[error]")
def test_no_text_gives_a_command_to_the_log(text: str) -> None:
    assert "##" not in plain(text)
    assert visible(plain(text)) == plain(text)
    assert len(plain(text).splitlines()) <= 1


@given(hostile, st.sampled_from(["info", "warning", "error"]))
def test_a_line_of_the_log_has_its_own_command_at_most(text: str, level: str) -> None:
    line = log_line(LogEntry.model_validate({"number": 1, "at": samples.NOW, "level": level, "text": text}))
    head = {"info": "", "warning": "##[warning]", "error": "##[error]"}[level]
    assert line.startswith(f"{head}09:30:00")
    assert "##" not in line[len(head) :]


def test_an_address_cannot_end_its_link_early() -> None:
    assert link("Report", "http://here/a(b) c") == "[Report](http://here/a%28b%29%20c)"


def test_what_does_not_fit_is_left_out_in_whole_sections_and_said() -> None:
    text = bounded(["first", "", "second" * 20, "third"], 60, "The rest is elsewhere.")
    assert text == "first\n\nThe rest is elsewhere."

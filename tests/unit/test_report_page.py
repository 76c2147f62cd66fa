"""The report's page: safe with whatever a model says, complete without script, and small however much was run."""

from __future__ import annotations

import math
import re

import pytest

from shared import reporting
from shared.chain.state import Chain
from shared.pages.words import number
from shared.ports import Ports
from shared.reporting import survey
from shared.reporting.charts import WIDTH, Bar, bar_chart
from tests import samples
from tests.unit.people import memory_ports
from tests.unit.reports import build, rows, structure


@pytest.fixture
def ports() -> Ports:
    return memory_ports()


@pytest.fixture
def chain() -> Chain:
    return samples.sample_chain()


def test_the_page_is_self_contained_and_has_no_script(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    page = structure(html)
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "link", "iframe", "object", "embed", "img", "form"}
    for _, attributes in page.tags:
        assert not any(name.startswith("on") or name in ("style", "src", "srcset", "action") for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] or "" for tag, a in page.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "script" not in policy
    assert "unsafe" not in policy


def test_hostile_outputs_add_no_element_to_the_page(ports: Ports, chain: Chain) -> None:
    _, plain = build(ports, chain)
    plain_tags = [tag for tag, _ in structure(plain).tags]
    _, html = build(memory_ports(), chain, outputs=samples.HOSTILE)
    page = structure(html)
    assert [tag for tag, _ in page.tags] == plain_tags
    assert "<img src=x onerror=" in "".join(page.words), "the output is shown as the text that it is"
    assert "{{ 7 * 7 }}" in "".join(page.words), "an output is never a template"


def test_characters_that_reorder_text_become_visible(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain, outputs=samples.HOSTILE)
    assert "\u202e" not in html
    assert "‹U+202E›detcejer‹U+202C›" in html


def test_a_very_long_output_is_cut_on_the_page_and_whole_in_the_csv(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain, outputs=("A" * 60_000,))
    assert "… (58,800 more characters in lines.csv)" in html
    assert len(html) < 400_000
    assert rows(ports, chain, "lines.csv")[0]["outputs.reply"] == "A" * 60_000


def test_numbers_beyond_all_floats_are_told_in_words() -> None:
    assert number(10**400) == "too large a number"
    assert number(-math.inf) == "not a number"


def test_a_chart_of_very_large_values_has_finite_bars() -> None:
    svg = bar_chart("k", "t", "d", [Bar("a", 1.7e308, "a"), Bar("b", -1.7e308, "b")])
    lengths = re.findall(r'class="bar" x="[0-9.]+" y="[0-9]+" width="([0-9.]+)"', svg)
    assert [float(length) for length in lengths] == [WIDTH / 2, WIDTH / 2]


def test_a_large_dataset_shows_its_worst_lines_and_says_so(ports: Ports, chain: Chain) -> None:
    prepared = samples.sample_prepared(chain, rows=300)
    samples.write_results(ports.blobs, chain, prepared)
    html = ports.blobs.read("reports", reporting.build(ports, chain, final=False).blob).decode()
    shown = html.count('<details class="line')
    assert shown == survey.SHOWN_LINES
    assert "This page shows 500 of 3,000 lines" in html
    assert html.count('<details class="line failed') == 10, "lines that failed are the worst and are all shown"
    assert len(rows(ports, chain, "lines.csv")) == 3_000


def test_a_stand_in_model_is_labelled_on_the_page(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    assert "<strong>Stand-in model.</strong>" in html
    assert samples.STAND_IN in html


def test_every_chart_has_a_title_and_its_values_in_words(ports: Ports, chain: Chain) -> None:
    _, html = build(ports, chain)
    charts = re.findall(r"<svg .*?</svg>", html, flags=re.DOTALL)
    assert len(charts) >= 3
    for index, chart in enumerate(charts):
        assert f'role="img" aria-labelledby="chart-{index}-title chart-{index}-desc"' in chart
    assert "default 0.74; classify.terse 0.66; classify.examples 0.88" in charts[0]

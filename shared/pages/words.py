"""Words for people: states, times, durations, numbers and data, the same on every page.

Data is shown as it is, save that characters which would hide or reorder text become visible.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from shared.chain.messages import ChainKind
from shared.chain.state import ChainStatus, Step, StepStatus
from shared.evaluation.spread import Spread
from shared.visible import visible

SHOWN_CHARACTERS: Final = 1_200
"""Of one value on a page; the CSV has all of it."""

_STATUS: Final[Mapping[ChainStatus, tuple[str, str]]] = {
    ChainStatus.RUNNING: ("Running", "busy"),
    ChainStatus.AWAITING_APPROVAL: ("Waiting for approval", "warn"),
    ChainStatus.SUCCEEDED: ("Succeeded", "good"),
    ChainStatus.FAILED: ("Failed", "bad"),
    ChainStatus.REJECTED: ("Rejected", "bad"),
    ChainStatus.CANCELLED: ("Cancelled", "off"),
    ChainStatus.SUPERSEDED: ("Superseded", "off"),
}
_STEP_STATUS: Final[Mapping[StepStatus, tuple[str, str]]] = {
    StepStatus.PENDING: ("To come", "todo"),
    StepStatus.RUNNING: ("Running", "busy"),
    StepStatus.DONE: ("Done", "good"),
    StepStatus.FAILED: ("Failed", "bad"),
    StepStatus.SKIPPED: ("Skipped", "off"),
}
_SIGN: Final[Mapping[str, str]] = {"good": "✓", "bad": "✕", "warn": "!", "busy": "●", "off": "–", "todo": "○"}
_KIND: Final[Mapping[ChainKind, str]] = {
    ChainKind.PR: "Pull request",
    ChainKind.CI: "Merge",
    ChainKind.CD: "Release",
    ChainKind.DATASET: "Dataset upload",
    ChainKind.POST_PRODUCTION: "Production log",
}


def status_word(status: ChainStatus) -> str:
    """`Waiting for approval`."""
    return _STATUS[status][0]


def status_tone(status: ChainStatus) -> str:
    """`good`, `bad`, `warn`, `busy` or `off`."""
    return _STATUS[status][1]


def step_status_word(status: StepStatus) -> str:
    """`To come`."""
    return _STEP_STATUS[status][0]


def step_status_tone(status: StepStatus) -> str:
    """As `status_tone`, or `todo`."""
    return _STEP_STATUS[status][1]


def sign(tone: str) -> str:
    """The sign that goes with a tone, so that no state is told by colour alone."""
    return _SIGN[tone]


def step_word(step: Step) -> str:
    """`Endpoint test`."""
    return step.value.replace("_", " ").capitalize()


def kind_word(kind: ChainKind) -> str:
    """What started a chain of this kind."""
    return _KIND[kind]


def when(at: datetime | None) -> str:
    """`23 Nov 2026, 15:25 UTC`."""
    return "–" if at is None else at.astimezone(UTC).strftime("%d %b %Y, %H:%M UTC").lstrip("0")


def clock_time(at: datetime | None) -> str:
    """`15:25:07`, UTC."""
    return "–" if at is None else at.astimezone(UTC).strftime("%H:%M:%S")


def iso(at: datetime) -> str:
    """For the `datetime` attribute of `<time>`."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`, `2 h 10 min`, `3 d 4 h`."""
    seconds = max(seconds, 0.0)
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24} h"


def number(value: float | None) -> str:
    """Up to four decimals, without trailing zeros; thousands are grouped."""
    if value is None:
        return "–"
    try:
        if not math.isfinite(value):
            return "not a number"
    except OverflowError:  # an integer that no float can hold
        return "too large a number"
    text = f"{value:,.4f}".rstrip("0").rstrip(".")
    return "0" if text in ("-0", "") else text


def difference(value: float | None) -> str:
    """`+0.05`, `−0.05` or `±0`."""
    if value is None:
        return ""
    text = number(abs(value))
    return "±0" if text == "0" else ("+" if value > 0 else "−") + text


def spread_words(spread: Spread) -> str:
    """`3 repetitions, 0.7 to 0.9, standard deviation 0.1`."""
    said = plural(spread.repetitions, "repetition")
    if spread.repetitions == 1:
        return said
    if spread.min == spread.max:
        return f"{said}, all {number(spread.min)}"
    deviation = "" if spread.stdev is None else f", standard deviation {number(spread.stdev)}"
    return f"{said}, {number(spread.min)} to {number(spread.max)}{deviation}"


def milliseconds(value: float | None) -> str:
    """`840 ms` or `2.4 s`."""
    if value is None:
        return "–"
    return f"{value:,.0f} ms" if value < 1_000 else f"{value / 1_000:,.1f} s"


def percent(share: float) -> str:
    """`12.5 %` of a share from 0 to 1."""
    return f"{share * 100:.1f}".removesuffix(".0") + " %"


def plural(count: int, noun: str, nouns: str = "") -> str:
    """`1 line`, `1,200 lines`."""
    return f"{count:,} {noun if count == 1 else nouns or noun + 's'}"


def short(digest: str | None) -> str:
    """The first twelve characters of a digest."""
    return digest[:12] if digest else "–"


@dataclass(frozen=True)
class Shortened:
    """The beginning of a value's text, so that a page's values can be held without the whole of them."""

    text: str
    rest: int
    """How many more characters there are."""


def shortened(value: object, limit: int = SHOWN_CHARACTERS) -> object:
    """The value, or as much of it as a page shows."""
    if value is None or isinstance(value, bool | int | float | Shortened):
        return value
    text = text_of(value)
    return Shortened(text[:limit], len(text) - limit) if len(text) > limit else value


def text_of(value: object) -> str:
    """A value as text: strings as they are, everything else as JSON."""
    if isinstance(value, Shortened):
        return value.text
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def data(value: object, limit: int = SHOWN_CHARACTERS) -> str:
    """A value as a page shows it: visible, and cut where it is very long, which is then said."""
    text = text_of(value)
    rest = value.rest if isinstance(value, Shortened) else len(text) - limit
    shown = visible(text[:limit] if rest > 0 else text)
    return f"{shown}… ({rest:,} more characters in lines.csv)" if rest > 0 else shown


def excerpt(value: object, limit: int = 100) -> str:
    """The beginning of a value, on one line."""
    text = " ".join(text_of(value)[: limit * 4].split())
    return visible(text if len(text) <= limit else text[: limit - 1] + "…") or "(empty)"


FILTERS: Final[Mapping[str, Callable[..., Any]]] = {
    f.__name__: f
    for f in (
        status_word, status_tone, step_status_word, step_status_tone, sign, step_word, kind_word, when, clock_time, iso,
        duration, number, difference, milliseconds, percent, plural, short, visible, data, excerpt, spread_words,
    )
}  # fmt: skip

"""Bar charts as inline SVG: drawn at the width of a phone, readable without colour, with a title and a description.

Every label goes through escaping: a label may hold a hyperparameter's value that somebody made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.visible import visible

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH: Final = 360
_ROW: Final = 38
_LABEL_CHARACTERS: Final = 38
"""Of a label beside a value of `_TEXT_CHARACTERS`; a longer value takes from it."""
_TEXT_CHARACTERS: Final = 8
_SHORTEST_LABEL: Final = 12


@dataclass(frozen=True)
class Bar:
    """One bar. `text` is its value as people read it."""

    label: str
    value: float
    text: str
    main: bool = False
    """Whether it is the candidate's: drawn stronger and said so."""
    low: float | None = None
    high: float | None = None
    """Ends of the error bar: how far the repetitions lie apart."""


def bar_chart(key: str, title: str, description: str, bars: Sequence[Bar], *, top: float = 0.0) -> Markup:
    """One horizontal bar for each value, all from a common zero.

    Args:
        key: makes the ids unique on the page.
        title: what is measured.
        description: the values in words, for those who do not see the chart.
        bars: what is drawn, in this order.
        top: the value of a full bar, if no value is higher.
    """
    from markupsafe import Markup

    # In units of the longest bar: the difference of two large values need not be a number.
    ends = [end for bar in bars for end in (bar.value, bar.low, bar.high) if end is not None]
    unit = max(top, *(abs(end) for end in ends)) or 1.0
    low = min(0.0, *(end / unit for end in ends))
    high = max(top / unit, *(end / unit for end in ends))
    scale = WIDTH / ((high - low) or 1.0)
    rows = []
    for index, bar in enumerate(bars):
        y = index * _ROW
        left = (min(bar.value / unit, 0.0) - low) * scale
        length = abs(bar.value) / unit * scale
        label = visible(bar.label)
        room = max(_SHORTEST_LABEL, _LABEL_CHARACTERS - max(0, len(bar.text) - _TEXT_CHARACTERS))
        shown = label if len(label) <= room else label[: room - 1] + "…"
        rows.append(
            Markup(
                '<g><title>{full}: {text}</title><text x="0" y="{label_y}"{strong}>{shown}{mark}</text>'
                '<text x="{width}" y="{label_y}" text-anchor="end"{strong}>{text}</text>'
                '<rect class="track" x="0" y="{bar_y}" width="{width}" height="10" rx="5"/>'
                '<rect class="bar{main}" x="{left:.1f}" y="{bar_y}" width="{length:.1f}" height="10" rx="{round}"/>'
                "{error}</g>"
            ).format(
                full=label,
                text=bar.text,
                shown=shown,
                mark=" ◆" if bar.main else "",
                strong=Markup(' class="strong"') if bar.main else "",
                main=" main" if bar.main else "",
                label_y=y + 14,
                bar_y=y + 20,
                width=WIDTH,
                left=left,
                length=length,
                round=min(5.0, length / 2),
                error=_error_bar(bar, y + 25, lambda value: (value / unit - low) * scale),
            )
        )
    return Markup(
        '<svg viewBox="0 0 {width} {height}" role="img" aria-labelledby="{key}-title {key}-desc">'
        '<title id="{key}-title">{title}</title><desc id="{key}-desc">{description}</desc>{rows}</svg>'
    ).format(
        width=WIDTH,
        height=len(bars) * _ROW,
        key=key,
        title=title,
        description=description,
        rows=Markup("").join(rows),
    )


def _error_bar(bar: Bar, y: int, x: Callable[[float], float]) -> Markup:
    """A line from the lowest to the highest repetition, with a stroke at either end."""
    from markupsafe import Markup

    if bar.low is None or bar.high is None or bar.low == bar.high:
        return Markup("")
    return Markup('<path class="spread" d="M{low:.1f} {top}v8M{low:.1f} {y}H{high:.1f}M{high:.1f} {top}v8"/>').format(
        low=x(bar.low), high=x(bar.high), top=y - 4, y=y
    )

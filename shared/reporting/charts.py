"""Bar charts as inline SVG: drawn at the width of a phone, readable without colour, with a title and a description.

Every label goes through escaping: a label may hold a hyperparameter's value that somebody made up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from shared.visible import visible

if TYPE_CHECKING:
    from markupsafe import Markup

WIDTH: Final = 360
_ROW: Final = 38
_LABEL_CHARACTERS: Final = 38


@dataclass(frozen=True)
class Bar:
    """One bar. `text` is its value as people read it."""

    label: str
    value: float
    text: str
    main: bool = False
    """Whether it is the candidate's: drawn stronger and said so."""


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
    unit = max(top, *(abs(bar.value) for bar in bars)) or 1.0
    low = min(0.0, *(bar.value / unit for bar in bars))
    high = max(top / unit, *(bar.value / unit for bar in bars))
    scale = WIDTH / ((high - low) or 1.0)
    rows = []
    for index, bar in enumerate(bars):
        y = index * _ROW
        left = (min(bar.value / unit, 0.0) - low) * scale
        length = abs(bar.value) / unit * scale
        label = visible(bar.label)
        shown = label if len(label) <= _LABEL_CHARACTERS else label[: _LABEL_CHARACTERS - 1] + "…"
        rows.append(
            Markup(
                '<g><title>{full}: {text}</title><text x="0" y="{label_y}"{strong}>{shown}{mark}</text>'
                '<text x="{width}" y="{label_y}" text-anchor="end"{strong}>{text}</text>'
                '<rect class="track" x="0" y="{bar_y}" width="{width}" height="10" rx="5"/>'
                '<rect class="bar{main}" x="{left:.1f}" y="{bar_y}" width="{length:.1f}" height="10" rx="{round}"/></g>'
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

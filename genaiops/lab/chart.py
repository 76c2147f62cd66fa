"""A chart that a notebook shows: the report's own bars, with colours that stand on a light and on a dark page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from shared.reporting.charts import WIDTH, Bar, bar_chart

_STYLE: Final = (
    "<style>.genaiops text{fill:currentColor;font:12.5px sans-serif}.genaiops .strong{font-weight:700}"
    ".genaiops .track{fill:#8883}.genaiops .bar{fill:#7f9ccb}.genaiops .bar.main{fill:#2b62c9}</style>"
)
_HEADING: Final = 26
_MARGIN: Final = 8


@dataclass(frozen=True)
class Panel:
    """The bars of one dataset."""

    dataset: str
    bars: tuple[Bar, ...]


@dataclass(frozen=True)
class Chart:
    """One metric as bars, one panel below the other. Shows itself in a notebook; `svg` is a complete file."""

    title: str
    panels: tuple[Panel, ...]

    @property
    def svg(self) -> str:
        """The chart as an SVG document."""
        from markupsafe import Markup

        drawn, top = Markup(""), 0.0
        longest = max((bar.value for panel in self.panels for bar in panel.bars), default=0.0)
        for number, panel in enumerate(self.panels):
            told = "; ".join(f"{bar.label}: {bar.text}" for bar in panel.bars)
            title = f"{self.title} on {panel.dataset}"
            key = f"chart-{number}-" + re.sub(r"\W+", "-", title)
            bars = bar_chart(key, title, told, panel.bars, top=longest)  # one scale for all panels
            height = float(bars.split('viewBox="0 0 ', 1)[1].split('"', 1)[0].split()[1])
            place = Markup('<svg y="{}" width="{}" height="{}" ').format(top + _HEADING, WIDTH, height)
            heading = Markup('<text y="{}">{}</text>').format(top + _HEADING - 10, title)
            drawn += heading + bars.replace("<svg ", place, 1)
            top += _HEADING + height + _MARGIN
        return Markup(
            '<svg xmlns="http://www.w3.org/2000/svg" class="genaiops" width="{0}" height="{1}" viewBox="0 0 {0} {1}">'
            "{2}{3}</svg>"
        ).format(WIDTH, top, Markup(_STYLE), drawn)  # noqa: S704 -- a constant of this file

    def _repr_svg_(self) -> str:
        return str(self.svg)

    def _repr_html_(self) -> str:
        return str(self.svg)

    def __repr__(self) -> str:
        said = (f"on {panel.dataset}: " + ", ".join(f"{b.label} {b.text}" for b in panel.bars) for panel in self.panels)
        return f"{self.title} " + "; ".join(said)

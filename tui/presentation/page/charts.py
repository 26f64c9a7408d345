"""Charts as SVG: bars for each day, and small lines. Their numbers are in texts, too, for who cannot see them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from engine.domain.frozen import frozen
from tui.presentation.page.html import Html, element

_WIDTH: Final = 720.0
_HEIGHT: Final = 180.0
_LEFT: Final = 84.0
"""Room for the labels of the vertical axis."""
_BELOW: Final = 28.0
"""Room for the days below the chart."""
_DATE_WIDTH: Final = 76.0
"""The width of a date on a phone, where the texts of a chart are twice as large."""
_LINE: Final = (120.0, 28.0)
"""Width and height of a small line."""


@frozen
class Bar:
    """A day with its parts, from below; by class."""

    label: str
    parts: Mapping[str, float]
    meaning: str


def bars(title: str, days: Sequence[Bar], highest: str) -> Html:
    """`highest`: the label of the largest bar."""
    most = max((sum(day.parts.values()) for day in days), default=0.0)
    room, height = (_WIDTH - _LEFT) / max(len(days), 1), _HEIGHT - _BELOW - 8
    every = max(1, round(_DATE_WIDTH / room + 0.5)) if days else 1
    parts = [
        element("line", class_="axis", x1=_LEFT, x2=_WIDTH, y1=8 + height, y2=8 + height),
        element("line", class_="grid", x1=_LEFT, x2=_WIDTH, y1=8, y2=8),
        element("text", highest, x=_LEFT - 6, y=12, text_anchor="end"),
        element("text", "0", x=_LEFT - 6, y=11 + height, text_anchor="end"),
    ]
    for number, day in enumerate(days):
        left, top = _LEFT + number * room, 8 + height
        shown = []
        for kind, value in day.parts.items():
            tall = max(value / most * height, 1.0) if most and value else 0.0
            if tall:
                top -= tall
                width = max(room - 3, 1.0)
                shown.append(element("rect", class_=f"bar {kind}", x=left + 1, y=top, width=width, height=tall))
        parts.append(element("g", element("title", day.meaning), *shown))
        if number % every == 0:
            parts.append(element("text", day.label, x=left + room / 2, y=_HEIGHT - 6, text_anchor="middle"))
    return element(
        "svg", element("title", title), *parts, viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}", role="img", class_="bars"
    )


def line(values: Sequence[float], meaning: str) -> Html | None:
    """A small line from the first value to the last; None for fewer than two."""
    if len(values) < 2:
        return None
    width, height = _LINE
    least, most = min(values), max(values)
    spread = most - least
    points = [
        (
            3 + at * (width - 6) / (len(values) - 1),
            height / 2 if spread <= 0.001 * most else 4 + (most - value) / spread * (height - 8),
        )
        for at, value in enumerate(values)
    ]
    path = "M" + "L".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return element(
        "svg",
        element("title", meaning),
        element("path", class_="line", d=path),
        element("circle", class_="end", cx=x, cy=y, r=2.5),
        viewBox=f"0 0 {width:g} {height:g}",
        width=width,
        height=height,
        role="img",
    )

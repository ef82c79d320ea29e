"""Line charts as SVG: axes, lines, dots, and text, without a plotting library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

COLOURS = ("#1f6feb", "#d1622b", "#3a8f4d", "#8250df", "#6e7781")
LEFT, TOP, RIGHT, BOTTOM = 56, 30, 16, 44
Point = tuple[float, float]


@dataclass(slots=True)
class Chart:
    """A plot area with its axes. All coordinates are in units of the data."""

    title: str
    across: tuple[str, float, float]
    """The x axis: title, least value, greatest value."""
    up: tuple[str, float, float]
    """The y axis, in the same way."""
    log: bool = False
    """Whether the y axis is logarithmic."""
    width: int = 640
    height: int = 300
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Iterable[Point], colour: str, *, dashed: bool = False) -> None:
        """Draw a line through all points."""
        path = " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)
        dash = ' stroke-dasharray="5 4"' if dashed else ""
        self._parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.8"{dash}/>')

    def dots(self, points: Iterable[Point], colour: str, radius: float = 4) -> None:
        """Draw a dot at each point."""
        self._parts += [f'<circle cx="{self._x(x):.1f}" cy="{self._y(y):.1f}" r="{radius:g}" fill="{colour}"/>' for x, y in points]

    def text(self, x: float, y: float, words: str, colour: str = "#24292f", anchor: str = "start") -> None:
        """Write text at a point."""
        self._parts.append(f'<text x="{self._x(x):.1f}" y="{self._y(y):.1f}" fill="{colour}" text-anchor="{anchor}">{escape(words)}</text>')

    def ticks(self, across: Sequence[float | tuple[float, str]], up: Sequence[float]) -> None:
        """Label both axes, with a faint line across the plot for each label of the y axis."""
        bottom = self.height - BOTTOM
        for tick in across:
            x, text = tick if isinstance(tick, tuple) else (tick, f"{tick:g}")
            self._parts.append(f'<text x="{self._x(x):.1f}" y="{bottom + 16}" text-anchor="middle" fill="#57606a">{escape(text)}</text>')
        for y in up:
            at = self._y(y)
            self._parts.append(f'<line x1="{LEFT}" x2="{self.width - RIGHT}" y1="{at:.1f}" y2="{at:.1f}" stroke="#d8dee4"/>')
            self._parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end" fill="#57606a">{y:g}</text>')

    def svg(self) -> str:
        """The whole document."""
        (across, _, _), (up, _, _), bottom = self.across, self.up, self.height - BOTTOM
        middle, half = (LEFT + self.width - RIGHT) / 2, (TOP + bottom) / 2
        frame = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}" font-family="sans-serif" font-size="12">',
            f'<rect width="{self.width}" height="{self.height}" fill="#ffffff"/>',
            f'<text x="{LEFT}" y="18" font-weight="bold" fill="#24292f">{escape(self.title)}</text>',
            f'<line x1="{LEFT}" x2="{self.width - RIGHT}" y1="{bottom}" y2="{bottom}" stroke="#57606a"/>',
            f'<text x="{middle}" y="{self.height - 8}" text-anchor="middle" fill="#57606a">{escape(across)}</text>',
            f'<text transform="translate(14 {half}) rotate(-90)" text-anchor="middle" fill="#57606a">{escape(up)}</text>',
        ]
        return "\n".join([*frame, *self._parts, "</svg>\n"])

    def _x(self, x: float) -> float:
        _, low, high = self.across
        return LEFT + (x - low) / (high - low) * (self.width - LEFT - RIGHT)

    def _y(self, y: float) -> float:
        _, low, high = self.up
        share = math.log(y / low) / math.log(high / low) if self.log else (y - low) / (high - low)
        return self.height - BOTTOM - share * (self.height - BOTTOM - TOP)

"""Curves as SVG, in the same bytes for the same figures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 720, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 28, 44, 52

#: They read on white and on black, and nothing is drawn behind them.
_COLOURS = ("#2f81f7", "#a5772a", "#3fa34d", "#a371f7", "#e5534b", "#1b9aaa")
_GREY = "#7d8590"


@dataclass(frozen=True)
class Axis:
    """A scale of numbers, along which a drawing has so many pixels."""

    words: str
    least: float
    most: float
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1."""
        if not self.logarithmic:
            return (value - self.least) / (self.most - self.least)
        return math.log(max(value, self.least) / self.least) / math.log(self.most / self.least)

    def marks(self) -> list[float]:
        if self.logarithmic:
            first, last = (round(math.log10(end)) for end in (self.least, self.most))
            return [10.0**power for power in range(first, last + 1)]
        step = 10 ** math.floor(math.log10((self.most - self.least) / 2))
        while (self.most - self.least) / step > 8:
            step *= 2.5 if str(step).startswith("2") else 2
        number = int((self.most - self.least) / step + 1e-9)
        return [self.least + step * mark for mark in range(number + 1)]


def curves(
    title: str, x: Axis, y: Axis, lines: Mapping[str, Points], dots: Mapping[str, Points]
) -> str:
    """A drawing; what is in `dots` has the colour of the line of that name."""
    colours = dict(zip(lines, _COLOURS, strict=False))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
        f'font-family="sans-serif" font-size="12">',
        _text(_WIDTH / 2, 18, title, "middle", size=14),
        _text((_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, x.words, "middle"),
        _text(_LEFT, 36, y.words, "start"),
    ]
    for value in y.marks():
        height = _y(y, value)
        parts.append(_rule(_LEFT, height, _WIDTH - _RIGHT, height))
        parts.append(_text(_LEFT - 6, height + 4, _number(value), "end"))
    for value in x.marks():
        place = _x(x, value)
        parts.append(_rule(place, _TOP, place, _HEIGHT - _BOTTOM))
        parts.append(_text(place, _HEIGHT - _BOTTOM + 16, _number(value), "middle"))

    def inside(points: Points) -> Points:
        return [(a, b) for a, b in points if x.least <= a <= x.most and y.least <= b <= y.most]

    for name, points in lines.items():
        path = " ".join(f"{_x(x, a):.1f},{_y(y, b):.1f}" for a, b in inside(points))
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colours[name]}" stroke-width="2"/>'
        )
        for a, b in inside(dots.get(name, ())):
            parts.append(
                f'<circle cx="{_x(x, a):.1f}" cy="{_y(y, b):.1f}" r="4" fill="{colours[name]}"/>'
            )
    for row, name in enumerate(lines):
        height = _TOP + 18 + 18 * row
        parts.append(
            f'<rect x="{_LEFT + 12}" y="{height - 9}" width="12" height="10" '
            f'fill="{colours[name]}"/>'
        )
        parts.append(_text(_LEFT + 30, height, name, "start"))
    return "\n".join([*parts, "</svg>", ""])


def _x(axis: Axis, value: float) -> float:
    return _LEFT + axis.share(value) * (_WIDTH - _LEFT - _RIGHT)


def _y(axis: Axis, value: float) -> float:
    return _HEIGHT - _BOTTOM - axis.share(value) * (_HEIGHT - _TOP - _BOTTOM)


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
        f'stroke="{_GREY}" stroke-opacity="0.3"/>'
    )


def _text(x: float, y: float, words: str, anchor: str, *, size: int = 12) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'fill="{_GREY}">{escape(words)}</text>'
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1 or value == 0 else f"{value:g}"

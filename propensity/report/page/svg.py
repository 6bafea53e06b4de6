"""Charts as SVG without scripts or style attributes; words around a plot are HTML, so that they keep their size at every width.

A plot has two layers: lines in a square of 1,000 by 1,000 units that is stretched to the plot's place (strokes keep their width), and
dots and labels at percentages of it, which are not stretched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

SIDE = 1000.0
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """Ticks from the lowest to the highest value, and how they are written."""

    ticks: Sequence[float]
    labels: Sequence[str]

    @property
    def low(self) -> float:
        return self.ticks[0]

    @property
    def high(self) -> float:
        return self.ticks[-1]

    def part(self, value: float) -> float:
        """Where a value lies: 0 at the low end, 1 at the high one."""
        return (value - self.low) / (self.high - self.low)


@dataclass(frozen=True)
class Line:
    """A line; ``style`` is its class: ``expected``, ``real``, ``chance``."""

    name: str
    style: str
    points: Points


@dataclass(frozen=True)
class Dot:
    """A dot with a label beside it, and a span of values where one is given."""

    x: float
    y: float
    style: str
    label: str = ""
    span: tuple[float, float] | None = None


@dataclass(frozen=True)
class Chart:
    """A chart as a template needs it."""

    plot: Markup
    heights: Sequence[str]
    widths: Sequence[str]
    across: str
    legend: Sequence[tuple[str, str]]


def chart(
    x: Axis, y: Axis, lines: Sequence[Line], dots: Sequence[Dot] = (), *, across: str, legend: Sequence[tuple[str, str]] = ()
) -> Chart:
    """Draw. ``legend`` names what is no line, as (style, name)."""
    parts = [_grid(x, y)]
    drawn = Markup("").join(_line(line, x, y) for line in lines)
    parts.append(Markup('<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" width="100%" height="100%">{}</svg>').format(drawn))
    parts += [_dot(dot, x, y) for dot in dots]
    named = [(line.style, line.name) for line in lines if line.name]
    return Chart(Markup("").join(parts), tuple(reversed(y.labels)), tuple(x.labels), across, (*named, *legend))


def _grid(x: Axis, y: Axis) -> Markup:
    rules = [_rule("zero" if tick == 0 and y.low < 0 else "grid", "0", _down(y, tick), "100%", _down(y, tick)) for tick in y.ticks]
    rules += [_rule("grid", _along(x, tick), "0", _along(x, tick), "100%") for tick in (x.low,)]
    return Markup("").join(rules)


def _rule(style: str, x1: str, y1: str, x2: str, y2: str) -> Markup:
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(style, x1, y1, x2, y2)


def _along(axis: Axis, value: float) -> str:
    return f"{100 * axis.part(value):.2f}%"


def _down(axis: Axis, value: float) -> str:
    return f"{100 * (1 - axis.part(value)):.2f}%"


def _line(line: Line, x: Axis, y: Axis) -> Markup:
    places = [f"{SIDE * x.part(at):.1f} {SIDE * (1 - y.part(value)):.1f}" for at, value in line.points]
    return Markup('<path class="line {}" d="M{}"/>').format(line.style, "L".join(places)) if places else Markup("")


def _dot(dot: Dot, x: Axis, y: Axis) -> Markup:
    left, down = _along(x, dot.x), _down(y, dot.y)
    parts = []
    if dot.span is not None:
        parts.append(_rule(f"span {dot.style}", left, _down(y, dot.span[0]), left, _down(y, dot.span[1])))
    parts.append(Markup('<circle class="dot {}" cx="{}" cy="{}" r="5"/>').format(dot.style, left, down))
    if dot.label:
        # To the right of the dot, or to its left where it lies in the right half.
        right = x.part(dot.x) < 0.5
        parts.append(
            Markup('<text class="label" x="{}" y="{}" dx="{}" dy="{}" text-anchor="{}">{}</text>').format(
                left, down, 11 if right else -11, -9, "start" if right else "end", escape(dot.label)
            )
        )
    return Markup("").join(parts)


def bar(share: float, style: str = "expected", *, mark: float | None = None) -> Markup:
    """A bar that fills so much of its place, 0 to 1, and a stroke at ``mark``."""
    filled = Markup('<rect class="fill {}" width="{}" height="100%"/>').format(style, f"{100 * min(1.0, max(0.0, share)):.1f}%")
    if mark is not None:
        at = f"{100 * min(1.0, max(0.0, mark)):.1f}%"
        filled += Markup('<line class="mark" x1="{0}" x2="{0}" y1="0" y2="100%"/>').format(at)
    return Markup('<svg class="bar" aria-hidden="true">{}</svg>').format(filled)


def leaning(value: float, most: float) -> Markup:
    """A bar to the right of the middle where ``value`` is above 0, to the left where it is below; ``most`` fills a half."""
    width = 50 * min(1.0, abs(value) / most) if most else 0.0
    left = 50 - width if value < 0 else 50.0
    style = "up" if value > 0 else "down"
    return Markup(
        '<svg class="bar leaning" aria-hidden="true"><rect class="fill {}" x="{}" width="{}" height="100%"/>'
        '<line class="middle" x1="50%" x2="50%" y1="0" y2="100%"/></svg>'
    ).format(style, f"{left:.1f}%", f"{width:.1f}%")


def swatch(style: str) -> Markup:
    """A piece of a line, or a dot, for a legend."""
    if style.startswith("dot "):
        return Markup(
            '<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true"><circle class="{}" cx="13" cy="5" r="4.5"/></svg>'
        ).format(style)
    return Markup('<svg class="swatch" viewBox="0 0 26 10" aria-hidden="true"><path class="line {}" d="M1 5H25"/></svg>').format(style)

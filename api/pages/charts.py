"""Charts as SVG without text and without scripts: axes and legends are HTML around it, so that everything fits every width.

A plot is drawn in a square of 1,000 by 1,000 units that the page stretches; strokes keep their width. Each series has a class for its
colour and dashes, ``s0`` to ``s5``, that legends share. Whoever hovers sees the values of a moment (``<title>``); whoever does not has
the table behind the chart.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from markupsafe import Markup, escape

from api.pages.words import moment, told
from propensity.panels.definition import Bounds, Unit

SIDE = 1000.0
STYLES = 6
TICKS = 4
_STEPS = (1.0, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
Values = Mapping[float, float]


@dataclass(frozen=True)
class Series:
    """One line, or one part of each bar: values by seconds since 1970, ascending; ``style`` is its class."""

    name: str
    values: Values
    style: str


@dataclass(frozen=True)
class Chart:
    """A plot and the words around it. ``high`` and ``low`` labels run from top to bottom, ``times`` from left to right."""

    plot: Markup
    heights: tuple[str, ...]
    times: tuple[str, ...]
    series: tuple[Series, ...]
    bounds: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class _Frame:
    """Which values and times the square stands for."""

    low: float
    high: float
    since: float
    until: float

    def x(self, seconds: float) -> float:
        return SIDE * (seconds - self.since) / (self.until - self.since)

    def y(self, value: float) -> float:
        return SIDE * (1 - (value - self.low) / (self.high - self.low))


def series_of(rows: Sequence[tuple[float, str, float]]) -> tuple[Series, ...]:
    """Rows ``time, metric, value`` by metric, sorted, so that a campaign has one colour everywhere; values that are no numbers are
    left out.
    """
    found: dict[str, dict[float, float]] = {}
    for seconds, metric, value in rows:
        if math.isfinite(value):
            found.setdefault(metric, {})[seconds] = value
    return tuple(Series(name, values, f"s{at % STYLES}") for at, (name, values) in enumerate(sorted(found.items())))


def lines(series: Sequence[Series], unit: Unit, since: float, until: float, bounds: Bounds | None) -> Chart:
    """A line for each series; a lone value is a dot."""
    values = [value for one in series for value in one.values.values()]
    # A bound far above everything would press the lines flat.
    near = [b for b in ((bounds.warn, bounds.alert) if bounds else ()) if b <= 4 * max(values)]
    frame = _frame([*values, *near], since, until, unit, from_zero=unit in (Unit.COUNT, Unit.SHARE, Unit.SECONDS, Unit.BYTES))
    parts = [_grid()]
    for level, bound in (("warn", bounds.warn), ("alert", bounds.alert)) if bounds else ():
        if frame.low <= bound <= frame.high:
            parts.append(_level(frame.y(bound), level))
    parts += [_line(one, frame) for one in series]
    return _chart(parts, series, unit, frame, bounds, 0.0)


def bars(series: Sequence[Series], unit: Unit, since: float, until: float, width_s: float) -> Chart:
    """A bar for each interval of ``width_s`` seconds, its parts on top of each other."""
    times = sorted({seconds for one in series for seconds in one.values})
    # The interval in which the span begins may have begun before it.
    since, until = min([since, *times]), max(until, times[-1] + width_s)
    frame = _frame([sum(one.values.get(at, 0.0) for one in series) for at in times], since, until, unit, from_zero=True)
    parts = [_grid()]
    width = SIDE * width_s / (until - since)
    for at in times:
        upto = 0.0
        for one in series:
            value = one.values.get(at, 0.0)
            if value > 0:
                parts.append(
                    _rect(one.style, frame.x(at) + 0.1 * width, frame.y(upto + value), 0.8 * width, frame.y(upto) - frame.y(upto + value))
                )
                upto += value
    return _chart(parts, series, unit, frame, None, width_s)


def share_bar(share: float, style: str = "s0") -> Markup:
    """A bar that fills so much of its place, 0 to 1."""
    filled = _rect(style, 0, 0, SIDE * min(1.0, max(0.0, share)), SIDE)
    return Markup('<svg class="bar" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(filled)


def swatch(style: str, *, filled: bool) -> Markup:
    """A piece of a series, for a legend."""
    if filled:
        square = '<svg class="swatch square" viewBox="0 0 10 10" aria-hidden="true"><rect class="fill {}" width="10" height="10"/></svg>'
        return Markup(square).format(style)  # noqa: S704 - a constant
    return Markup('<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true"><path class="line {}" d="M1 5H27"/></svg>').format(style)


def _chart(parts: Sequence[Markup], series: Sequence[Series], unit: Unit, frame: _Frame, bounds: Bounds | None, width_s: float) -> Chart:
    plot = Markup("").join([*parts, *_moments(series, unit, frame, width_s)])
    steps = [frame.high - at * (frame.high - frame.low) / TICKS for at in range(TICKS + 1)]
    span = frame.until - frame.since
    times = tuple(moment(_time(frame.since + at * span / 3), span) for at in range(4))
    return Chart(plot, tuple(told(step, unit) for step in steps), times, tuple(series), _named(bounds, unit))


def _named(bounds: Bounds | None, unit: Unit) -> tuple[tuple[str, str], ...]:
    if bounds is None:
        return ()
    bad = ("alert", f"bad {_beyond(bounds.alert, bounds, unit)}")
    return (bad,) if bounds.warn == bounds.alert else (("warn", f"worth a look {_beyond(bounds.warn, bounds, unit)}"), bad)


def _beyond(bound: float, bounds: Bounds, unit: Unit) -> str:
    return f"{'below' if bounds.low_is_bad else 'from'} {told(bound, unit)}"


def _frame(values: Sequence[float], since: float, until: float, unit: Unit, *, from_zero: bool) -> _Frame:
    low, high = min(values), max(values)
    if from_zero:
        low, high = min(0.0, low), max(0.0, high)
    if high == low:
        low, high = (low, low + 1) if low == 0 else (low - 0.5 * abs(low), high + 0.5 * abs(high))
    # Four steps of a round size that hold everything. Bytes are round as powers of 1,024, and nothing is counted in parts.
    size = max((high - low) / TICKS, 1.0 if unit is Unit.COUNT else 0.0)
    while True:
        whole = 1024.0 ** max(0, math.floor(math.log(size, 1024))) if unit is Unit.BYTES else 1.0
        ten = whole * 10 ** math.floor(math.log10(size / whole))
        steps = (step * ten for step in (*_STEPS, 20.0) if unit is not Unit.COUNT or (step * ten).is_integer())
        step = next(step for step in steps if step >= size * (1 - 1e-9))
        bottom = step * math.floor(low / step + 1e-9)
        if bottom + TICKS * step >= high - 1e-9 * step:
            return _Frame(bottom, bottom + TICKS * step, since, until)
        size = step * 1.01


def _grid() -> Markup:
    rules = " ".join(f"M0 {SIDE * at / TICKS:g}H{SIDE:g}" for at in range(TICKS + 1))
    return Markup('<path class="grid" d="{}"/>').format(rules)


def _level(y: float, level: str) -> Markup:
    return Markup('<path class="bound {}" d="M0 {}H1000"/>').format(level, f"{y:.1f}")


def _line(series: Series, frame: _Frame) -> Markup:
    points = [f"{frame.x(at):.1f} {frame.y(value):.1f}" for at, value in sorted(series.values.items())]
    if len(points) == 1:
        # A stroke of no length with round ends: a dot, however the square is stretched.
        return Markup('<path class="dot {}" d="M{}h0"/>').format(series.style, points[0])
    return Markup('<path class="line {}" d="M{}"/>').format(series.style, "L".join(points))


def _rect(style: str, x: float, y: float, width: float, height: float) -> Markup:
    place = f'x="{x:.1f}" y="{y:.1f}" width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return Markup('<rect class="fill {}" {}/>').format(style, Markup(place))  # noqa: S704 - numbers


def _moments(series: Sequence[Series], unit: Unit, frame: _Frame, width_s: float) -> list[Markup]:
    """A place to hover for each moment, with what the series were then."""
    times = sorted({seconds for one in series for seconds in one.values})
    found = []
    for number, at in enumerate(times):
        before = times[number - 1] if number else at - (frame.until - frame.since) / 40
        after = times[number + 1] if number + 1 < len(times) else at + (frame.until - frame.since) / 40
        left, right = (at, at + width_s) if width_s else ((before + at) / 2, (at + after) / 2)
        values = "; ".join(f"{one.name} {told(one.values[at], unit)}" for one in series if at in one.values)
        place = _rect("hover", frame.x(left), 0, frame.x(right) - frame.x(left), SIDE)
        title = f"{moment(_time(at), 0)}: {values}"
        found.append(Markup("<g>{}<title>{}</title></g>").format(place, escape(title)))
    return found


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)

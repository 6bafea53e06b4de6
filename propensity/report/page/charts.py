"""The charts of a report, each from its figures."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from propensity.report.page import told
from propensity.report.page.svg import Axis, Chart, Dot, Line, chart
from propensity.report.tree import Curves, Point, Report

EXPECTED, REAL, CHANCE = "expected", "real", "chance"
_SHARES = Axis((0.0, 0.25, 0.5, 0.75, 1.0), ("0 %", "25 %", "50 %", "75 %", "100 %"))
_ACROSS = "share of customers contacted, best first"
# The lift of a handful of customers is chance.
_LEAST_SHARE = 0.02
_LEAST_CUSTOMERS = 30


def gains(curves: Curves) -> Chart:
    """Share of conversions by share of customers."""
    lines = [Line("chosen by chance", CHANCE, ((0.0, 0.0), (1.0, 1.0))), *_both(curves, lambda p: (p.share, p.captured))]
    return chart(_SHARES, _SHARES, lines, across=_ACROSS)


def lift(curves: Curves) -> Chart:
    """How many times as many conversions as by chance, by share of customers."""
    lines = _both(curves, lambda p: (p.share, p.lift), many=True)
    top = max([1.0, *(value for line in lines for _, value in line.points)])
    ticks = told.ticks(0.0, top * 1.02)
    y = Axis(ticks, [f"{tick:g}×" for tick in ticks])
    return chart(_SHARES, y, [Line("chosen by chance", CHANCE, ((0.0, 1.0), (1.0, 1.0))), *lines], across=_ACROSS)


def _both(curves: Curves, place: Callable[[Point], tuple[float, float]], *, many: bool = False) -> list[Line]:
    lines = [Line("expected from the scores", EXPECTED, [place(p) for p in curves.expected if not many or _is_many(p)])]
    if curves.real:
        lines.append(Line("what happened", REAL, [place(p) for p in curves.real if not many or _is_many(p)]))
    return lines


def _is_many(point: Point) -> bool:
    return point.share >= _LEAST_SHARE and point.customers >= _LEAST_CUSTOMERS


def profit(report: Report) -> Chart | None:
    """Expected profit by number of contacts, with what was chosen; where it is known of all, also what that would have brought."""
    curves = report.curves
    if curves is None or curves.best is None:
        return None
    lines = [Line("expected", EXPECTED, [(p.customers, float(p.profit)) for p in curves.expected])]
    if curves.real and report.known.known == report.decided.predictions:
        lines.append(Line("what it would have brought", REAL, [(p.customers, float(p.profit)) for p in curves.real]))
    chosen = (report.decided.contacts, float(report.decided.expected_profit))
    dots = [Dot(*chosen, "chosen", f"chosen: {told.count(chosen[0])}")]
    return _money(lines, dots, (("dot chosen", "what the policy chose"),))


def known_profit(report: Report) -> Chart | None:
    """The same two over the customers whose outcome is known; None where that is nobody, or everybody."""
    curves = report.curves
    if curves is None or not curves.real or report.known.known == report.decided.predictions:
        return None
    lines = [
        Line("expected of them", EXPECTED, [(p.customers, float(p.profit)) for p in curves.claimed]),
        Line("what they would have brought", REAL, [(p.customers, float(p.profit)) for p in curves.real]),
    ]
    return _money(lines, (), ())


def _money(lines: Sequence[Line], dots: Sequence[Dot], legend: Sequence[tuple[str, str]]) -> Chart:
    values = [value for line in lines for _, value in line.points] + [dot.y for dot in dots]
    top, low = max(0.0, *values), min(0.0, *values)
    # What everybody would cost is far below what the best bring, and would press the curve flat.
    if top > 0:
        low = max(low, min([-0.75 * top, *(dot.y for dot in dots)]))
    ticks = told.ticks(low, top * 1.08 or 1.0)
    y = Axis(ticks, [told.money(tick) for tick in ticks])
    # The chart ends soon after its last line has left it.
    last = max(at for line in lines for at, value in line.points if value >= ticks[0])
    most = min(max(at for line in lines for at, _ in line.points), max([1.25 * last, *(1.25 * dot.x for dot in dots), 1.0]))
    across = told.ticks(0, most, 4)
    return chart(
        Axis(across, [told.count(tick) for tick in across]), y, lines, dots, across="customers contacted, best first", legend=legend
    )


def reliability(report: Report) -> Chart | None:
    """Observed rate by expected rate, with intervals."""
    found = report.reliability
    if found is None:
        return None
    top = max(max(group.mean_score, group.high) for group in found.groups)
    ticks = told.ticks(0.0, min(1.0, top))
    digits = 0 if math.isclose(100 * ticks[1], round(100 * ticks[1])) else 1 if ticks[1] >= 0.001 else 2
    axis = Axis(ticks, [told.share(tick, digits) for tick in ticks])
    dots = [Dot(group.mean_score, group.rate, REAL, span=(group.low, group.high)) for group in found.groups]
    diagonal = Line("as expected", CHANCE, ((axis.low, axis.low), (axis.high, axis.high)))
    return chart(
        axis,
        axis,
        [diagonal],
        dots,
        across="share expected by the score",
        legend=((f"dot {REAL}", "what happened, with its 95 % interval"),),
    )

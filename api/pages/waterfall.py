"""From the average customer to this one, a column at a time: what each added to the log-odds, and the probability reached so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from api.pages import texts

STEPS = 10
SIDE = 1000.0


@dataclass(frozen=True)
class Step:
    """A line: ``bar`` is where it leads from and to."""

    name: str
    value: str
    effect: float
    probability: float
    direction: str
    bar: Markup


def waterfall(base: float, contributions: Sequence[Mapping[str, Any]]) -> list[Step]:
    """The steps, strongest first, small ones together; the first is the average customer and the last this one."""
    shown = [(c["feature"], _value(c["value"]), float(c["effect"])) for c in contributions]
    told, rest = shown[:STEPS], shown[STEPS:]
    if len(rest) == 1:
        told, rest = shown, []
    if rest:
        told.append((texts.why.rest.format(n=len(rest)), "", math.fsum(effect for _, _, effect in rest)))
    levels = [base]
    for _, _, effect in told:
        levels.append(levels[-1] + effect)
    low, high = min(levels), max(levels)
    pad = 0.04 * (high - low or 1.0)
    frame = (low - pad, high + pad)
    steps = [Step(texts.why.base, "", 0.0, _probability(base), "total", _mark(base, frame))]
    for (name, value, effect), start, end in zip(told, levels[:-1], levels[1:], strict=True):
        direction = "raises" if effect > 0 else "lowers" if effect < 0 else "nothing"
        steps.append(Step(name, value, effect, _probability(end), direction, _bar(start, end, direction, frame)))
    return [*steps, Step(texts.why.result, "", 0.0, _probability(levels[-1]), "total", _mark(levels[-1], frame))]


def _value(value: object) -> str:
    return texts.customer.unknown if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def _probability(log_odds: float) -> float:
    return 1 / (1 + math.exp(-log_odds)) if log_odds >= 0 else math.exp(log_odds) / (1 + math.exp(log_odds))


def _x(level: float, frame: tuple[float, float]) -> float:
    return SIDE * (level - frame[0]) / (frame[1] - frame[0])


def _bar(start: float, end: float, direction: str, frame: tuple[float, float]) -> Markup:
    left, right = sorted((_x(start, frame), _x(end, frame)))
    rect = Markup('<rect class="{}" x="{}" y="150" width="{}" height="700"/>').format(
        direction, f"{left:.1f}", f"{max(3.0, right - left):.1f}"
    )
    return _drawn(rect + Markup('<path class="link" d="M{0} 0V1000"/>').format(f"{_x(end, frame):.1f}"))


def _mark(level: float, frame: tuple[float, float]) -> Markup:
    return _drawn(Markup('<path class="level" d="M{} 0V1000"/>').format(f"{_x(level, frame):.1f}"))


def _drawn(inside: Markup) -> Markup:
    return Markup('<svg class="fall" viewBox="0 0 1000 1000" preserveAspectRatio="none" aria-hidden="true">{}</svg>').format(inside)

"""Whether probabilities are right: what was predicted beside what happened, in groups of like score."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

GROUPS = 10
# Two-sided 95 %.
Z = 1.959963984540054
SIDE = 1000.0


@dataclass(frozen=True)
class Group:
    """Predictions of like score: how many, their mean, and the share that converted with its interval (Wilson, 1927)."""

    n: int
    predicted: float
    happened: float
    low: float
    high: float


def groups_of(scores: Sequence[float], labels: Sequence[bool]) -> list[Group]:
    """Groups of equal size by score, at most ten; equal scores may stand in two."""
    order = sorted(range(len(scores)), key=scores.__getitem__)
    many = min(GROUPS, max(1, len(order) // 20))
    found = []
    for at in range(many):
        part = order[len(order) * at // many : len(order) * (at + 1) // many]
        if part:
            found.append(_group([scores[i] for i in part], [labels[i] for i in part]))
    return found


def _group(scores: Sequence[float], labels: Sequence[bool]) -> Group:
    n, positive = len(scores), sum(labels)
    low, high = wilson(positive, n)
    return Group(n, math.fsum(scores) / n, positive / n, low, high)


def wilson(positive: int, n: int) -> tuple[float, float]:
    """The 95 % interval of a share. Source: Wilson, "Probable inference, the law of succession, and statistical inference", 1927."""
    share, z2 = positive / n, Z * Z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def gap(groups: Sequence[Group]) -> float:
    """Mean distance between what was predicted and what happened, weighted by customers; 0 is best."""
    return math.fsum(g.n * abs(g.predicted - g.happened) for g in groups) / sum(g.n for g in groups)


def curve(groups: Sequence[Group]) -> tuple[Markup, float]:
    """The inside of a square plot, and the probability at its upper and right edge."""
    top = max(max(g.high, g.predicted) for g in groups)
    edge = next(step for step in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0) if step >= top - 1e-9)

    def x(value: float) -> str:
        return f"{SIDE * value / edge:.1f}"

    def y(value: float) -> str:
        return f"{SIDE * (1 - value / edge):.1f}"

    rules = " ".join(f"M0 {at}H1000" for at in (0, 250, 500, 750, 1000))
    parts = [Markup('<path class="grid" d="{}"/><path class="ideal" d="M0 1000L1000 0"/>').format(rules)]
    parts += [Markup('<path class="interval" d="M{} {}V{}"/>').format(x(g.predicted), y(g.low), y(g.high)) for g in groups]
    parts.append(Markup('<path class="line s0" d="M{}"/>').format("L".join(f"{x(g.predicted)} {y(g.happened)}" for g in groups)))
    parts += [Markup('<path class="dot s0" d="M{} {}h0"/>').format(x(g.predicted), y(g.happened)) for g in groups]
    return Markup("").join(parts), edge

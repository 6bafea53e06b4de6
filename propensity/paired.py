"""Two models on the same rows: differences with intervals. A gain above zero speaks for the second model, the challenger.

Rows are taken as independent of each other; a customer scored twice counts twice. Two intervals come with every figure. ``low`` and
``high`` hold for one look at data fixed beforehand; ``always_low`` and ``always_high`` hold at every look of a comparison that is
looked at day after day while it grows, and verdicts go by them: whoever looks at the first kind daily for half a year
would in the end find a difference between a model and itself in far more than one case of twenty.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
DELONG = "paired test of DeLong, DeLong and Clarke-Pearson, Biometrics 44, 1988; computed as Sun and Xu, IEEE SPL 21, 2014"
PAIRED_T = "paired t on per-row differences, large samples; strata of labelled rows weighted by their predictions"
_MOST_ROWS = 10**12


@dataclass(frozen=True)
class Gain:
    """How much better the challenger is. ``rows_needed``: labelled rows at which the interval could tell, with this spread."""

    champion: float
    challenger: float
    gain: float
    standard_error: float
    p_value: float
    low: float
    high: float
    always_low: float
    always_high: float
    rows: int
    rows_needed: int | None
    method: str

    def as_json(self) -> dict[str, Any]:
        """Finite numbers, or None."""
        return {name: (None if isinstance(v, float) and not math.isfinite(v) else v) for name, v in asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Precision:
    """What an interval is asked for: its confidence, the smallest difference that counts, the rows at which looking begins."""

    confidence: float
    smallest: float
    min_rows: int


def gain_of(
    champion: float, challenger: float, gain: float, error: float, rows: int, precision: Precision, method: str, *, scale: float = 1.0
) -> Gain:
    """Put a figure together. ``scale`` turns ``smallest`` (of the judged figure) off (infinity) or into this figure's unit."""
    alpha = 1 - precision.confidence
    z = NormalDist().inv_cdf(1 - alpha / 2)
    wide = always_radius(rows, alpha, 4 * precision.min_rows) * error * math.sqrt(rows) if rows else float("inf")
    p = 2 * (1 - NormalDist().cdf(abs(gain) / error)) if error > 0 else (1.0 if gain == 0 else 0.0)
    needed = rows_needed(error * math.sqrt(rows), max(abs(gain), precision.smallest * scale), alpha, precision.min_rows)
    return Gain(champion, challenger, gain, error, p, gain - z * error, gain + z * error, gain - wide, gain + wide, rows, needed, method)


def always_radius(n: int, alpha: float, best_at: int) -> float:
    """Half the width of the interval that holds at every n at once, for a standard deviation of one; narrowest about ``best_at``.

    Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences", Annals of
    Statistics 52, 2024, theorem 2.2.
    """
    rho2 = (-2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)) / best_at
    grown = n * rho2 + 1
    return math.sqrt(2 * grown / (n * n * rho2) * math.log(math.sqrt(grown) / alpha))


def rows_needed(deviation: float, difference: float, alpha: float, min_rows: int) -> int | None:
    """Rows at which the interval is as narrow as the difference; None where no number of them would do."""
    if not (math.isfinite(deviation) and difference > 0):
        return None

    def enough(n: int) -> bool:
        return deviation * always_radius(n, alpha, 4 * min_rows) <= difference

    high = min_rows
    while not enough(high):
        high *= 2
        if high > _MOST_ROWS:
            return None
    low = max(min_rows, high // 2)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle + 1, high)
    return high


def mean_gain(
    champion: FloatArray,
    challenger: FloatArray,
    stratum: npt.NDArray[np.int64],
    predicted: tuple[int, ...],
    precision: Precision,
    **more: Any,
) -> Gain:
    """Difference of two means over rows that were sampled by stratum, challenger minus champion. Higher must be better.

    Parameters
    ----------
    champion, challenger : float64 arrays, shape (n,)
        One value per labelled row.
    stratum : int array, shape (n,)
        Position in ``predicted``, which holds how many predictions each stratum stands for. Strata without a labelled row are left out.
    """
    means, errors, share = [], 0.0, []
    used = [(at, size) for at, size in enumerate(predicted) if size and np.count_nonzero(stratum == at)]
    whole = sum(size for _, size in used)
    for at, size in used:
        mine = stratum == at
        difference = challenger[mine] - champion[mine]
        n = len(difference)
        means.append((champion[mine].mean(), challenger[mine].mean()))
        share.append(size / whole)
        errors += share[-1] ** 2 * (float(difference.var(ddof=1)) / n if n > 1 else float("inf"))
    if not used:
        nothing = float("nan")
        return gain_of(nothing, nothing, nothing, float("inf"), 0, precision, PAIRED_T, **more)
    of_champion, of_challenger = (float(np.dot(share, column)) for column in zip(*means, strict=True))
    return gain_of(of_champion, of_challenger, of_challenger - of_champion, math.sqrt(errors), len(stratum), precision, PAIRED_T, **more)


def auc_gain(champion: FloatArray, challenger: FloatArray, positive: Labels, precision: Precision, **more: Any) -> Gain:
    """Difference in ROC-AUC on the same rows, unweighted. NaN where only one class is there."""
    m, n = int(positive.sum()), int((~positive).sum())
    if m < 2 or n < 2:
        nothing = float("nan")
        return gain_of(nothing, nothing, nothing, float("inf"), len(positive), precision, DELONG, **more)
    placements = [_placements(scores, positive) for scores in (champion, challenger)]
    (auc0, v10_0, v01_0), (auc1, v10_1, v01_1) = placements
    variance = float((v10_1 - v10_0).var(ddof=1)) / m + float((v01_1 - v01_0).var(ddof=1)) / n
    return gain_of(auc0, auc1, auc1 - auc0, math.sqrt(variance), m + n, precision, DELONG, **more)


def _placements(scores: FloatArray, positive: Labels) -> tuple[float, FloatArray, FloatArray]:
    """The area, and the share of negatives below each positive and of positives above each negative, ties half."""
    m, n = int(positive.sum()), int((~positive).sum())
    ranks = midranks(scores)
    above = (ranks[positive] - midranks(scores[positive])) / n
    below = 1 - (ranks[~positive] - midranks(scores[~positive])) / m
    return float(above.mean()), above, below


def midranks(values: FloatArray) -> FloatArray:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    middle: FloatArray = last - (counts - 1) / 2.0
    return middle[inverse]

"""What calibrated scores promise before any outcome is known.

Assumption: a score is the probability that it says it is, also among the customers of the window (customers may have changed, their answers
given their features have not). Then among rows with score s a share s answers, and every figure has an expectation: confidence-based
performance estimation, as in NannyML's documentation (2022). What has changed in how customers answer is not seen here: only outcomes
show it. The realised calibration gap of the last mature cohort says how far to trust it.

Scores are held as counts and sums in bins of equal width: expected numbers of answers are exact, those that order rows (ROC-AUC, PR-AUC)
lie within the share of pairs that fall into one bin.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from propensity.campaign import Economics
from propensity.ports import MonitorMetric

FloatArray = npt.NDArray[np.float64]
BINS = 4_096
METHOD = "confidence_based"
# Normal quantile of a two-sided 95 % interval.
_Z = 1.96


@dataclass
class ScoreSums:
    """Scores of any number of rows: rows, sum and sum of squares in each of `BINS` bins of equal width, apart for contacted rows."""

    rows: FloatArray = field(default_factory=lambda: np.zeros((2, BINS)))
    sums: FloatArray = field(default_factory=lambda: np.zeros((2, BINS)))
    squares: FloatArray = field(default_factory=lambda: np.zeros((2, BINS)))

    def add(self, scores: FloatArray, contact: npt.NDArray[np.bool_]) -> None:
        """Add rows: scores in [0, 1], and whether the decision was to contact."""
        at = np.minimum((scores * BINS).astype(np.intp), BINS - 1) + BINS * contact
        self.rows += np.bincount(at, minlength=2 * BINS).reshape(2, BINS)
        self.sums += np.bincount(at, weights=scores, minlength=2 * BINS).reshape(2, BINS)
        self.squares += np.bincount(at, weights=scores**2, minlength=2 * BINS).reshape(2, BINS)


def estimated(sums: ScoreSums, economics: Economics) -> list[MonitorMetric]:
    """Expected figures of the decisions taken, each with the interval that chance alone leaves where the assumption holds.

    ``estimated_positive_rate``, ``_precision``, ``_recall``, ``_profit_per_1000`` (in the campaign's currency), ``_roc_auc``, ``_pr_auc``.
    """
    n = float(sums.rows.sum())
    if not n:
        return []
    value, cost = float(economics.conversion_value), float(economics.contact_cost)
    contacted, answers = float(sums.rows[1].sum()), sums.sums.sum(axis=1)
    # Answers are independent given the scores: the variance of their number is the sum of s (1 - s).
    spread = np.sqrt(np.maximum(0.0, (sums.sums - sums.squares).sum(axis=1)))
    everyone, hit = float(answers.sum()), float(answers[1])
    found = [_metric("positive_rate", everyone / n, _Z * float(np.hypot(*spread)) / n, n)]
    if contacted:
        found.append(_metric("precision", hit / contacted, _Z * float(spread[1]) / contacted, contacted))
    if everyone > 0:
        # Delta method: hit / (hit + missed).
        missed = everyone - hit
        error = float(np.hypot(missed * spread[1], hit * spread[0])) / everyone**2
        found.append(_metric("recall", hit / everyone, _Z * error, n))
    profit = 1000 * (value * hit - cost * contacted) / n
    found.append(_metric("profit_per_1000", profit, _Z * 1000 * value * float(spread[1]) / n, n, bounded=False))
    rows, positive = sums.rows.sum(axis=0), sums.sums.sum(axis=0)
    if 0 < everyone < n:
        found += _ordering(rows, positive)
    return found


def _ordering(rows: FloatArray, positive: FloatArray) -> list[MonitorMetric]:
    """Expected ROC-AUC and PR-AUC from rows and expected answers per bin, the lowest scores first."""
    negative = rows - positive
    n, p, q = float(rows.sum()), float(positive.sum()), float(negative.sum())
    within = float((positive * negative).sum()) / (p * q)
    below = np.cumsum(negative) - negative
    roc_auc = float((positive * below).sum()) / (p * q) + within / 2
    # Hanley and McNeil, "The meaning and use of the area under a ROC curve", Radiology 143, 1982.
    one, two = roc_auc / (2 - roc_auc), 2 * roc_auc**2 / (1 + roc_auc)
    spread = (roc_auc * (1 - roc_auc) + (p - 1) * (one - roc_auc**2) + (q - 1) * (two - roc_auc**2)) / (p * q)
    caught, seen = np.cumsum(positive[::-1]), np.cumsum(rows[::-1])
    precision = np.divide(caught, seen, out=np.zeros_like(caught), where=seen > 0)
    pr_auc = float((positive[::-1] * precision).sum()) / p
    return [
        _metric("roc_auc", roc_auc, _Z * float(np.sqrt(max(0.0, spread))) + within / 2, n),
        _metric("pr_auc", pr_auc, float("nan"), n),
    ]


def _metric(name: str, value: float, half: float, rows: float, *, bounded: bool = True) -> MonitorMetric:
    low, high = (value - half, value + half) if np.isfinite(half) else (None, None)
    if bounded and low is not None and high is not None:
        low, high = max(0.0, low), min(1.0, high)
    return MonitorMetric(None, f"estimated_{name}", METHOD, value, None, None, "stable", low, high, rows)

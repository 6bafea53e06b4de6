"""How good scores are. Every function takes scores in [0, 1] of shape (n,) and the boolean labels of the same rows."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from propensity.campaign import Economics

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]


def evaluate(scores: FloatArray, positive: Labels, economics: Economics) -> dict[str, float]:
    """All figures of one evaluation, by name.

    Higher is better: ``roc_auc``, ``pr_auc``, ``precision``, ``recall``, ``f1``, ``lift_at_10``, ``lift_at_30``, ``capture_at_30``,
    ``profit_per_1000``. Lower is better: ``brier``, ``log_loss``, ``ece``. Those that need a threshold use the break-even score.
    ``roc_auc`` and ``pr_auc`` are NaN where only one class is present.
    """
    from sklearn import metrics as sk

    both = 0 < int(positive.sum()) < len(positive)
    contact = scores >= economics.break_even
    tn, fp, fn, tp = (int(v) for v in sk.confusion_matrix(positive, contact, labels=[False, True]).ravel())
    return {
        "rows": float(len(scores)),
        "positive_rate": float(positive.mean()),
        "roc_auc": float(sk.roc_auc_score(positive, scores)) if both else float("nan"),
        "pr_auc": float(sk.average_precision_score(positive, scores)) if both else float("nan"),
        "brier": float(np.mean((scores - positive) ** 2)),
        "log_loss": float(sk.log_loss(positive, np.clip(scores, 1e-15, 1 - 1e-15), labels=[False, True])),
        "ece": expected_calibration_error(scores, positive),
        "precision": tp / (tp + fp) if tp + fp else 0.0,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
        "true_positives": float(tp),
        "false_positives": float(fp),
        "false_negatives": float(fn),
        "true_negatives": float(tn),
        "lift_at_10": lift(scores, positive, 0.1),
        "lift_at_30": lift(scores, positive, 0.3),
        "capture_at_30": capture(scores, positive, 0.3),
        "profit_per_1000": 1000 * profit(positive, contact, economics) / max(1, len(scores)),
        "profit_per_1000_everyone": 1000 * profit(positive, np.ones_like(contact), economics) / max(1, len(scores)),
    }


def roc_auc(scores: FloatArray, positive: Labels) -> float:
    """Chance that a positive scores higher than a negative, ties counting one half; NaN where only one class is present.

    The same as scikit-learn's at a tenth of the time for few rows. Source: Mann, Whitney, "On a test of whether one of two random
    variables is stochastically larger than the other", 1947.
    """
    hits = int(positive.sum())
    if not 0 < hits < len(positive):
        return float("nan")
    _, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - (counts - 1) / 2)[place]
    return float((rank[positive].sum() - hits * (hits + 1) / 2) / (hits * (len(positive) - hits)))


def expected_calibration_error(scores: FloatArray, positive: Labels, bins: int = 10) -> float:
    """Mean absolute gap between mean score and positive rate, over bins of equal width, weighted by rows. Lower is better.

    Source: Naeini, Cooper, Hauskrecht, "Obtaining well calibrated probabilities using Bayesian binning", 2015, equation 3.
    """
    at = np.minimum((scores * bins).astype(int), bins - 1)
    rows = np.bincount(at, minlength=bins)
    gap = np.abs(np.bincount(at, weights=scores, minlength=bins) - np.bincount(at, weights=positive, minlength=bins))
    return float(gap.sum() / max(1, rows.sum()))


def top_rows(scores: FloatArray, share: float) -> npt.NDArray[np.intp]:
    """Positions of the best ``share`` of the rows, best first; equal scores keep their order."""
    return np.argsort(-scores, kind="stable")[: int(np.floor(share * len(scores) + 1e-9))]


def capture(scores: FloatArray, positive: Labels, share: float) -> float:
    """Share of all positives that the best ``share`` of the rows holds. Higher is better; calling at random gives ``share``."""
    return float(positive[top_rows(scores, share)].sum() / max(1, positive.sum()))


def lift(scores: FloatArray, positive: Labels, share: float) -> float:
    """Positive rate among the best ``share`` of the rows over that of all. Higher is better; calling at random gives 1."""
    picked = top_rows(scores, share)
    base = float(positive.mean())
    return float(positive[picked].mean() / base) if len(picked) and base else 0.0


def profit(positive: Labels, contact: Labels, economics: Economics) -> float:
    """What contacting these rows earned, in the campaign's currency."""
    value, cost = float(economics.conversion_value), float(economics.contact_cost)
    return float((positive & contact).sum() * value - contact.sum() * cost)


def deciles(scores: FloatArray, positive: Labels) -> list[dict[str, float]]:
    """Ten groups of equal size, best first: rows, positives, mean score, positive rate, lift."""
    order, base = np.argsort(-scores, kind="stable"), float(positive.mean()) or 1.0
    return [
        {
            "decile": float(number),
            "rows": float(len(part)),
            "positives": float(positive[part].sum()),
            "mean_score": float(scores[part].mean()),
            "positive_rate": float(positive[part].mean()),
            "lift": float(positive[part].mean() / base),
        }
        for number, part in enumerate(np.array_split(order, 10), start=1)
        if len(part)
    ]

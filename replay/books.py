"""What a walk earned, as numbers: of a whole period, and month by month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Economics
from propensity.contact_days import ContactDay
from propensity.metrics import capture, expected_calibration_error, profit, roc_auc
from replay.walk import Books

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


def months_of(days: Sequence[ContactDay]) -> npt.NDArray[np.datetime64]:
    """The month of every row."""
    return np.concatenate([np.full(len(day), np.datetime64(day.date, "M")) for day in days])


def period(books: Books, days: Sequence[ContactDay], economics: Economics, since: date | None = None) -> dict[str, Any]:
    """The figures of the rows from ``since`` on (None: all). Those of scores are None for a policy that gives none."""
    keep = np.concatenate([np.full(len(day), since is None or day.date >= since) for day in days])
    labels = np.concatenate([day.positive for day in days])[keep]
    scores, contact, months = books.scores[keep], books.contact[keep], months_of(days)[keep]
    return {
        "customers": len(labels),
        "contacts": int(contact.sum()),
        "conversions": int((contact & labels).sum()),
        "profit": round(profit(labels, contact, economics), 2),
        **of_scores(scores, labels, months),
        "retrains": sum(since is None or when >= since for when, _ in books.retrains),
        "retrains_refused": sum(since is None or when >= since for when, _ in books.refused),
    }


def of_scores(scores: FloatArray, labels: BoolArray, months: npt.NDArray[np.datetime64]) -> dict[str, float | None]:
    """What the scores themselves are worth, whoever is contacted."""
    if np.isnan(scores).any():
        # Nobody is preferred to anybody: chance, and no probability that could be calibrated.
        return {"roc_auc": 0.5, "within_month_roc_auc": 0.5, "ece": None, "brier": None, "top_half_capture": 0.5}
    return {
        "roc_auc": _digits(roc_auc(scores, labels)),
        "within_month_roc_auc": _digits(within_month(scores, labels, months)),
        "ece": _digits(expected_calibration_error(scores, labels)),
        "brier": _digits(float(np.mean((scores - labels) ** 2))),
        "top_half_capture": _digits(capture(scores, labels, 0.5)),
    }


def within_month(scores: FloatArray, labels: BoolArray, months: npt.NDArray[np.datetime64]) -> float:
    """Mean ROC-AUC of the months by their rows; months of one outcome alone are left out."""
    found = [(roc_auc(scores[months == m], labels[months == m]), int((months == m).sum())) for m in np.unique(months)]
    usable = [(auc, rows) for auc, rows in found if not np.isnan(auc)]
    return float(np.average([auc for auc, _ in usable], weights=[rows for _, rows in usable])) if usable else float("nan")


def by_month(books: Books, days: Sequence[ContactDay], economics: Economics) -> list[dict[str, Any]]:
    """One entry a month: sales, calls, profit, ROC-AUC, mean score beside the rate that came true."""
    labels, months, found = np.concatenate([day.positive for day in days]), months_of(days), []
    for month in np.unique(months):
        of = months == month
        contact, positive, scores = books.contact[of], labels[of], books.scores[of]
        found.append(
            {
                "month": str(month),
                "customers": int(of.sum()),
                "contacts": int(contact.sum()),
                "conversions": int((contact & positive).sum()),
                "profit": round(profit(positive, contact, economics), 2),
                "roc_auc": None if np.isnan(scores).any() else _digits(roc_auc(scores, positive)),
                "mean_score": None if np.isnan(scores).any() else _digits(float(scores.mean())),
                "rate": _digits(float(positive.mean())),
            }
        )
    return found


def _digits(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)

"""The candidates of a training run side by side: which one is packaged, and the table that shows what the others would have done."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.calibration import fit_calibration
from propensity.campaign import Economics
from propensity.contest import Fitted
from propensity.features import Matrix
from propensity.metrics import evaluate
from propensity.splitting import Months

FloatArray = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]
Figures = dict[str, float]
SPEED_ROWS = 10_000
TRAILING_ROWS = 500
COLUMNS = (
    "roc_auc",
    "pr_auc",
    "best_f1",
    "lift_at_10",
    "lift_at_30",
    "ece",
    "brier",
    "log_loss",
    "calibration_slope",
    "profit_per_1000",
)
"""The figures of each candidate and split, in this order."""
LABEL_DELAY = "none: every outcome of the rows to learn from is known when the test rows begin"


@dataclass(frozen=True)
class Held:
    """Log loss of a candidate on rows of the training part that it had not seen; lower is better.

    Attributes
    ----------
    today : float
        Cross-validated: other customers of the same months.
    tomorrow : float or None
        On the last months, learned from those before them, the offset fitted again: the level is what a daily recalibration follows, and
        the order is what the model is for. None without a calendar.
    """

    today: float
    tomorrow: float | None

    @property
    def criterion(self) -> float:
        """What the winner has least of: the mean of both."""
        return self.today if self.tomorrow is None else (self.today + self.tomorrow) / 2


def winner(fitted: Sequence[Fitted], held: Mapping[str, Held]) -> Fitted:
    """The servable candidate with the smallest criterion; of equals the first declared. Raises ValueError where none can be served."""
    servable = [one for one in fitted if one.booster_json is not None]
    if not servable:
        raise ValueError("no candidate can be served")
    return min(servable, key=lambda one: held[one.candidate].criterion)


def figures(scores: FloatArray, positive: Labels, economics: Economics) -> Figures:
    """`COLUMNS` of these scores, and what `propensity.metrics.evaluate` gives besides."""
    return {
        **evaluate(scores, positive, economics),
        "best_f1": best_f1(scores, positive),
        "calibration_slope": calibration_slope(scores, positive),
    }


def best_f1(scores: FloatArray, positive: Labels) -> float:
    """The largest F1 of any threshold. Higher is better."""
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    hits = np.cumsum(positive[order])[last]
    return float(np.max(2 * hits / (last + 1 + max(1, positive.sum()))))


def calibration_slope(scores: FloatArray, positive: Labels) -> float:
    """The slope of the outcome on the log-odds of the score: 1 is right, below 1 the scores are too extreme (Cox, 1958).

    NaN where only one class is present.
    """
    if not 0 < positive.sum() < len(positive):
        return float("nan")
    clipped = np.clip(scores, 1e-12, 1 - 1e-12)
    return fit_calibration(np.log(clipped / (1 - clipped)), positive).slope


def log_loss_at_best_level(scores: FloatArray, positive: Labels) -> float:
    """Log loss once a constant is added to the log-odds so that the mean score is the rate of positives."""
    clipped = np.clip(scores, 1e-12, 1 - 1e-12)
    log_odds = np.log(clipped / (1 - clipped))
    low, high, rate = -30.0, 30.0, float(positive.mean())
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if float((1 / (1 + np.exp(-log_odds - middle))).mean()) < rate else (low, middle)
    p = np.clip(1 / (1 + np.exp(-log_odds - low)), 1e-12, 1 - 1e-12)
    return float(-np.log(np.where(positive, p, 1 - p)).mean())


def trailing_rate(months: Months, positive: Labels, test: Labels) -> FloatArray:
    """For each test row the rate of positives among the last ``TRAILING_ROWS`` rows of the months before its own, shape (test rows,).

    No model at all: what following the level alone is worth, where outcomes are known at the end of their month.
    """
    scores = np.empty(len(positive))
    for month in np.unique(months[test]):
        before = np.flatnonzero(months < month)[-TRAILING_ROWS:]
        scores[months == month] = positive[before].mean()
    return scores[test]


def microseconds_per_row(fitted: Fitted, matrix: Matrix) -> float:
    """Processor time to score one of `SPEED_ROWS` encoded rows, by one thread, the best of three."""
    rows = np.resize(matrix, (SPEED_ROWS, matrix.shape[1]))
    taken = []
    for _ in range(3):
        began = time.thread_time()
        fitted.calibration.calibration.probability(fitted.margin(rows))
        taken.append(time.thread_time() - began)
    return 1e6 * min(taken) / SPEED_ROWS


def entry(fitted: Fitted, held: Held, won: bool, by_split: Mapping[str, Figures | None], us_per_row: float) -> dict[str, Any]:
    """One line of the table, as JSON. ``by_split``: None where a candidate was not judged on that split."""
    return {
        "candidate": fitted.candidate,
        "won": won,
        "servable": fitted.booster_json is not None,
        "cannot_win": f"not servable: {fitted.not_servable}" if fitted.not_servable else "",
        "criterion": held.criterion,
        "held_out_log_loss": {"today": held.today, "tomorrow": held.tomorrow},
        "calibration": fitted.calibration.name,
        "calibration_log_loss": dict(fitted.calibration.log_loss),
        "fit_s": round(fitted.fit_s, 2),
        "size_bytes": fitted.size_bytes,
        "us_per_row": round(us_per_row, 3),
        "params": dict(fitted.params),
        "rounds": fitted.rounds,
        **{name: None if found is None else finite({key: found[key] for key in COLUMNS}) for name, found in by_split.items()},
    }


def everyone(positive: Labels, economics: Economics) -> dict[str, Any]:
    """The baseline of calling everyone: no order, no probability, a profit."""
    earned = figures(np.ones(len(positive)), positive, economics)["profit_per_1000"]
    known = {"roc_auc": 0.5, "lift_at_10": 1.0, "lift_at_30": 1.0, "profit_per_1000": earned}
    return {"baseline": "call everyone", **{key: known.get(key) for key in COLUMNS}}


def baseline(name: str, found: Figures) -> dict[str, Any]:
    """One line of the baselines, as JSON."""
    return {"baseline": name, **finite({key: found[key] for key in COLUMNS})}


def finite(found: Mapping[str, float]) -> dict[str, float | None]:
    """Numbers for JSON: None where one is not defined."""
    return {name: float(value) if np.isfinite(value) else None for name, value in found.items()}


def as_rows(table: Mapping[str, Any]) -> dict[str, Any]:
    """The table as columns and data, one line per candidate and split, as MLflow shows tables."""
    columns = ["split", "candidate", "won", "servable", "calibration", *COLUMNS, "fit_s", "size_bytes", "us_per_row"]
    data = []
    for split in ("test", "random"):
        for line in table["candidates"]:
            if line[split] is not None:
                flat = {**line, **line[split], "split": table[f"{split}_split"]}
                data.append([flat[name] for name in columns])
        for line in table[f"{split}_baselines"]:
            flat = {**line, "split": table[f"{split}_split"], "candidate": f"baseline: {line['baseline']}"}
            data.append([flat.get(name) for name in columns])
    return {"columns": columns, "data": data}

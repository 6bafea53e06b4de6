"""From a model's margin (log-odds) to a probability that can be multiplied with money."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """Platt scaling of the margin: log-odds = slope * margin + offset.

    It is linear in the margin, so that the contributions of the features still sum to the calibrated log-odds.
    Source: Platt, "Probabilistic outputs for support vector machines", 1999, equation 2.
    """

    slope: float = 1.0
    offset: float = 0.0

    def log_odds(self, margin: npt.NDArray[np.floating]) -> FloatArray:
        """Calibrated log-odds, float64."""
        return self.slope * margin.astype(np.float64) + self.offset

    def probability(self, margin: npt.NDArray[np.floating]) -> FloatArray:
        """Calibrated probability in [0, 1], float64."""
        return 1.0 / (1.0 + np.exp(-self.log_odds(margin)))


def fit_calibration(margin: FloatArray, positive: npt.NDArray[np.bool_]) -> Calibration:
    """Maximum-likelihood scaling on margins of rows that the model had not seen.

    A slope that is not positive would turn the ranking round: it means that the margins carry no signal here, and the identity is returned.
    """
    from sklearn.linear_model import LogisticRegression

    fitted = LogisticRegression(C=1e9).fit(margin.reshape(-1, 1), positive)
    slope, offset = float(fitted.coef_[0, 0]), float(fitted.intercept_[0])
    return Calibration(slope, offset) if slope > 0 else Calibration()

"""Evidently's view of a window: its report as HTML and its numbers, from a bounded sample of either side.

The verdict of a run comes from the PSI of all rows (`propensity.drift`). Evidently's numbers are stored beside it under names of their own:
its PSI counts equal-width bins over both sides and leaves missing values out, so that the two agree on what drifted, not on digits.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical
from propensity.drift import judged, missing_share, psi_column, psi_numeric
from propensity.ports import MonitorMetric
from propensity.schema import Table

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
SAMPLE_ROWS = 20_000
SAMPLE_SEED = 0
SCORE = "model score"
# Methods: how a number that is stored under an evidently_ name came about.
EVIDENTLY_PSI, EVIDENTLY_SHARE, FALLBACK_PSI, COUNT = "evidently_psi", "evidently_share", "numpy_psi_of_sample", "count"
# Evidently's own default where the campaign watches no such number.
_PSI_ALERT, _SHARE_ALERT = 0.2, 0.5


@dataclass(frozen=True)
class Side:
    """One side of a comparison: rows and the score of each, shape (n,)."""

    table: Table
    scores: FloatArray

    def sample(self) -> Side:
        """At most `SAMPLE_ROWS` rows in their order, always the same ones; all rows where there are no more."""
        n = len(self.table)
        if n <= SAMPLE_ROWS:
            return self
        keep = np.sort(np.random.default_rng(SAMPLE_SEED).choice(n, SAMPLE_ROWS, replace=False))
        return Side(self.table.take(keep), self.scores[keep])


@dataclass(frozen=True)
class EvidentlyReport:
    """``html`` is one self-contained page, UTF-8."""

    html: bytes
    metrics: tuple[MonitorMetric, ...]


def evidently_report(campaign: Campaign, reference: Side, current: Side) -> EvidentlyReport:
    """Let Evidently compare samples of two sides, neither of them empty.

    Metrics: ``evidently_psi`` and ``evidently_missing_share`` by column, ``evidently_prediction_psi``, ``evidently_drifted_share``, and the
    rows of both samples. Where Evidently cannot compute a PSI (a side without any value), ours of the same sample stands
    in, and the method says so.
    """
    before, now = reference.sample(), current.sample()
    usable = [f.name for f in campaign.features if all(missing_share(f, side.table.columns[f.name]) < 1 for side in (before, now))]
    found, html = _run(campaign, frame(before), frame(now), usable)
    metrics = (
        *_run_metrics(campaign, found, before, now),
        *(metric for feature in campaign.features for metric in _column_metrics(campaign, feature.name, found, before, now)),
        MonitorMetric(None, "reference_sample_rows", COUNT, float(len(before.table)), None, None, "stable"),
        MonitorMetric(None, "current_sample_rows", COUNT, float(len(now.table)), None, None, "stable"),
    )
    return EvidentlyReport(html.encode(), metrics)


def frame(side: Side) -> pd.DataFrame:
    """The rows as pandas: numbers as float64, categories as text, the score beside them. Both sides of a comparison pass through here."""
    import pandas as pd

    columns: dict[str, Any] = {}
    for feature in side.table.campaign.features:
        column = side.table.columns[feature.name]
        if isinstance(feature, Categorical):
            # The last place stands for code -1, missing.
            texts = np.array([*(str(value) for value in feature.values), None], dtype=object)
            columns[feature.name] = pd.Series(texts[column], dtype=object)
        else:
            columns[feature.name] = column
    return pd.DataFrame({**columns, SCORE: side.scores})


Found = dict[tuple[str, str | None], Any]


def _run(campaign: Campaign, before: pd.DataFrame, now: pd.DataFrame, usable: Sequence[str]) -> tuple[Found, str]:
    """Evidently's values by kind of metric and column, and its page."""
    with warnings.catch_warnings():
        # Evidently and what it imports warn about themselves: deprecated names, and divisions by zero of constant columns.
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report  # type: ignore[import-untyped]
        from evidently.metrics import DriftedColumnsCount, MissingValueCount, ValueDrift  # type: ignore[import-untyped]

        definition = DataDefinition(
            numerical_columns=[*(f.name for f in campaign.numeric), SCORE], categorical_columns=[f.name for f in campaign.categorical]
        )
        psi, share = campaign.monitor("psi"), campaign.monitor("drifted_share")
        alert = psi.alert if psi else _PSI_ALERT
        prediction = campaign.monitor("prediction_psi")
        drift_share = share.alert if share else _SHARE_ALERT
        metrics = [
            DriftedColumnsCount(columns=list(usable), num_method="psi", cat_method="psi", threshold=alert, drift_share=drift_share),
            ValueDrift(column=SCORE, method="psi", threshold=prediction.alert if prediction else _PSI_ALERT),
            *(ValueDrift(column=name, method="psi", threshold=alert) for name in usable),
            *(MissingValueCount(column=name) for name in campaign.feature_names),
        ]
        result = Report(metrics).run(Dataset.from_pandas(now, definition), Dataset.from_pandas(before, definition))
        found = {
            (str(metric["config"]["type"]).rpartition(":")[2], metric["config"].get("column")): metric["value"]
            for metric in result.dict()["metrics"]
        }
        return found, str(result.get_html_str(as_iframe=False))


def _run_metrics(campaign: Campaign, found: Found, before: Side, now: Side) -> Iterator[MonitorMetric]:
    chance = psi_numeric(before.scores, now.scores)
    value, method = _psi_or(found.get(("ValueDrift", SCORE)), chance.value)
    yield judged(None, "evidently_prediction_psi", method, value, campaign.monitor("prediction_psi"), at_least=chance.chance)
    share = _share(found.get(("DriftedColumnsCount", None)))
    yield judged(None, "evidently_drifted_share", EVIDENTLY_SHARE, share, campaign.monitor("drifted_share"))


def _column_metrics(campaign: Campaign, name: str, found: Found, before: Side, now: Side) -> Iterator[MonitorMetric]:
    feature = campaign.feature(name)
    ours = psi_column(feature, before.table.columns[name], now.table.columns[name])
    value, method = _psi_or(found.get(("ValueDrift", name)), ours.value)
    yield judged(name, "evidently_psi", method, value, campaign.monitor("psi"), at_least=ours.chance)
    usual = missing_share(feature, before.table.columns[name])
    missing = _share(found.get(("MissingValueCount", name)))
    yield judged(name, "evidently_missing_share", EVIDENTLY_SHARE, missing, campaign.monitor("missing_share"), above=usual)


def _psi_or(evidently: Any, ours: float) -> tuple[float, str]:
    """Evidently's PSI, or ours where it has none."""
    if evidently is None or not np.isfinite(float(evidently)):
        return ours, FALLBACK_PSI
    return float(evidently), EVIDENTLY_PSI


def _share(value: Mapping[str, float] | None) -> float:
    return 0.0 if value is None else float(value["share"])

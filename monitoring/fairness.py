"""What became of the groups of declared columns: true positive rates and calibration, joined with the log in one pass."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import numpy as np

from monitoring.reference import groupings_of, reference_rows
from monitoring.window import Labels, RowReader, read_window
from propensity.campaign import Campaign
from propensity.groups import outcome_metrics
from propensity.model import load_package
from propensity.ports import LabelledPrediction, MonitorMetric, ObjectStore
from propensity.prediction_id import parse_prediction_id
from propensity.snapshot import read_snapshot


def outcome_groups(
    campaign: Campaign,
    *,
    store: ObjectStore,
    rows: RowReader,
    digest: str | None,
    since: datetime,
    until: datetime,
    labels: Labels,
) -> list[MonitorMetric]:
    """Figures by group of the predictions made in [since, until) whose outcome is in ``labels``.

    Nothing where no column is declared, no outcome is known or no model is live: numbers are cut as the live model's training rows say.
    """
    if digest is None or not labels or not campaign.watch.grouped:
        return []
    manifest = load_package(store, campaign, digest).manifest
    table, _ = reference_rows(read_snapshot(store, campaign, manifest.snapshot_id), manifest)
    found = read_window(campaign, rows, None, since, until, sample_rows=0, groupings=groupings_of(campaign, table), labels=labels)
    return [metric for one in found.groups for metric in outcome_metrics(campaign, one)]


def by_request(labelled: Iterable[LabelledPrediction]) -> Labels:
    """Outcomes by request: positions, and whether each was positive."""
    found: dict[str, tuple[list[int], list[bool]]] = {}
    for row in labelled:
        request_id, position = parse_prediction_id(row.prediction_id)
        positions, labels = found.setdefault(request_id, ([], []))
        positions.append(position)
        labels.append(row.label)
    return {name: (np.array(at, dtype=np.intp), np.array(said, dtype=np.bool_)) for name, (at, said) in found.items()}

"""What became of the groups of declared columns: true positive rates and calibration, joined with the log in one pass."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

import numpy as np

from monitoring.reference import groupings_of, reference_rows
from monitoring.window import Labels, RowReader, read_window
from propensity.campaign import Campaign
from propensity.groups import GroupSums, outcome_metrics
from propensity.model import load_package
from propensity.ports import MonitorMetric, ObjectStore, OutcomeStore
from propensity.snapshot import read_snapshot


class LabelReader(Protocol):
    """Outcomes of the predictions made in [since, until), by request."""

    def __call__(self, since: datetime, until: datetime) -> Labels: ...


def outcome_groups(
    campaign: Campaign,
    *,
    store: ObjectStore,
    rows: RowReader,
    digest: str | None,
    since: datetime,
    until: datetime,
    labels: LabelReader,
) -> list[MonitorMetric]:
    """Figures by group of the predictions made in [since, until) whose outcome is known, a day in memory at a time.

    Nothing where no column is declared or no model is live: numbers are cut as the live model's training rows say.
    """
    if digest is None or not campaign.watch.grouped:
        return []
    manifest = load_package(store, campaign, digest).manifest
    table, _ = reference_rows(read_snapshot(store, campaign, manifest.snapshot_id), manifest)
    groupings = groupings_of(campaign, table)
    whole = [GroupSums(one) for one in groupings]
    for start, end in days(since, until):
        known = labels(start, end)
        if known:
            found = read_window(campaign, rows, None, start, end, sample_rows=0, groupings=groupings, labels=known)
            for held, part in zip(whole, found.groups, strict=True):
                held.sums += part.sums
    return [metric for one in whole if one.sums.any() for metric in outcome_metrics(campaign, one)]


def days(since: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    """[since, until) in pieces of at most a day."""
    while since < until:
        end = min(since + timedelta(days=1), until)
        yield since, end
        since = end


def labels_by_request(outcomes: OutcomeStore, campaign: Campaign, since: datetime, until: datetime) -> Labels:
    """What is known of the predictions made in [since, until), all of them mature: positions, and whether each outcome was positive."""
    found = outcomes.requests(campaign.name, since, until, rules=campaign.label.rules)
    return {one.request_id: (np.flatnonzero(one.known) + 1, one.labels[one.known]) for one in found if one.known.any()}

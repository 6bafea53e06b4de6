from __future__ import annotations

import dataclasses
import math
import uuid
from datetime import UTC, datetime

import numpy as np
import pytest

from propensity.adapters.database import Database
from propensity.adapters.monitor_runs import PostgresMonitorStore
from propensity.ports import MonitorMetric, MonitorRun


def run(campaign: str, metrics: tuple[MonitorMetric, ...], model: str | None = "d") -> MonitorRun:
    times = (datetime(2010, 5, 1, tzinfo=UTC), datetime(2010, 6, 1, tzinfo=UTC))
    return MonitorRun(str(uuid.uuid4()), campaign, "data", *times, model, None, 0, 41_188, "no_data", None, metrics)


@pytest.fixture
def store(stores: Database) -> PostgresMonitorStore:
    return PostgresMonitorStore(stores)


def test_runs_come_back_in_order_with_their_numbers(store: PostgresMonitorStore) -> None:
    campaign = uuid.uuid4().hex
    numbers = tuple(
        MonitorMetric(None if i == 0 else f"f{i}", "psi", "numpy", value, 0.1, None, "stable")
        for i, value in enumerate([0.1 + 0.2, 1e-320, math.inf, -math.inf, np.float64(1 / 3)])
    )
    runs = [run(campaign, numbers), run(campaign, (), model=None)]
    for one in runs:
        store.record(one)
    store.record(run("another", numbers))
    assert [dataclasses.replace(stored, created_at=None) for stored in store.runs(campaign)] == runs


def test_nan_is_kept(store: PostgresMonitorStore) -> None:
    campaign = uuid.uuid4().hex
    store.record(run(campaign, (MonitorMetric("age", "psi", "numpy", math.nan, None, None, "no_data"),)))
    assert math.isnan(store.runs(campaign)[0].metrics[0].value)


def test_recording_again_is_harmless(store: PostgresMonitorStore) -> None:
    campaign = uuid.uuid4().hex
    one = run(campaign, (MonitorMetric("age", "psi", "numpy", 0.3, 0.1, 0.2, "drift"),))
    store.record(one)
    store.record(dataclasses.replace(one, verdict="drift"))
    assert [(r.verdict, len(r.metrics)) for r in store.runs(campaign)] == [("no_data", 1)]


def test_the_alarm_and_what_numbers_rest_on_come_back(store: PostgresMonitorStore) -> None:
    campaign = uuid.uuid4().hex
    number = MonitorMetric("job", "contact_rate", "wilson", 0.2, None, None, "stable", np.float64(0.1), 0.3, 120.0, "clerk")
    for state in (None, "no_data", "too_little_data", "quiet", "watch", "alarm"):
        store.record(dataclasses.replace(run(campaign, (number,)), alarm=state))
    stored = store.runs(campaign)
    assert {one.alarm for one in stored} == {None, "no_data", "too_little_data", "quiet", "watch", "alarm"}
    assert stored[0].metrics == (number,)

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from propensity.campaigns import campaign
from propensity.errors import CampaignError
from propensity.retraining import (
    FAST,
    SLOW,
    Evidence,
    Retraining,
    Span,
    Steps,
    label_gap,
    measured_delay,
    performance_drop,
    roc_auc_error,
    triggers,
)

ALL = Retraining(every_days=30, drift_share=0.5, label_gap=4.0, performance_drop=0.05, min_labels=30)
CALM = Evidence(
    days=10, labels=400, predicted=100.0, observed=104.0, variance=75.0, drifted_share=0.1, roc_auc=0.7, roc_auc_error=0.03,
    promised_roc_auc=0.71,
)  # fmt: skip


def fired(seen: Evidence, declared: Retraining = ALL) -> set[str]:
    return {trigger.kind for trigger in triggers(declared, seen) if trigger.fired}


def test_nothing_fires_while_all_is_well() -> None:
    assert fired(CALM) == set()


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("schedule", {"days": 30}),
        ("drift", {"drifted_share": 0.5}),
        ("label_gap", {"observed": 100 + 4 * math.sqrt(75)}),
        ("label_gap", {"observed": 100 - 4 * math.sqrt(75)}),
        ("performance", {"roc_auc": 0.64}),
    ],
)
def test_each_trigger_fires_at_its_bound_and_says_why(kind: str, change: dict[str, float]) -> None:
    seen = replace(CALM, **change)  # type: ignore[arg-type]
    assert fired(seen) == {kind}
    [trigger] = [one for one in triggers(ALL, seen) if one.fired]
    assert "declared" in trigger.reason


def test_a_trigger_that_is_not_declared_is_not_asked() -> None:
    seen = replace(CALM, days=900, drifted_share=1.0, observed=400.0, roc_auc=0.5)
    assert triggers(Retraining(every_days=None, drift_share=None, label_gap=None, performance_drop=None), seen) == ()


def test_below_the_fewest_labels_only_the_schedule_is_asked() -> None:
    seen = replace(CALM, labels=29, days=31, drifted_share=1.0, observed=400.0)
    assert fired(seen) == {"schedule"}


def test_what_was_not_measured_triggers_nothing() -> None:
    assert fired(Evidence(days=1, labels=1_000)) == set()


def test_a_gap_and_a_drop_know_their_sampling_error() -> None:
    assert label_gap(10.0, 14.0, 4.0) == 2.0
    assert math.isnan(label_gap(0.0, 1.0, 0.0))
    assert performance_drop(0.6, 0.0, 0.7) == pytest.approx(0.5)
    assert performance_drop(0.6, 0.1, 0.7) < 0
    assert roc_auc_error(0.7, 30, 70) == pytest.approx(0.060087, abs=1e-6)
    assert math.isnan(roc_auc_error(0.7, 0, 70))


def test_slow_labels_switch_the_trailing_rate_off() -> None:
    declared = Retraining()
    assert declared.steps(measured_delay([1.0] * 95 + [40.0] * 5)) == FAST
    assert declared.steps(measured_delay([1.0] * 80 + [40.0] * 20)) == SLOW
    assert declared.steps(measured_delay([])) == SLOW


@pytest.mark.parametrize(
    ("declared", "named"),
    [
        (Retraining(learned=("age",)), "'age'"),
        (Retraining(spans=(Span("job", 0, 1, 0, 1),)), "'job'"),
        (Retraining(spans=(Span("age", 40, 20, 0, 1),)), "'age'"),
        (Retraining(learned=("job", "job")), "twice"),
        (Retraining(every_days=0), "above zero"),
        (Retraining(fast=Steps(2.0, 0.0, 0.0)), "variance"),
        (Retraining(traffic_growth=1.0), "traffic_growth"),
    ],
)
def test_a_declaration_that_contradicts_the_features_is_refused(declared: Retraining, named: str) -> None:
    with pytest.raises(CampaignError, match=named):
        replace(campaign("term-deposit"), retraining=declared)

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from propensity.groups import GroupSums, contact_metrics, groupings, outcome_metrics, wilson
from propensity.ports import MonitorMetric
from propensity.watch import Watch
from tests.builders import tiny_campaign

CAMPAIGN = tiny_campaign(watch=Watch(segments=("age",), protected=("job",)))
CLERK, FARMER, NURSE, PILOT = range(4)


def by_group(metrics: list[MonitorMetric], metric: str) -> dict[str | None, float]:
    return {m.group: m.value for m in metrics if m.metric == metric}


@pytest.fixture
def sums() -> GroupSums:
    """100 clerks of whom 20 are contacted, 60 nurses of whom 30 are, 12 pilots who are all."""
    [_, job] = groupings(CAMPAIGN, {"age": np.arange(18.0, 98.0), "job": np.zeros(1)})
    found = GroupSums(job)
    jobs = np.repeat([CLERK, NURSE, PILOT], [100, 60, 12]).astype(float)
    contact = np.concatenate([np.arange(100) < 20, np.arange(60) < 30, np.ones(12, dtype=bool)])
    scores = np.where(contact, 0.6, 0.1)
    label = np.concatenate([np.arange(100) >= 40, np.arange(60) < 55, np.ones(12, dtype=bool)]).astype(float)
    label[jobs == PILOT] = np.nan
    for part in np.array_split(np.random.default_rng(0).permutation(172), 4):
        found.add(jobs[part], scores[part], contact[part], label[part])
    return found


def test_contact_rates_are_told_by_group_and_compared(sums: GroupSums) -> None:
    found = list(contact_metrics(CAMPAIGN, sums))
    assert by_group(found, "contact_rate") == {"clerk": 0.2, "nurse": 0.5}
    assert by_group(found, "contact_rate_ratio") == {None: pytest.approx(0.4)}
    assert by_group(found, "mean_score")["nurse"] == pytest.approx(0.35)


def test_a_small_group_is_counted_and_never_told(sums: GroupSums) -> None:
    found = list(contact_metrics(CAMPAIGN, sums))
    assert "pilot" not in {m.group for m in found}
    assert by_group(found, "groups_not_told") == {None: 1}


def test_outcomes_give_true_positive_rates_and_calibration(sums: GroupSums) -> None:
    found = list(outcome_metrics(CAMPAIGN, sums))
    # Of the 60 clerks who said yes none was contacted, of the 55 nurses 30 were.
    assert by_group(found, "true_positive_rate") == {"clerk": 0, "nurse": pytest.approx(30 / 55)}
    assert by_group(found, "true_positive_rate_ratio") == {None: 0}
    assert by_group(found, "calibration_gap") == {"clerk": pytest.approx(0.2 - 0.6), "nurse": pytest.approx(0.35 - 55 / 60)}
    assert by_group(found, "calibration_spread")[None] == pytest.approx(abs((0.2 - 0.6) - (0.35 - 55 / 60)))
    gap = next(m for m in found if m.metric == "calibration_gap" and m.group == "clerk")
    assert gap.low is not None
    assert gap.high is not None
    assert gap.low < gap.value < gap.high < 0


def test_a_segment_is_not_compared(sums: GroupSums) -> None:
    only = tiny_campaign(watch=Watch(segments=("job",)))
    assert "contact_rate_ratio" not in {m.metric for m in contact_metrics(only, sums)}


def test_numbers_fall_into_the_quarters_of_the_reference() -> None:
    [age, _] = groupings(CAMPAIGN, {"age": np.arange(20.0, 60.0), "job": np.zeros(1)})
    assert age.labels == ("below 29", "29 to below 39", "39 to below 49", "from 49", "(missing)")
    assert age.positions(np.array([18.0, 29.0, 48.9, 98.0, np.nan])).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("hits", "n"), [(0, 50), (7, 60), (50, 50)])
def test_the_interval_is_wilsons(hits: int, n: int) -> None:
    expected = stats.binomtest(hits, n).proportion_ci(0.95, method="wilson")
    assert wilson(hits, n) == pytest.approx((expected.low, expected.high), abs=1e-4)

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from propensity.campaign import Categorical, Numeric
from propensity.report.cells import OTHER_DECLARATION, SMALLER, FeatureCells, segment
from propensity.report.collect import Uses, side_by_side
from propensity.report.exclusions import exclusions
from propensity.report.sample import Sample
from propensity.report.sums import figures
from propensity.report.words import band_labels, titled
from propensity.watch import Watch
from tests.builders import tiny_campaign

CAMPAIGN = replace(tiny_campaign(), watch=Watch(segments=("job",), protected=("age", "income"), smallest_group=20))


def cells(name: str, values: Sequence[float], contact: list[bool] | None = None) -> FeatureCells:
    held = FeatureCells(CAMPAIGN.feature(name))
    n = len(values)
    chosen = np.array(contact if contact is not None else [False] * n)
    none = np.zeros(n, dtype=np.bool_)
    held.add(np.array(values, dtype=np.float64), figures(np.full(n, 0.5), chosen, none, none))
    return held


def test_whole_numbers_are_cut_into_quarters_between_values() -> None:
    found = segment(CAMPAIGN, cells("age", [float(age) for age in range(20, 60) for _ in range(5)]))
    assert [group.label for group in found.groups] == ["up to 29", "30 to 39", "40 to 49", "50 or more"]
    assert [group.predictions for group in found.groups] == [50, 50, 50, 50]


def test_one_value_is_one_group() -> None:
    assert [group.label for group in segment(CAMPAIGN, cells("age", [30.0] * 50)).groups] == ["all values"]


def test_missing_values_and_rows_of_another_declaration_are_groups_of_their_own() -> None:
    found = segment(CAMPAIGN, cells("income", [1_000.0] * 40 + [np.nan] * 30 + [np.inf] * 25))
    assert [(group.label, group.predictions) for group in found.groups] == [
        ("all values", 40),
        ("not known", 30),
        (OTHER_DECLARATION, 25),
    ]
    assert found.contact_ratio is None


def test_small_groups_are_told_together_and_never_compared() -> None:
    contact = [True] * 30 + [False] * 30 + [True] * 5 + [False] * 4
    found = segment(
        replace(CAMPAIGN, watch=replace(CAMPAIGN.watch, protected=("job",))), cells("job", [0] * 40 + [1] * 20 + [2] * 5 + [3] * 4, contact)
    )
    assert [(group.label, group.predictions, group.small) for group in found.groups] == [
        ("clerk", 40, False),
        ("farmer", 20, False),
        (SMALLER, 9, True),
    ]
    assert (found.least, found.most, found.contact_ratio) == ("farmer", "clerk", 0.0)


def test_bands_name_their_ends() -> None:
    assert band_labels([1, 2, 4], 0, 4, whole=True) == ["0", "1", "2 to 3", "4"]
    assert band_labels([0.5, 1.25], 0, 4, whole=False) == ["below 0.5", "0.5 to below 1.25", "1.25 or more"]
    assert titled(Numeric("pdays", 0, 999, description="days since the last call; 999: never called")) == (
        "Days since the last call",
        "999: never called",
    )
    assert titled(Categorical("job", ("a", "b"))) == ("Job", "")


def test_a_sample_is_the_same_again_fair_and_bounded() -> None:
    def drawn() -> Sample:
        sample = Sample(1, size=100)
        for start in range(0, 10_000, 250):
            sample.add(np.arange(start, start + 250, dtype=np.float64)[:, None])
        return sample

    first = drawn().rows
    assert first.shape == (100, 1)
    assert len(np.unique(first)) == 100
    np.testing.assert_array_equal(first, drawn().rows)
    # Its mean is that of all, within four standard errors.
    assert abs(first.mean() - 5_000) < 4 * 2_887 / 10


def test_a_small_log_is_its_own_sample() -> None:
    sample = Sample(2)
    sample.add(np.ones((3, 2)))
    sample.add(np.zeros((0, 2)))
    assert len(sample.rows) == 3


def test_more_policies_than_are_told_apart_are_one_line() -> None:
    uses = Uses()
    for at in range(1_000):
        uses.add(f"threshold {at}", 2, 1, 0.5)
    found = uses.told(CAMPAIGN.economics)
    assert len(found) == 201
    assert (found[0].name, sum(used.predictions for used in found)) == ("others", 2_000)


def test_reasons_are_told_in_words_and_those_that_met_nobody_are_not() -> None:
    found = exclusions({"cooling_off": 3, "objection": 2, "legal": 0, "branch_closed": 1})
    assert [(one.code, one.customers) for one in found] == [("objection", 2), ("cooling_off", 3), ("branch_closed", 1)]
    assert found[2].says == "branch closed"


def test_a_request_committed_between_the_two_reads_is_simply_not_known() -> None:
    class Row:
        def __init__(self, at: int, name: str) -> None:
            self.received_at, self.request_id = at, name

    logged: list[Any] = [Row(1, "a"), Row(2, "b"), Row(3, "c")]
    labelled: list[Any] = [logged[0], Row(2, "aa"), logged[2]]
    found = list(side_by_side(logged, labelled))
    assert [labels and labels.request_id for _, labels in found] == ["a", None, "c"]

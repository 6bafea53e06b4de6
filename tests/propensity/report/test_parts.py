from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from propensity.campaign import Categorical, Numeric
from propensity.ports import LoggedRequest
from propensity.report.cells import OTHER_DECLARATION, SMALLER, FeatureCells, segment
from propensity.report.collect import Collected, Uses, side_by_side
from propensity.report.exclusions import exclusions
from propensity.report.measured import holdout_of, left_out_of
from propensity.report.page.sentences import holdout as holdout_sentence
from propensity.report.page.sentences import policy as said_policy
from propensity.report.sample import Sample
from propensity.report.sums import PROFIT, Rows
from propensity.report.words import band_labels, titled
from propensity.watch import Watch
from tests.builders import tiny_campaign

CAMPAIGN = replace(tiny_campaign(), watch=Watch(segments=("job",), protected=("age", "income"), smallest_group=20))


def cells(name: str, values: Sequence[float], contact: list[bool] | None = None) -> FeatureCells:
    held = FeatureCells(CAMPAIGN.feature(name))
    n = len(values)
    chosen = np.array(contact if contact is not None else [False] * n)
    none = np.zeros(n, dtype=np.bool_)
    held.add(np.array(values, dtype=np.float64), Rows(np.full(n, 0.5), chosen, none, none, np.full(n, 20.0), np.full(n, 5.0)).figures())
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
    found = uses.told()
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


def measured(**changes: Any) -> dict[str, Any]:
    """A measured lift as the service replies it."""
    told: dict[str, Any] = {
        "holdout": {"key": "spring", "share": 0.1},
        "arms": {
            "contact": {"customers": 950, "known": 900, "conversions": 180, "rate": 0.2},
            "holdout": {"customers": 100, "known": 90, "conversions": 9, "rate": 0.1},
        },
        "not_yet_mature": 40,
        "share": {"observed": 0.095, "declared": 0.1, "suspicious": False, "bounds": [0.07, 0.13]},
        "difference": {"estimate": 0.1, "low": 0.02, "high": 0.16, "confidence": 0.95},
        "incremental": {
            "conversions": {"estimate": 90.0, "low": 18.0, "high": 144.0},
            "money": {"estimate": "1350.00", "low": "-90.00", "high": "2430.00", "currency": "EUR", "contacts": 90, "cost": "450.00"},
        },
        "excluded": {"answer": {"objection": 4}, "export": {"complaint": 1}},
    }
    return told | changes


def test_a_measured_lift_is_told_with_its_interval_and_money() -> None:
    found = holdout_of(measured())
    assert found is not None
    assert (found.contacted, found.held_out, found.lift, found.problem) == (900, 90, 0.1, "")
    assert found.profit == (Decimal("1350.00"), Decimal("-90.00"), Decimal("2430.00"))
    said = holdout_sentence(found, "EUR")
    assert "10.0 percentage points" in said
    assert "more than chance" in said
    assert "−90 to 2,430" in said


def test_without_a_holdout_or_without_data_the_report_says_so() -> None:
    assert holdout_of(measured(holdout=None)) is None
    nothing = {"customers": 0, "known": 0, "conversions": 0, "rate": None}
    empty = {
        "difference": {"estimate": None, "low": None, "high": None, "confidence": 0.95},
        "incremental": {"conversions": None, "money": None},
    }
    young = holdout_of(measured(arms={"contact": nothing, "holdout": nothing}, **empty))
    assert young is not None
    assert young.problem.startswith("40 customers were drawn")
    one = holdout_of(measured(arms={"contact": nothing | {"customers": 5}, "holdout": nothing | {"customers": 2, "known": 2}}, **empty))
    assert one is not None
    assert one.problem == "of those contacted no outcome is known"


def test_who_was_left_out_is_counted_at_both_stages() -> None:
    class Request:
        held_out = np.array([True, False, True])

    found = left_out_of(measured(), [Request(), Request()])
    assert (found.held_out, found.customers) == (4, 8)
    assert [(one.code, one.customers) for one in (*found.excluded, *found.at_export)] == [("objection", 4), ("complaint", 1)]


@dataclass(frozen=True)
class WithTerms(LoggedRequest):
    """A request whose rows brought a value, a cost and a group of their own; NaN where they brought none."""

    terms: npt.NDArray[np.float64] | None = None


def test_a_value_and_a_cost_of_a_row_count_instead_of_the_campaigns() -> None:
    scores, contact = np.array([0.5, 0.5, 0.1]), np.array([True, True, False])
    terms = np.array([[100.0, 8.0, np.nan], [np.nan, np.nan, np.nan], [np.nan, 1.0, np.nan]])
    request = WithTerms(
        request_id="00000000-0000-4000-8000-000000000001",
        campaign="tiny",
        model_digest="d",
        model_version="d",
        policy={"kind": "capacity", "groups": {"north": 1}},
        declaration_digest="e",
        customer_ids=["a", "b", "c"],
        rows=np.arange(1, 4),
        features=np.zeros((3, 5)),
        scores=scores,
        contact=contact,
        received=3,
        refused=0,
        source="list:one",
        received_at=datetime(2026, 3, 1, tzinfo=UTC),
        terms=terms,
    )
    held = Collected(CAMPAIGN, datetime(2026, 4, 1, tzinfo=UTC), lambda _: False)
    held.add([(request, None)])
    assert held.own_money == 2
    [used] = held.policies.told()
    assert (used.name, used.expected_profit) == ("capacity", Decimal("47.00"))
    assert held.scores.total(PROFIT) == pytest.approx(42 + 5 + 1)
    assert said_policy("capacity", "EUR") == "the best of each group, as many as its capacity allows"

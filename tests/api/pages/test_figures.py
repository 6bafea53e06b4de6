"""The numbers that pages draw: waterfall, reliability, the curve of a budget."""

from __future__ import annotations

import math

import numpy as np
import pytest

from api.pages.reliability import curve, gap, groups_of, wilson
from api.pages.sheet import _curve, best_of
from api.pages.waterfall import STEPS, waterfall
from propensity.sheet_formats import SheetReader


@pytest.mark.parametrize("n", [1, STEPS, STEPS + 1, STEPS + 5])
def test_a_waterfall_ends_at_the_score_whatever_is_put_together(n: int) -> None:
    effects = [(-1) ** at * (1.0 / (at + 1)) for at in range(n)]
    contributions = [{"feature": f"f{at}", "value": 0.5, "effect": effect} for at, effect in enumerate(effects)]
    steps = waterfall(-2.0, contributions)
    log_odds = -2.0 + math.fsum(effects)
    assert steps[0].probability == pytest.approx(1 / (1 + math.exp(2.0)))
    assert steps[-1].probability == pytest.approx(1 / (1 + math.exp(-log_odds)))
    assert steps[-2].probability == steps[-1].probability
    assert math.fsum(step.effect for step in steps) == pytest.approx(math.fsum(effects))
    assert len(steps) <= STEPS + 3
    assert [step.direction for step in steps[1:3]][: min(n, 2)] == ["raises", "lowers"][: min(n, 2)]


def test_a_waterfall_escapes_what_a_customer_may_be_called() -> None:
    steps = waterfall(0.0, [{"feature": "<b>", "value": "<script>", "effect": 1.0}])
    assert "<script>" not in str(steps[1].bar)


def test_groups_hold_everybody_once_and_say_what_happened() -> None:
    random = np.random.default_rng(1)
    scores = random.uniform(0, 1, 1_003)
    labels = random.random(1_003) < scores
    groups = groups_of(scores.tolist(), labels.tolist())
    assert sum(group.n for group in groups) == 1_003
    assert sum(round(group.happened * group.n) for group in groups) == labels.sum()
    assert [group.predicted for group in groups] == sorted(group.predicted for group in groups)
    # Calibrated by construction: nine intervals of ten hold the prediction, at least.
    assert sum(group.low <= group.predicted <= group.high for group in groups) >= 9
    assert gap(groups) < 0.05
    drawn, edge = curve(groups)
    assert edge == 1.0
    assert str(drawn).count("dot") == len(groups) == 10
    assert groups_of([], []) == []


def test_an_interval_is_wilson_s() -> None:
    # Newcombe, "Two-sided confidence intervals for the single proportion", 1998, table I, method 3.
    for positive, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        assert wilson(positive, n) == pytest.approx((low, high), abs=6e-5)


HEAD = "rank,customer_id,decision,score,expected_profit\r\n"


def read(*rows: str) -> SheetReader:
    return SheetReader([(HEAD + "".join(f"{row}\r\n" for row in rows)).encode()])


def test_a_budget_s_curve_is_summed_over_those_who_may_be_contacted() -> None:
    found = _curve(read("1,a,contact,0.5,60.00", "2,b,holdout,0.5,60.00", "3,c,contact,0.25,10.00", "4,d,leave,0.125,-15.00"))
    assert [(s.contacts, s.conversions, s.profit) for s in found.stops] == [(0, 0, 0), (1, 0.5, 60), (2, 0.75, 70), (3, 0.875, 55)]
    assert (found.best.contacts, found.decided.contacts, found.decided.profit, found.in_order) == (2, 2, 70.0, True)


def test_a_decision_that_skips_somebody_is_no_stop() -> None:
    found = _curve(read("1,a,leave,0.5,60.00", "2,c,contact,0.25,10.00"))
    assert (found.decided.contacts, found.decided.profit, found.in_order) == (1, 10.0, False)


def test_a_long_curve_keeps_its_best_place_exactly() -> None:
    random = np.random.default_rng(2)
    profits = np.sort(random.normal(0, 30, 7_777).round(2))[::-1]
    found = _curve(read(*(f"{at + 1},c,{'contact' if p > 0 else 'leave'},0.5,{p:.2f}" for at, p in enumerate(profits))))
    assert len(found.stops) < 1_100
    assert found.best.contacts == int((profits > 0).sum())
    assert found.best.profit == pytest.approx(profits[profits > 0].sum())
    assert found.everyone.contacts == 7_777


def test_the_best_so_many_leave_out_whom_nobody_may_contact() -> None:
    sheet = read("1,a,holdout,0.5,1", "2,b,leave,0.5,1", "3,c,contact,0.5,1", "4,d,leave,0.5,1")
    assert [row[1] for row in best_of(2)(sheet.rows(), sheet.places)] == ["b", "c"]

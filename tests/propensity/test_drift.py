from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pytest

from propensity.campaign import Campaign, Categorical, Economics, Label, Numeric
from propensity.campaigns import all_campaigns
from propensity.drift import compare, psi, psi_numeric
from propensity.errors import DataError
from propensity.schema import Table
from propensity.synthetic import generate
from tests.builders import read_rows

CAMPAIGN = Campaign(
    name="small",
    title="Small",
    question="?",
    label=Label("y", positive="yes", negative="no"),
    features=(
        Numeric("amount", low=-100, high=100, nullable=True),
        Numeric("days", low=0, high=999, integer=True),
        Categorical("colour", ("red", "green", "blue"), nullable=True),
    ),
    economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(10), currency="EUR"),
)
Floats = npt.NDArray[np.float64]


def table(n: int, seed: int, *, shift: float = 0.0, days: int = 999, missing: float = 0.0) -> Table:
    rng = np.random.default_rng(seed)
    amount = rng.normal(shift, 1, n)
    amount[rng.random(n) < missing] = np.nan
    columns = {"amount": amount, "days": np.full(n, float(days)), "colour": rng.choice([0, 1, 2], n, p=[0.6, 0.3, 0.1]).astype(np.int16)}
    return Table(CAMPAIGN, ("",) * n, np.arange(1, n + 1), columns)


def scores(n: int, seed: int, power: float = 1.0) -> Floats:
    return np.random.default_rng(seed).random(n) ** power


@pytest.mark.parametrize("n", [20, 100, 1_000, 20_000])
@pytest.mark.parametrize("seed", range(5))
def test_the_same_distribution_is_stable_in_windows_of_any_size(n: int, seed: int) -> None:
    drift = compare(CAMPAIGN, table(30_000, 100), table(n, seed), scores(30_000, 100), scores(n, seed))
    assert drift.verdict == "stable"
    assert drift.drifted_share == 0


def test_a_shifted_column_drifts_and_the_others_do_not() -> None:
    drift = compare(CAMPAIGN, table(30_000, 0), table(5_000, 1, shift=1.5), scores(30_000, 0), scores(5_000, 1))
    assert drift.columns == {"amount": "drift", "days": "stable", "colour": "stable"}
    assert drift.drifted_share == pytest.approx(1 / 3)
    assert drift.verdict == "warning"  # one column of three is above the warn bound of the share, below its alert bound


def test_a_constant_reference_that_changes_is_seen() -> None:
    reference = np.full(30_000, 999.0)
    current = np.where(np.arange(3_000) % 10 == 0, 6.0, 999.0)
    assert psi_numeric(reference, reference[:3_000]).value == 0
    assert psi_numeric(reference, current).value > 0.2
    drift = compare(CAMPAIGN, table(30_000, 0), table(3_000, 1, days=6), scores(30_000, 0), scores(3_000, 1))
    assert drift.columns["days"] == "drift"


@pytest.mark.parametrize(("before", "after"), [([0.0] * 19 + [1.0], 5.0), ([0.0] * 95 + [float(v) for v in range(1, 41)], 0.5)])
def test_a_new_value_between_or_beyond_tied_reference_values_is_seen(before: list[float], after: float) -> None:
    reference = np.array(before * 200)
    current = np.where(np.arange(len(reference)) % 3 == 0, after, reference)
    assert psi_numeric(reference, current).value > 0.1


def test_predictions_that_move_are_drift_of_the_run() -> None:
    drift = compare(CAMPAIGN, table(30_000, 0), table(5_000, 1), scores(30_000, 0), scores(5_000, 1, power=3))
    assert set(drift.columns.values()) == {"stable"}
    assert drift.prediction_psi > 0.2
    assert drift.verdict == "drift"


def test_missing_values_count_above_those_of_the_reference() -> None:
    usual = compare(CAMPAIGN, table(30_000, 0, missing=0.5), table(5_000, 1, missing=0.5), scores(30_000, 0), scores(5_000, 1))
    more = compare(CAMPAIGN, table(30_000, 0, missing=0.5), table(5_000, 1, missing=0.62), scores(30_000, 0), scores(5_000, 1))
    assert usual.columns["amount"] == "stable"
    assert more.columns["amount"] == "drift"
    [share] = [m for m in more.metrics if m.metric == "missing_share" and m.column == "amount"]
    assert share.value == pytest.approx(0.62, abs=0.03)
    assert share.warn == pytest.approx(0.51, abs=0.01)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_column_without_any_value_is_compared(share: float) -> None:
    drift = compare(CAMPAIGN, table(3_000, 0, missing=share), table(3_000, 1, missing=1 - share), scores(3_000, 0), scores(3_000, 1))
    assert drift.columns["amount"] == "drift" if share == 0 else drift.columns["amount"] != "stable"


def test_nothing_to_compare_is_refused_and_not_called_stable() -> None:
    with pytest.raises(DataError):
        compare(CAMPAIGN, table(100, 0), table(0, 0), scores(100, 0), scores(0, 0))


def test_psi_is_symmetric_and_zero_for_equal_shares() -> None:
    few, many = np.array([50, 30, 20]), np.array([5, 300, 20])
    assert psi(few, many).value == pytest.approx(psi(many, few).value)
    assert psi(few, few).value == 0
    # Worked by hand with half a row added per bin: shares .5/.3/.2 against .2/.3/.5.
    assert psi(np.array([5_000, 3_000, 2_000]), np.array([2_000, 3_000, 5_000])).value == pytest.approx(0.6 * np.log(2.5), rel=1e-3)


def test_the_chance_bound_is_exceeded_once_in_a_thousand() -> None:
    rng = np.random.default_rng(3)
    shares = np.array([0.4, 0.3, 0.2, 0.1])
    pairs = [psi(rng.multinomial(5_000, shares), rng.multinomial(300, shares)) for _ in range(4_000)]
    assert 0 < sum(p.value > p.chance for p in pairs) < 15


@pytest.mark.parametrize("name", list(all_campaigns()))
def test_every_campaign_drawn_twice_is_stable_and_a_changed_column_is_named(name: str) -> None:
    declared = all_campaigns()[name]
    before, now = (read_rows(declared, generate(declared, 8_000, seed)).table for seed in (1, 2))
    same = compare(declared, before, now, scores(8_000, 0), scores(8_000, 1))
    assert same.verdict == "stable", [m for m in same.metrics if m.verdict != "stable"]
    changed = declared.categorical[-1].name
    codes = np.roll(np.unique(now.columns[changed]), 1)[np.searchsorted(np.unique(now.columns[changed]), now.columns[changed])]
    other = compare(declared, before, replace(now, columns={**now.columns, changed: codes}), scores(8_000, 0), scores(8_000, 1))
    assert [column for column, verdict in other.columns.items() if verdict == "drift"] == [changed]

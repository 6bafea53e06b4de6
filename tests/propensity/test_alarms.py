"""Alarms: how often they are false, what they find, what they keep quiet about."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from monitoring.population import SHIFTED, Population, clustered, population
from propensity.drift.alarms import ALARM, CONTEXT, NO_DATA, QUIET, TOO_LITTLE, WATCH, Alarms, context_columns, judge
from propensity.drift.bins import numeric_bins
from propensity.drift.chance import bin_chance, blocks_of, components, holm, mean_chance
from propensity.drift.counted import PREDICTION, ColumnReference, Counted, Name, Reference
from propensity.watch import Watch

WATCHED = Watch()


@pytest.fixture(scope="module")
def drawn() -> Population:
    return population(7, 20_000, 20)


def judged(drawn: Population, n: int, seed: int, change: str | None = None) -> Alarms:
    return judge(WATCHED, drawn.reference, drawn.window(np.random.default_rng(seed), n, WATCHED.parts, change))


@pytest.mark.parametrize("n", [50, 1_000, 50_000])
def test_false_alarms_stay_below_the_declared_rate(drawn: Population, n: int) -> None:
    """At ten times the rate, so that a hundred runs can show it: a run may be false three times in a hundred."""
    loud = Watch(false_alarms_per_month=1.0)
    states = [judge(loud, drawn.reference, drawn.window(np.random.default_rng(seed), n, loud.parts)).state for seed in range(100)]
    false = sum(state in (ALARM, WATCH) for state in states)
    # More than this would happen once in a thousand were the rate exactly the declared one.
    assert false <= stats.binom.isf(1e-3, 100, loud.run_level)


def test_a_quarter_of_a_standard_deviation_is_found_in_a_thousand_rows(drawn: Population) -> None:
    found = [judged(drawn, 1_000, seed, "shift 0.25 sd") for seed in range(40)]
    hits = sum(SHIFTED in one.raised for one in found)
    # Fewer would happen once in a thousand at a power of 0.9.
    assert hits >= stats.binom.ppf(1e-3, 40, 0.9)
    assert all(set(one.raised) <= {SHIFTED} for one in found)


@pytest.mark.parametrize(("change", "n"), [("shift 0.5 sd", 500), ("mix 10 points", 2_000)])
def test_larger_changes_are_found(drawn: Population, change: str, n: int) -> None:
    assert sum(judged(drawn, n, seed, change).state == ALARM for seed in range(10)) >= 8


def test_days_that_are_alike_inside_are_no_alarm() -> None:
    """Taken for independent rows, these windows would be full of alarms."""
    reference, window = clustered(np.random.default_rng(3), months=12, days=16, rows=60, alike=0.05)
    states = [judge(WATCHED, reference, window(5_000, WATCHED.parts)).state for _ in range(15)]
    assert states.count(QUIET) == 15
    naive = Reference({name: alone(column) for name, column in reference.columns.items()}, reference.rows, 0)
    assert sum(judge(WATCHED, naive, window(5_000, WATCHED.parts)).state != QUIET for _ in range(5)) == 5


def alone(column: ColumnReference) -> ColumnReference:
    """The same column as if every row were independent: blocks are mixed."""
    size = column.fine.sum() // 100
    return ColumnReference(
        column.feature,
        column.bins,
        np.random.default_rng(0).multinomial([size] * 100, column.fine / column.fine.sum()),
        np.zeros(100, dtype=np.intp),
    )


def test_one_odd_list_is_watched_and_an_earlier_window_makes_it_an_alarm(drawn: Population) -> None:
    rng = np.random.default_rng(5)
    usual = drawn.window(rng, 6_000, 3)
    columns = {name: counts.copy() for name, counts in usual.columns.items()}
    columns[SHIFTED][1] = drawn.reference.columns[SHIFTED].bins.count(rng.normal(1, 1, 2_000))
    window = Counted(columns, usual.part, usual.day)
    once = judge(WATCHED, drawn.reference, window)
    assert (once.state, once.columns[SHIFTED].state, once.columns[SHIFTED].parts) == (WATCH, WATCH, 1)
    again = judge(WATCHED, drawn.reference, window, earlier={SHIFTED})
    assert again.raised == (SHIFTED,)


def test_nothing_is_said_of_too_few_rows(drawn: Population) -> None:
    few = judged(drawn, WATCHED.least_rows - 1, 1, "shift 0.5 sd")
    assert few.state == TOO_LITTLE
    assert {one.state for one in few.columns.values()} == {TOO_LITTLE}
    assert judged(drawn, 0, 1).state == NO_DATA


def small(values: dict[Name, tuple[np.ndarray, np.ndarray]], months: int) -> tuple[Reference, Counted]:
    """A reference and a window of three days from arrays of numbers, the scores under None."""
    columns, counts = {}, {}
    for name, (before, now) in values.items():
        stamps = np.datetime64("2024-01", "M") + np.arange(len(before)) * months // len(before)
        blocks, bins = blocks_of(len(before), stamps), numeric_bins(before)
        columns[name] = ColumnReference(None, bins, bins.count_by(before, blocks.block, blocks.count), blocks.month)
        counts[name] = np.stack([bins.count(part) for part in np.array_split(now, 3)])
    return Reference(columns, len(before), months), Counted(counts, np.arange(3), np.arange(3))


def test_a_constant_reference_raises_an_alarm_once_it_is_not_constant() -> None:
    rng = np.random.default_rng(1)
    reference, window = small(
        {
            "pdays": (np.full(12_000, 999.0), np.where(np.arange(900) % 30 == 0, 6.0, 999.0)),
            "constant": (np.full(12_000, 5.0), np.full(900, 5.0)),
            PREDICTION: (rng.random(12_000), rng.random(900)),
        },
        months=12,
    )
    assert judge(WATCHED, reference, window).raised == ("pdays",)


@pytest.fixture(scope="module")
def moving() -> tuple[Reference, Counted]:
    """A rate of the month that was never as low, and scores that follow it."""
    rng = np.random.default_rng(2)
    rate = np.repeat(np.linspace(5, 3, 24), 500)
    reference, window = small(
        {
            "rate": (rate + rng.normal(0, 0.01, 12_000), np.full(3_000, 1.0)),
            "age": (rng.normal(40, 10, 12_000), rng.normal(40, 10, 3_000)),
            PREDICTION: (rng.beta(2, 20, 12_000), rng.beta(6, 20, 3_000)),
        },
        months=24,
    )
    return reference, window


def test_a_column_that_says_which_month_it_is_is_context_without_being_declared(moving: tuple[Reference, Counted]) -> None:
    reference, _ = moving
    assert context_columns(WATCHED, reference) == ["rate"]
    assert context_columns(Watch(context=("age",)), reference) == ["rate", "age"]


def test_context_is_judged_by_what_it_does_to_the_predictions(moving: tuple[Reference, Counted]) -> None:
    reference, window = moving
    assert judge(WATCHED, reference, window, impact={"rate": 0.01}).columns["rate"].state == CONTEXT
    assert judge(WATCHED, reference, window, impact={"rate": -0.3}).raised == ("rate", PREDICTION)
    quiet = Counted({**window.columns, PREDICTION: np.stack([reference.columns[PREDICTION].fine // 12] * 3)}, window.part, window.day)
    assert judge(WATCHED, reference, quiet, impact={"rate": -0.3}).state == QUIET


@pytest.mark.parametrize("n", [10, 60, 500])
@pytest.mark.parametrize("share", [0.002, 0.1, 0.5])
def test_the_bound_of_a_share_is_above_the_exact_tail_and_near_it(n: int, share: float) -> None:
    for hits in range(int(n * share) + 1, min(n, int(n * share) + 40)):
        bound = float(bin_chance(np.array([hits / n]), np.array([share]), np.array([n]))[0])
        exact = 2 * float(stats.binom.sf(hits - 1, n, share))
        assert bound >= min(1.0, exact) * (1 - 1e-9)
        assert bound <= max(1e-300, exact) * 8 * np.sqrt(n)


def test_the_bound_of_a_mean_is_above_what_draws_show() -> None:
    rng = np.random.default_rng(1)
    values, shares = np.array([0.1, 0.6, 0.95, 1.0]), np.array([0.9, 0.06, 0.03, 0.01])
    means = rng.multinomial(60, shares, 200_000) @ values / 60
    for level in (0.01, 0.001):
        mean = float(np.quantile(means, 1 - level))
        assert level <= mean_chance(values, shares, mean, 60) <= 40 * level
    assert mean_chance(values, shares, float(shares @ values), 60) == 1.0
    assert mean_chance(values, shares, 1.1, 60) == 0.0


def test_holm_is_as_worked_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])


def test_variance_components_are_those_that_were_drawn() -> None:
    rng = np.random.default_rng(4)
    months, days, rows = 400, 10, 100
    month, day = rng.normal(0, 0.2, months), rng.normal(0, 0.3, (months, days))
    values = (month[:, None, None] + day[:, :, None] + rng.normal(size=(months, days, rows))).reshape(-1, rows)
    found = components(np.full(len(values), rows), values.sum(1)[:, None], (values**2).sum(1)[:, None], np.repeat(np.arange(months), days))
    assert found.within[0] == pytest.approx(1, rel=0.02)
    assert found.block[0] == pytest.approx(0.09, rel=0.1)
    assert found.month_share()[0] == pytest.approx(0.04 / 1.13, rel=0.2)
    # One day of a hundred rows: 1 + 100 x (0.04 + 0.09), over 1.13; with so many months nothing is raised by much.
    assert found.design_effect(100, 100, 0.01)[0] == pytest.approx(14 / 1.13, rel=0.12)


def test_a_rest_of_a_month_belongs_to_the_block_before() -> None:
    months = np.array(["2024-01"] * 250 + ["2024-02"] * 30, dtype="datetime64[M]")
    blocks = blocks_of(280, months)
    assert np.bincount(blocks.block).tolist() == [40, 40, 40, 40, 40, 50, 30]
    assert blocks.month.tolist() == [0, 0, 0, 0, 0, 0, 1]

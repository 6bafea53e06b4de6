from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.report.curves import curves, deciles, reliability
from propensity.report.sums import CELLS, STEP, Rows, ScoreSums

a_score = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.9, 1.0]) | st.floats(0, 1)
a_row = st.tuples(a_score, st.booleans(), st.booleans(), st.booleans())


def sums(rows: list[tuple[float, bool, bool, bool]]) -> ScoreSums:
    """Rows of score, contact, known, yes."""
    held = ScoreSums()
    for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        if part:
            scores, contact, known, yes = (np.array(values) for values in zip(*part, strict=True))
            scores, n = scores.astype(np.float64), len(scores)
            held.add(scores, Rows(scores, contact, known, yes, np.full(n, 20.0), np.full(n, 5.0)).figures())
    return held


def cell(score: float) -> int:
    return min(int(score * CELLS), CELLS - 1)


@given(st.lists(a_row, min_size=1, max_size=60))
def test_tenths_hold_everybody_once_best_first_and_never_part_equal_scores(rows: list[tuple[float, bool, bool, bool]]) -> None:
    found = deciles(sums(rows))
    assert sum(one.predictions for one in found) == len(rows)
    assert all(one.predictions for one in found)
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert (found[0].high, found[-1].low) == (1.0, 0.0)
    assert all(sooner.low == later.high for sooner, later in pairwise(found))
    for one in found:
        mine = [row for row in rows if round(one.low / STEP) <= cell(row[0]) < round(one.high / STEP)]
        known = [row for row in mine if row[2]]
        assert (one.predictions, one.contacts, one.known) == (len(mine), sum(row[1] for row in mine), len(known))
        assert one.conversions == (sum(row[3] for row in known) if known else None)
        assert one.profit == (Decimal(20 * sum(row[3] for row in known) - 5 * len(known)) if known else None)


def test_tenths_of_different_scores_are_as_even_as_can_be() -> None:
    rng = np.random.default_rng(0)
    found = deciles(sums([(float(score), False, False, False) for score in rng.random(1_003)]))
    assert {one.predictions for one in found} <= {99, 100, 101, 102}
    assert len(found) == 10


def test_equal_scores_are_one_group() -> None:
    [one] = deciles(sums([(0.3, True, True, at % 2 == 0) for at in range(20)]))
    assert (one.predictions, one.rate, one.lift, one.captured, one.expected_profit) == (20, 0.5, 1.0, 1.0, Decimal(20))


@given(st.lists(a_row, min_size=1, max_size=60))
def test_no_number_of_the_best_brings_more_than_the_best_point(rows: list[tuple[float, bool, bool, bool]]) -> None:
    found = curves(sums(rows))
    by_cell = sorted({cell(row[0]) for row in rows}, reverse=True)
    every = [0.0, *(sum(20 * row[0] - 5 for row in rows if cell(row[0]) >= at) for at in by_cell)]
    assert found.best is not None
    assert float(found.best.profit) == pytest.approx(max(every), abs=0.006)
    assert (found.expected[0].customers, found.expected[-1].customers) == (0, len(rows))
    known = [row for row in rows if row[2]]
    assert (found.real[-1].customers if found.real else 0) == len(known)
    if known:
        assert found.real[-1].profit == 20 * sum(row[3] for row in known) - 5 * len(known)


def test_a_perfect_ranking_has_all_conversions_first() -> None:
    rows = [(0.9, True, True, True)] * 10 + [(0.1, False, True, False)] * 90
    found = curves(sums(rows))
    tenth = next(point for point in found.real if point.customers == 10)
    assert (tenth.captured, tenth.lift, tenth.profit) == (1.0, 10.0, Decimal(150))


def test_reliability_tells_scores_that_mean_what_they_say_from_those_that_do_not() -> None:
    rng = np.random.default_rng(1)
    scores = rng.random(20_000)
    honest = reliability(sums([(float(s), False, True, bool(u < s)) for s, u in zip(scores, rng.random(len(scores)), strict=True)]))
    boastful = reliability(sums([(float(s), False, True, bool(u < s / 2)) for s, u in zip(scores, rng.random(len(scores)), strict=True)]))
    assert honest is not None
    assert boastful is not None
    assert honest.gap < 0.02
    assert boastful.gap == pytest.approx(0.25, abs=0.02)
    assert reliability(sums([(0.5, True, False, False)])) is None

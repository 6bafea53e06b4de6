from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.splitting import random_split, time_split


def months(*counts: int, start: str = "2024-01") -> npt.NDArray[np.datetime64]:
    return np.repeat(np.datetime64(start, "M") + np.arange(len(counts)).astype("timedelta64[M]"), counts)


@pytest.mark.parametrize(
    ("counts", "share", "tested_months"),
    [
        ((10, 10, 10, 10, 10), 0.2, 1),
        ((10, 10, 10, 10, 10), 0.21, 2),
        ((10, 10, 10, 10, 10), 0.999, 4),  # one month is always left to train on
        ((90, 10), 0.5, 1),
        ((1, 99), 0.2, 1),
        ((93, 7), 0.07, 1),  # 0.07 * 100 is a little more than 7
        ((50, 43, 7), 0.07, 1),
        ((40, 40, 1, 1, 1), 0.2, 4),
        ((97, 1, 1, 1), 0.02, 2),
    ],
)
def test_the_most_recent_whole_months_that_hold_the_share_are_tested(counts: tuple[int, ...], share: float, tested_months: int) -> None:
    when = months(*counts)
    split = time_split(when, share)
    assert len(np.unique(when[split.test])) == tested_months
    assert when[split.train].max() < when[split.test].min()
    assert split.kind == "time"


@given(st.lists(st.integers(1, 30), min_size=2, max_size=12), st.floats(0.01, 0.99), st.randoms(use_true_random=False))
def test_no_month_is_on_both_sides_and_the_share_is_reached_with_as_few_months_as_possible(
    counts: list[int], share: float, random: object
) -> None:
    when = np.random.default_rng(len(counts)).permutation(months(*counts))
    split = time_split(when, share)
    assert np.array_equal(split.train, ~split.test)
    assert split.train.any()
    assert split.test.any()
    assert when[split.train].max() < when[split.test].min()
    tested = int(split.test.sum())
    oldest_tested = int((when == when[split.test].min()).sum())
    assert tested - oldest_tested < share * len(when)
    assert tested >= share * len(when) - 1e-6 or len(np.unique(when[split.train])) == 1


def test_the_split_says_which_months_it_used() -> None:
    text = time_split(months(5, 5, 5, start="2023-11"), 0.3).description
    assert all(month in text for month in ("2023-11", "2023-12", "2024-01"))


@pytest.mark.parametrize("when", [months(10), months()])
def test_one_month_cannot_be_split_by_time(when: npt.NDArray[np.datetime64]) -> None:
    with pytest.raises(ValueError, match="two months"):
        time_split(when, 0.2)


@pytest.mark.parametrize("positives", [10, 100, 500])
@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_random_split_keeps_the_share_of_positives(positives: int, share: float) -> None:
    positive = np.arange(1_000) < positives
    split = random_split(positive, share, 42)
    assert int(split.test.sum()) == 1_000 * share
    assert int(positive[split.test].sum()) == positives * share
    assert np.array_equal(split.train, ~split.test)


def test_the_seed_decides_a_random_split() -> None:
    positive = np.arange(200) % 4 == 0
    first, again, other = (random_split(positive, 0.2, seed) for seed in (1, 1, 2))
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)
    assert "seed 1" in first.description

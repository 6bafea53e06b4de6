from __future__ import annotations

import math

import numpy as np
import pytest

from benchmarks.lift import simulate
from propensity.lift import difference, intervals, plan, power_of, share_bounds, share_p_value, smallest_lift


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        # Newcombe, "Interval estimation for the difference between independent proportions", Statistics in Medicine 17, 1998, table II,
        # method 6 (Miettinen and Nurminen).
        ((56, 70, 48, 80), 0.0528, 0.3382),
        ((9, 10, 3, 10), 0.1700, 0.8406),
        ((5, 56, 0, 29), -0.0326, 0.1933),
        ((0, 10, 0, 20), -0.1658, 0.2844),
        ((0, 10, 0, 10), -0.2879, 0.2879),
        ((10, 10, 0, 20), 0.7156, 1.0),
        ((10, 10, 0, 10), 0.6636, 1.0),
    ],
)
def test_published_intervals(counts: tuple[int, int, int, int], low: float, high: float) -> None:
    found = difference(*counts)
    assert [found.low, found.high] == pytest.approx([low, high], abs=6e-5)


def test_arms_change_places_and_the_interval_with_them() -> None:
    rng = np.random.default_rng(4)
    for _ in range(50):
        n, m = rng.integers(1, 500, 2).tolist()
        x, y = int(rng.integers(0, n + 1)), int(rng.integers(0, m + 1))
        one, other = difference(x, n, y, m), difference(y, m, x, n)
        assert [one.low, one.high] == pytest.approx([-other.high, -other.low], abs=1e-9)
        assert one.low <= one.value <= one.high
    many = intervals(*(np.array([value, value], dtype=float) for value in (56, 70, 48, 80)))
    assert many[0].tolist() == [difference(56, 70, 48, 80).low] * 2


def test_no_arm_no_number() -> None:
    found = difference(3, 10, 0, 0)
    assert (math.isnan(found.value), found.verdict) == (True, "no_data")
    assert [difference(*counts).verdict for counts in ((90, 100, 10, 100), (10, 100, 90, 100), (5, 100, 5, 100))] == [
        "more",
        "less",
        "unclear",
    ]


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    """The short form of ``python -m benchmarks.lift``; the bounds of one cell allow for 1,000 tries of it."""
    found = simulate(1_000, customers=(1_000,), hashed=1)
    assert 0.945 <= found["coverage"]["mean"] <= 0.955
    assert found["cells_promised"] > 20
    assert found["coverage"]["lowest"] > 0.93
    assert found["coverage"]["highest"] < 0.97
    for one in found["plans"]:
        assert one["power"] == pytest.approx(0.8, abs=0.05)


def test_a_plan_and_its_power_are_each_others_inverse() -> None:
    planned = plan(0.05, 0.02, 0.1)
    assert (planned.customers, planned.held_out, planned.contacted) == (12_853, 1_286, 11_567)
    assert power_of(planned.customers, 0.05, 0.02, 0.1) == pytest.approx(0.8, abs=1e-3)
    assert smallest_lift(planned.customers, 0.05, 0.1) == pytest.approx(0.02, rel=1e-3)
    assert smallest_lift(10, 0.9, 0.1) is None
    assert (planned.weeks(2_000), planned.weeks(12_853)) == (7, 1)
    # Fleiss, Levin and Paik's equal arms: the even split needs the fewest customers.
    assert plan(0.05, 0.02, 0.5).customers < plan(0.05, 0.02, 0.3).customers < planned.customers
    assert plan(0.05, -0.02, 0.5).customers == pytest.approx(plan(0.03, 0.02, 0.5).customers, abs=1)


def test_a_control_group_of_another_size_is_noticed() -> None:
    assert share_bounds(10_000, 0.1) == (900, 1_100)
    assert share_p_value(1_000, 10_000, 0.1) == 1.0
    assert share_p_value(1_200, 10_000, 0.1) < 1e-9
    assert share_p_value(0, 0, 0.1) == 1.0

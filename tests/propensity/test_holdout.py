from __future__ import annotations

import math
import secrets
import subprocess
import sys

import pytest

from local.environment import PROJECT
from propensity.errors import CampaignError
from propensity.holdout import Holdout, draws, held_out
from propensity.lift import share_bounds, share_p_value
from tests.builders import tiny_campaign

SECRET = b"a secret of the tests alone"
NAMES = [f"c{at}" for at in range(20_000)]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_the_share_lies_within_the_bounds_of_chance(share: float) -> None:
    low, high = share_bounds(len(NAMES), share)
    held = sum(held_out(secrets.token_bytes(32), "tiny", NAMES, share))
    # Once in a million runs this fails although all is well.
    assert share_p_value(held, len(NAMES), share) > 1e-6
    assert low < len(NAMES) * share < high
    known = sum(held_out(SECRET, "tiny", NAMES, share))
    assert low <= known <= high


def test_draws_are_uniform_and_as_good_as_independent() -> None:
    mine, other, rekeyed = draws(SECRET, "tiny", NAMES), draws(SECRET, "other", NAMES), draws(SECRET + b".", "tiny", NAMES)
    tenths = [sum(at / 10 <= number < (at + 1) / 10 for number in mine) for at in range(10)]
    assert sum((n - 2_000) ** 2 / 2_000 for n in tenths) < 33.7  # chi-square, 9 degrees of freedom, 0.0001
    for theirs in (other, rekeyed):
        together = sum(a < 0.5 and b < 0.5 for a, b in zip(mine, theirs, strict=True))
        assert abs(together - 5_000) < 5 * math.sqrt(20_000 * 0.25 * 0.75)


def test_the_arm_is_the_same_in_another_process() -> None:
    program = f"from propensity.holdout import draws; print(draws({SECRET!r}, 'tiny', ['c1', 'c2', 'é']))"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=PROJECT, env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == repr(draws(SECRET, "tiny", ["c1", "c2", "é"]))
    # Pinned: another number here would be another control group for every bank that uses it.
    assert draws(SECRET, "tiny", ["c1"]) == [0.502660184968116]


def test_a_larger_share_only_adds_customers() -> None:
    few, many = (held_out(SECRET, "tiny", NAMES[:1_000], share) for share in (0.1, 0.2))
    assert all(b for a, b in zip(few, many, strict=True) if a)


@pytest.mark.parametrize(("share", "key"), [(0.0, "k"), (0.6, "k"), (0.1, ""), (0.1, "Spring 2026"), (0.1, "-")])
def test_a_holdout_that_is_none_is_refused(share: float, key: str) -> None:
    with pytest.raises(CampaignError, match="holdout"):
        tiny_campaign(holdout=Holdout(share=share, key=key))


def test_a_holdout_whose_outcomes_would_never_be_known_is_refused() -> None:
    label = tiny_campaign().label
    from dataclasses import replace

    with pytest.raises(CampaignError, match="absent_means"):
        tiny_campaign(holdout=Holdout(share=0.1, key="k"), label=replace(label, absent_means="negative_if_contacted"))

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from propensity.errors import Malformed
from propensity.measured_trial import Decider, compare, halves, parse_decider
from tests.builders import tiny_campaign
from tests.propensity.test_measured_lift import BEGIN, LATER, Pair, request

SECRET = b"a secret of the tests alone"
DRAWN = (SECRET, "tiny", "spring", 0.5)
DECIDERS = (Decider({"kind": "profit"}), Decider({"kind": "top_share", "value": 0.2}))
POLICIES = ('{"kind": "profit"}', '{"kind": "top_share", "value": 0.2}')
ECONOMICS = tiny_campaign().economics


def posted(names: list[str], half: int, labels: str, arms: str, day: float = 1.0, number: int = 0) -> Pair:
    arms_of, labels_of = request(day, names, arms, labels, key=None, number=number)
    return replace(arms_of, policy=POLICIES[half]), labels_of


@pytest.fixture(scope="module")
def names() -> tuple[list[str], list[str]]:
    everybody = [f"c{at}" for at in range(4_000)]
    in_b = halves(SECRET, "tiny", "spring", everybody, 0.5)
    assert 1_850 < in_b.sum() < 2_150
    return [name for name, b in zip(everybody, in_b, strict=True) if not b][:1_000], [
        name for name, b in zip(everybody, in_b, strict=True) if b
    ][:1_000]


def test_each_half_counts_everybody_who_was_drawn_into_it(names: tuple[list[str], list[str]]) -> None:
    a, b = names
    pairs = [
        posted(a, 0, "1" * 100 + "0" * 900, "c" * 500 + "-" * 500),
        posted(b, 1, "1" * 160 + "0" * 840, "c" * 200 + "-" * 800, number=1),
        # The same list once more on the same day costs nothing more.
        posted(b, 1, "1" * 160 + "0" * 840, "c" * 200 + "-" * 800, day=1.2, number=2),
    ]
    found = compare(pairs, DECIDERS, ECONOMICS, LATER, DRAWN)
    assert found["halves"]["a"] == {"customers": 1_000, "known": 1_000, "conversions": 100, "contacts": 500, "profit": -0.5}
    assert found["halves"]["b"] == {"customers": 1_000, "known": 1_000, "conversions": 160, "contacts": 200, "profit": 2.2}
    assert found["conversions"]["estimate"] == pytest.approx(0.06)
    assert found["conversions"]["low"] > 0
    assert found["profit"]["estimate"] == pytest.approx(2.7)
    assert found["profit"]["low"] < 2.7 < found["profit"]["high"]
    assert found["misplaced"] == 0


def test_who_was_decided_otherwise_than_drawn_belongs_to_no_half(names: tuple[list[str], list[str]]) -> None:
    a, b = names
    pairs = [posted([*a[:10], *b[:5]], 0, "0" * 15, "c" * 15), posted(b[:20], 1, "0" * 20, "c" * 20, number=1)]
    found = compare(pairs, DECIDERS, ECONOMICS, LATER, DRAWN)
    assert (found["halves"]["a"]["customers"], found["halves"]["b"]["customers"], found["misplaced"]) == (10, 20, 5)


def test_without_customers_there_is_no_data() -> None:
    found = compare([], DECIDERS, ECONOMICS, LATER, DRAWN)
    assert (found["conversions"]["estimate"], found["profit"]["estimate"]) == (None, None)
    young = compare([posted(["a"], 0, "1", "c")], DECIDERS, ECONOMICS, BEGIN + timedelta(hours=1), DRAWN)
    assert young["halves"]["a"]["customers"] == 0


def test_the_interval_of_profit_holds_the_truth(names: tuple[list[str], list[str]]) -> None:
    """Both halves alike: in 100 trials about 5 intervals do not hold 0; more than 14 come once in 20,000 times."""
    rng, missed = np.random.default_rng(5), 0
    a, b = names[0][:100], names[1][:100]
    for _ in range(100):
        labels = ["".join(rng.choice(["0", "1"], 100, p=[0.8, 0.2])) for _ in range(2)]
        found = compare(
            [posted(a, 0, labels[0], "c" * 100), posted(b, 1, labels[1], "c" * 100, number=1)], DECIDERS, ECONOMICS, LATER, DRAWN
        )
        missed += not found["profit"]["low"] <= 0 <= found["profit"]["high"]
    assert 1 <= missed <= 14


def test_halves_are_named_by_what_decides_them() -> None:
    assert parse_decider("policy=top_share:0.2") == DECIDERS[1]
    assert parse_decider("policy=profit,model=0123456789ab") == Decider({"kind": "profit"}, "0123456789ab")
    arms, _ = posted(["a"], 0, "1", "c")
    assert parse_decider("policy=profit").fits(arms)
    assert not parse_decider("model=0123456789ab").fits(arms)
    for text in ("", "policy", "policy=best", "policy=profit:3", "policy=calls", "policy=calls:x", "model=live", "who=me"):
        with pytest.raises(Malformed):
            parse_decider(text)
    with pytest.raises(Malformed, match="trial"):
        halves(SECRET, "tiny", "Spring 2026", ["a"], 0.5)

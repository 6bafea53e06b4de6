from __future__ import annotations

import itertools
import json
import math
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.campaign import Economics, Policy
from propensity.decision import as_json, bands, decide, parse_policy
from propensity.errors import Malformed

ECONOMICS = Economics(contact_cost=Decimal("5"), conversion_value=Decimal("20"), currency="EUR")
PROFIT = Policy("profit")
some_scores = st.lists(st.floats(0, 1) | st.sampled_from([0.25, 0.5]), max_size=9)


def contacted(scores: list[float], policy: Policy) -> list[bool]:
    return [bool(yes) for yes in decide(np.array(scores), policy, ECONOMICS).contact]


@given(some_scores)
def test_profit_contacts_the_best_of_all_possible_choices(scores: list[float]) -> None:
    decision = decide(np.array(scores), PROFIT, ECONOMICS)
    worth = [score * 20.0 - 5.0 for score in scores]
    best = max(sum(itertools.compress(worth, choice)) for choice in itertools.product([0, 1], repeat=len(scores)))
    assert decision.total_expected_profit == pytest.approx(best, abs=1e-9)
    assert all(worth[at] > 0 for at in np.flatnonzero(decision.contact))


@given(some_scores, st.floats(0, 60))
def test_a_budget_buys_the_most_profit_that_it_can_pay_for(scores: list[float], budget: float) -> None:
    decision = decide(np.array(scores), Policy("budget", budget), ECONOMICS)
    worth = [score * 20.0 - 5.0 for score in scores]
    affordable = [c for c in itertools.product([0, 1], repeat=len(scores)) if sum(c) * 5.0 <= budget + 1e-6]
    assert decision.contact.sum() * 5.0 <= budget + 1e-6
    assert decision.total_expected_profit == pytest.approx(max(sum(itertools.compress(worth, c)) for c in affordable), abs=1e-9)


@given(some_scores, st.floats(0, 60), st.floats(0, 60))
def test_more_budget_never_drops_a_customer(scores: list[float], one: float, other: float) -> None:
    small, large = (contacted(scores, Policy("budget", money)) for money in sorted((one, other)))
    assert all(more or not less for less, more in zip(small, large, strict=True))


@given(some_scores, st.floats(0, 1))
def test_a_threshold_contacts_exactly_those_who_reach_it(scores: list[float], threshold: float) -> None:
    assert contacted(scores, Policy("threshold", threshold)) == [score >= threshold for score in scores]


@given(some_scores, st.floats(0, 1))
def test_a_top_share_contacts_the_best_and_never_more_than_the_share(scores: list[float], share: float) -> None:
    chosen = contacted(scores, Policy("top_share", share))
    assert sum(chosen) == math.floor(share * len(scores) + 1e-9)
    inside = [s for s, c in zip(scores, chosen, strict=True) if c]
    outside = [s for s, c in zip(scores, chosen, strict=True) if not c]
    assert not inside or not outside or min(inside) >= max(outside)


@given(some_scores, st.integers(0, 12))
def test_calls_go_to_the_best_while_they_pay(scores: list[float], calls: int) -> None:
    decision = decide(np.array(scores), Policy("calls", calls), ECONOMICS)
    worth = [score * 20.0 - 5.0 for score in scores]
    allowed = [c for c in itertools.product([0, 1], repeat=len(scores)) if sum(c) <= calls]
    assert decision.contact.sum() <= calls
    assert decision.total_expected_profit == pytest.approx(max(sum(itertools.compress(worth, c)) for c in allowed), abs=1e-9)


@given(some_scores, st.floats(0, 1))
def test_a_recall_is_reached_by_the_fewest_of_the_best(scores: list[float], recall: float) -> None:
    n = sum(contacted(scores, Policy("recall", recall)))
    best, wanted = sorted(scores, reverse=True), recall * math.fsum(scores)
    assert sum(best[:n]) >= wanted - 1e-9
    assert n == 0 or sum(best[: n - 1]) < wanted + 1e-9


@pytest.mark.parametrize(
    ("n", "share", "expected"), [(10, 0.3, 3), (10, 0.7, 7), (100, 0.29, 29), (3, 0.3, 0), (1, 1, 1), (7, 0, 0), (0, 0.5, 0)]
)
def test_a_share_is_counted_as_people_count(n: int, share: float, expected: int) -> None:
    assert sum(contacted([0.5] * n, Policy("top_share", share))) == expected


@given(some_scores)
def test_ranks_are_1_to_n_best_first_and_ties_keep_the_order_sent(scores: list[float]) -> None:
    rank = decide(np.array(scores), PROFIT, ECONOMICS).rank.tolist()
    assert sorted(rank) == list(range(1, len(scores) + 1))
    assert [at for _, at in sorted(zip(rank, range(len(scores)), strict=True))] == sorted(range(len(scores)), key=lambda at: -scores[at])


def test_equal_scores_are_cut_by_the_order_sent() -> None:
    assert contacted([0.5, 0.9, 0.5, 0.5], Policy("top_share", 0.5)) == [True, True, False, False]
    assert contacted([0.5, 0.9, 0.5, 0.5], Policy("budget", 14.99)) == [True, True, False, False]


def test_the_break_even_score_earns_nothing_and_is_left_alone() -> None:
    decision = decide(np.array([0.25, 0.26]), PROFIT, ECONOMICS)
    assert decision.contact.tolist() == [False, True]
    assert decision.expected_profit.tolist() == pytest.approx([0.0, 0.2])


def test_a_list_of_none() -> None:
    decision = decide(np.array([]), PROFIT, ECONOMICS)
    assert len(decision.contact) == len(decision.rank) == 0
    assert decision.total_expected_profit == 0.0


def test_bands_change_at_break_even_and_at_its_double() -> None:
    assert bands(np.array([0.0, 0.2499, 0.25, 0.4999, 0.5, 1.0]), ECONOMICS) == ["low", "low", "medium", "medium", "high", "high"]
    assert bands(np.array([]), ECONOMICS) == []


@pytest.mark.parametrize(
    ("sent", "policy"),
    [
        (None, Policy("top_share", 0.3)),
        ({"kind": "profit"}, Policy("profit")),
        ({"kind": "profit", "value": None}, Policy("profit")),
        ({"kind": "threshold", "value": 0}, Policy("threshold", 0.0)),
        ({"kind": "top_share", "value": 1}, Policy("top_share", 1.0)),
        ({"value": 10**12, "kind": "budget"}, Policy("budget", 1e12)),
        ({"kind": "calls", "value": 200}, Policy("calls", 200)),
        ({"kind": "recall", "value": 0.8}, Policy("recall", 0.8)),
    ],
)
def test_a_sound_policy_is_read(sent: object, policy: Policy) -> None:
    assert parse_policy(sent, Policy("top_share", 0.3)) == policy


HOSTILE: list[object] = [
    [], {}, "", "profit", 1, True, 0.3, ["profit"],
    {"kind": None}, {"kind": "Profit"}, {"kind": []}, {"kind": {}}, {"kind": 1}, {"kind": "profit "}, {"kind": "\ud800"},
    {"kind": "profit", "value": 0}, {"kind": "profit", "value": False}, {"kind": "profit", "extra": 1},
    {"kind": "top_share"}, {"kind": "top_share", "value": None}, {"kind": "top_share", "value": "0.3"},
    {"kind": "top_share", "value": True},
    {"kind": "top_share", "value": []}, {"kind": "top_share", "value": float("nan")}, {"kind": "top_share", "value": float("inf")},
    {"kind": "top_share", "value": -0.001}, {"kind": "top_share", "value": 1.0000001}, {"kind": "top_share", "value": 30},
    {"kind": "top_share", "value": 10**400}, {"kind": "top_share", "value": -(10**400)}, {"kind": "threshold", "value": 2},
    {"kind": "budget", "value": -1}, {"kind": "budget", "value": float("inf")}, {"kind": "budget", "value": 1e13},
    {"kind": "budget", "value": 10**400},
    {"kind": "budget", "value": 1, "value ": 2}, {"KIND": "profit"},
]  # fmt: skip


@pytest.mark.parametrize("sent", HOSTILE, ids=[ascii(value)[:40] for value in HOSTILE])
def test_a_policy_that_cannot_be_read_is_refused_with_what_is_allowed(sent: object) -> None:
    with pytest.raises(Malformed, match="policy"):
        parse_policy(sent, PROFIT)


@pytest.mark.parametrize("policy", [PROFIT, Policy("top_share", 0.3), Policy("budget", 0.0)])
def test_a_policy_is_logged_as_it_can_be_posted(policy: Policy) -> None:
    assert parse_policy(json.loads(json.dumps(as_json(policy))), Policy("threshold", 0.9)) == policy

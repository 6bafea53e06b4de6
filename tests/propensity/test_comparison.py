from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from propensity.challenge import Challenge
from propensity.comparison import BETTER, NOT_DECIDED, TOO_LITTLE, WORSE, Comparison, compare
from propensity.shadow import PairedRequest
from tests.builders import tiny_campaign

CHAMPION, CHALLENGER = "a" * 64, "b" * 64
TIMES: dict[str, Any] = {"since": datetime(2026, 1, 1, tzinfo=UTC), "until": datetime(2026, 2, 1, tzinfo=UTC)}
# A contact costs 5 and a conversion is worth 20: break-even is 0.25.
PROFIT = {"kind": "profit"}


def look(*requests: PairedRequest, **rules: Any) -> Comparison:
    campaign = replace(tiny_campaign(), challenge=Challenge(**{"min_rows": 100, **rules}))
    return compare(campaign, requests, champion=CHAMPION, challenger=CHALLENGER, **TIMES)


def request(champion: Any, challenger: Any, labels: dict[int, bool], policy: Any = PROFIT, contact: Any = None) -> PairedRequest:
    one = np.asarray(champion, dtype=float)
    chosen = one > 0.25 if contact is None else np.asarray(contact, dtype=bool)
    return PairedRequest(
        policy=policy,
        model_digest=CHAMPION,
        champion=one,
        challenger=None if challenger is None else np.asarray(challenger, dtype=float),
        contact=chosen,
        positions=np.array(list(labels), dtype=np.int64),
        labels=np.array(list(labels.values()), dtype=bool),
    )


def population(n: int, seed: int, *, observed: float = 0.0) -> tuple[Any, Any, Any, PairedRequest]:
    """True chances; a champion that turns half of them upside down; outcomes of the contacted and of a share of the others."""
    rng = np.random.default_rng(seed)
    chance = rng.uniform(0.02, 0.6, n)
    champion = np.where(rng.random(n) < 0.5, 0.62 - chance, chance)
    label = rng.random(n) < chance
    seen = (champion > 0.25) | (rng.random(n) < observed)
    known = {int(i): bool(label[i]) for i in np.flatnonzero(seen)}
    return chance, champion, label, request(champion, chance, known)


def test_with_an_exploration_share_figures_speak_of_everybody() -> None:
    """The true difference in profit over all customers lies in the interval; the estimate from the contacted alone does not get near."""
    inside = 0
    for seed in range(20):
        chance, champion, label, made = population(4_000, seed, observed=0.2)
        worth = 1000 * (20 * label - 5.0)
        truth = float((((chance > 0.25) * worth) - ((champion > 0.25) * worth)).mean())
        found = look(made, left_labels="random", judged_by="profit_per_1000", smallest_difference=10.0)
        gain = found.gain
        inside += gain.low <= truth <= gain.high
        assert found.verdict == BETTER
        assert found.predicted == 4_000
    assert inside >= 17
    alone = look(made)
    assert alone.gains["profit_per_1000"].gain != pytest.approx(truth, rel=0.1)
    assert alone.additional > 0
    assert "favours" in alone.caveat


def test_without_one_only_the_contacted_are_used_and_the_others_are_counted() -> None:
    _, champion, _, made = population(2_000, 1, observed=0.3)
    found = look(made)
    assert found.labelled == int((champion > 0.25).sum())
    assert found.predicted == 2_000
    assert found.coverage == found.labelled / 2_000
    assert set(found.gains) == {"log_loss", "brier", "profit_per_1000", "roc_auc", "roc_auc_of_both"}


def test_profit_of_the_contacted_is_what_would_have_been_saved() -> None:
    """The challenger leaves the second half, of whom one in ten bought: each costs 5 and brings 2."""
    labels = {i: (i % 10 == 0) for i in range(400)}
    found = look(request(np.full(400, 0.5), np.repeat([0.5, 0.1], 200), labels))
    gain = found.gains["profit_per_1000"]
    assert gain.champion == pytest.approx(1000 * (40 * 20 - 400 * 5) / 400)
    assert gain.gain == pytest.approx(1000 * (200 * 5 - 20 * 20) / 400)


@pytest.mark.parametrize("policy", [{"kind": "top_share", "value": 0.5}, {"kind": "budget", "value": 10_000.0}])
def test_by_rank_the_challenger_contacts_as_many(policy: dict[str, Any]) -> None:
    """A part of a long list: 30 of its 100 rows were contacted, whatever half of it or the whole budget would be."""
    rng = np.random.default_rng(0)
    champion, challenger = rng.permutation(np.linspace(0.3, 0.9, 100)), rng.permutation(np.linspace(0.3, 0.9, 100))
    contact = np.zeros(100, bool)
    contact[np.argsort(-champion)[:30]] = True
    found = look(request(champion, challenger, {}, policy, contact))
    best = np.zeros(100, bool)
    best[np.argsort(-challenger)[:30]] = True
    assert found.additional == int((best & ~contact).sum())


def test_what_one_model_has_not_scored_is_counted_and_not_compared() -> None:
    _, _, _, made = population(500, 2)
    found = look(made, request(np.full(70, 0.5), None, {0: True}))
    assert (found.unpaired, found.predicted) == (70, 500)


def test_verdicts() -> None:
    rng = np.random.default_rng(5)
    chance = rng.uniform(0.3, 0.7, 3_000)
    labels = {i: bool(v) for i, v in enumerate(rng.random(3_000) < chance)}
    blurred = np.full(3_000, 0.5)
    assert look(request(blurred, chance, labels)).verdict == BETTER
    assert look(request(chance, blurred, labels)).verdict == WORSE
    same = look(request(chance, chance + 1e-6, labels))
    assert (same.verdict, same.rows_needed) == (NOT_DECIDED, None)
    few = look(request(blurred, chance, {i: labels[i] for i in range(60)}))
    assert (few.verdict, few.rows_needed) == (TOO_LITTLE, 100)
    noisy = np.clip(chance + rng.normal(0, 0.08, 3_000), 0.05, 0.95)
    unsure = look(request(noisy, noisy + rng.normal(0, 0.03, 3_000), labels), smallest_difference=1e-5)
    assert unsure.verdict == TOO_LITTLE
    assert unsure.rows_needed is not None
    assert unsure.rows_needed > unsure.labelled
    assert look().verdict == TOO_LITTLE


def test_one_kind_of_outcome_is_too_little() -> None:
    found = look(request(np.full(500, 0.5), np.full(500, 0.4), dict.fromkeys(range(500), False)))
    assert found.verdict == TOO_LITTLE
    assert "0 of the rarer kind" in found.reason


def test_a_better_fit_that_earns_less_does_not_win() -> None:
    """The challenger is nearer to the truth and yet would leave customers who pay."""
    rng = np.random.default_rng(6)
    labels = {i: bool(v) for i, v in enumerate(rng.random(4_000) < 0.35)}
    champion, challenger = np.full(4_000, 0.95), np.full(4_000, 0.24)
    found = look(request(champion, challenger, labels))
    assert found.gains["log_loss"].always_low > 0
    assert found.verdict == NOT_DECIDED
    assert "earned less" in found.reason


def test_it_can_be_written_and_holds_no_nan() -> None:
    told = look().as_json()
    assert told["gains"]["roc_auc"]["gain"] is None
    assert told["coverage"] == 0.0

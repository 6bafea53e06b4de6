from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest

from propensity.contact_days import ContactDay, design_of, known_days
from propensity.following import START_RATE, State, advance, sigmoid, start, traffic_seen, traffic_term
from propensity.metrics import roc_auc
from propensity.model import open_package
from propensity.relearning import challenge, learning, level_of, package, recalibrate
from propensity.retraining import FAST, SLOW, Retraining, Span, Steps
from tests.builders import tiny_campaign, tiny_table

NUMBERS = tuple(f.name for f in tiny_campaign().numeric)
CATEGORIES = tuple(f.name for f in tiny_campaign().categorical if not f.nullable) or tuple(f.name for f in tiny_campaign().categorical)
FIRST = next(f for f in tiny_campaign().numeric)
CAMPAIGN = tiny_campaign(
    retraining=Retraining(learned=CATEGORIES, spans=(Span(FIRST.name, FIRST.low, FIRST.high, FIRST.low, FIRST.high - FIRST.low),))
)


def after(rates: list[float], steps: Steps, rows: int = 200, seed: int = 0) -> State:
    """The belief after days of these response rates, without any feature."""
    rng, state = np.random.default_rng(seed), start(0)
    for rate in rates:
        nothing = np.zeros(rows)
        state = advance(state, np.empty((rows, 0)), nothing, rng.random(rows) < rate, nothing, steps)
    return state


def rate_of(state: State) -> float:
    return float(sigmoid(np.array([state.mean[0]]))[0])


def test_the_level_becomes_the_rate_that_is_seen() -> None:
    assert rate_of(start(0)) == pytest.approx(START_RATE)
    assert rate_of(after([0.4] * 20, SLOW)) == pytest.approx(0.4, abs=0.03)


def test_fast_steps_follow_a_jump_that_slow_ones_average() -> None:
    jump = [0.05] * 30 + [0.5] * 3
    assert rate_of(after(jump, FAST)) > 0.4 > rate_of(after(jump, SLOW))


def test_a_day_without_outcomes_adds_doubt_and_nothing_else() -> None:
    before = after([0.3] * 5, FAST)
    none = np.empty(0)
    later = advance(before, np.empty((0, 0)), none, np.empty(0, dtype=bool), none, FAST)
    assert later.mean.tolist() == before.mean.tolist()
    assert (later.covariance[0, 0], later.rows) == (before.covariance[0, 0] + FAST.level, before.rows)


def test_one_outcome_alone_moves_the_level_a_little() -> None:
    state = advance(start(0), np.empty((1, 0)), np.zeros(1), np.array([True]), np.zeros(1), SLOW)
    assert START_RATE < rate_of(state) < 0.3


def test_traffic_is_known_from_the_rows_before_alone() -> None:
    days = np.array([0] * 10 + [1] * 40 + [2] * 5)
    seen = traffic_seen(days, 1.5)
    assert not len(traffic_seen(days[:0], 1.5))
    assert seen[10] == 10
    assert seen[10 + 15] == 15
    assert seen[-1] == 40
    for cut in (1, 12, 37, 52):
        assert traffic_seen(days[:cut], 1.5).tolist() == seen[:cut].tolist()


def test_roc_auc_counts_ties_as_one_half() -> None:
    scores = np.array([0.1, 0.1, 0.5, 0.9])
    assert roc_auc(scores, np.array([False, True, False, True])) == pytest.approx(0.625)
    assert np.isnan(roc_auc(scores, np.ones(4, dtype=bool)))


def history(n: int = 30, rows: int = 60, flip_from: int | None = None) -> list[ContactDay]:
    """Days of the tiny campaign whose outcomes follow its first span, the other way round from ``flip_from`` on."""
    days, rng = [], np.random.default_rng(1)
    for at in range(n):
        table = tiny_table(rows, at, CAMPAIGN)
        pull = 5.0 * (design_of(table)[:, 0] - 0.5) * (-1.0 if flip_from is not None and at >= flip_from else 1.0)
        positive = rng.random(rows) < sigmoid(pull - 0.5)
        days.append(
            ContactDay(date(2020, 1, 1) + timedelta(days=at), table, positive, np.ones(rows, dtype=bool), np.full(rows, float(rows)))
        )
    return days


def test_a_learned_package_opens_and_scores_what_was_learned() -> None:
    days = history()
    state = learning(CAMPAIGN, days, SLOW).until(25)
    model = package(CAMPAIGN, days, 25, state, SLOW, "test", 60.0)
    opened = open_package(CAMPAIGN, model.manifest.to_bytes(), model.model_json, model.digest)
    wanted = sigmoid(design_of(days[29].table) @ state.mean[2:] + state.mean[0] + state.mean[1] * traffic_term(60.0))
    assert opened.score(days[29].table) == pytest.approx(wanted, abs=1e-6)
    assert roc_auc(wanted, days[29].positive) > 0.7


def test_the_belief_does_not_depend_on_when_it_was_asked() -> None:
    days = history(12)
    at_once = learning(CAMPAIGN, days, FAST).until(12)
    day_by_day = learning(CAMPAIGN, days, FAST)
    for at in range(13):
        last = day_by_day.until(at)
    assert last.mean.tolist() == at_once.mean.tolist()


def test_a_recalibration_moves_the_offset_alone_and_says_where_it_is_from() -> None:
    days = history()
    state = learning(CAMPAIGN, days, FAST).until(20)
    model = package(CAMPAIGN, days, 20, state, FAST, "test", 60.0)
    higher = [replace(day, positive=np.ones(len(day), dtype=bool)) for day in days]
    level = level_of(model, higher, FAST, state, 20).until(24)
    changed = recalibrate(model, higher, 24, level, 60.0)
    assert changed.manifest.offset > model.manifest.offset
    assert changed.manifest.linear == model.manifest.linear
    assert changed.manifest.recalibration is not None
    assert (changed.manifest.recalibration.last, changed.manifest.recalibration.base_offset) == (str(days[23].date), model.manifest.offset)
    assert open_package(CAMPAIGN, changed.manifest.to_bytes(), changed.model_json, changed.digest).digest == changed.digest


@pytest.mark.parametrize(("flip_from", "better"), [(10, True), (None, False)])
def test_a_retrain_is_judged_by_outcomes_that_neither_side_has_learned_from(flip_from: int | None, better: bool) -> None:
    days = history(30, flip_from=flip_from)
    learned = learning(CAMPAIGN, days, FAST)
    live = package(CAMPAIGN, days, 10, learned.until(10), FAST, "test", 60.0)
    # Where nothing changed, a live model that knew the truth cannot be beaten.
    served = live.score if better else lambda table: sigmoid(5.0 * (design_of(table)[:, 0] - 0.5) - 0.5)
    judged = challenge(CAMPAIGN, learned, days, lambda at: served(days[at].table), trained=10, known=29, delay_days=1, steps=FAST)
    assert judged is not None
    assert (judged.challenger["roc_auc"] > judged.champion["roc_auc"] + 0.1) is better
    assert judged.rows == 60 * 9


def test_too_few_outcomes_of_a_kind_are_not_judged() -> None:
    days = [replace(day, positive=np.zeros(len(day), dtype=bool)) for day in history()]
    learned = learning(CAMPAIGN, days, FAST)
    assert challenge(CAMPAIGN, learned, days, lambda _: np.full(60, 0.1), trained=10, known=29, delay_days=1, steps=FAST) is None


def test_outcomes_are_known_after_their_delay_and_never_on_the_same_day() -> None:
    days = history(10)
    assert [known_days(days, date(2020, 1, 6), delay) for delay in (0, 1, 3, 30)] == [5, 5, 3, 0]

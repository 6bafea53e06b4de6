from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from propensity.campaign import (
    Campaign,
    Categorical,
    Dates,
    Economics,
    Feature,
    Gate,
    Label,
    LeakGuard,
    Monitor,
    MonthsInOrder,
    Numeric,
    Policy,
    Quality,
    Source,
)
from propensity.challenge import Challenge, RollbackBound
from propensity.contact_policy import ContactPolicy
from propensity.errors import CampaignError
from propensity.holdout import Holdout
from propensity.recipe import Choice, Constant, Draw, Lift, Recipe, Slope, Uniform
from propensity.retraining import Retraining, Span
from propensity.watch import Watch
from propensity.zoo import Zoo
from tests.builders import tiny_campaign

DRAWS: dict[str, Draw] = {
    "age": Uniform(18, 100),
    "income": Uniform(0, 10),
    "rate": Uniform(-1, 1),
    "job": Choice({"clerk": 1}),
    "region": Choice({10: 1}),
}
NAN, INF = float("nan"), float("inf")


def recipe(**changes: Any) -> Recipe:
    return replace(Recipe(draws=DRAWS, effects=(), intercept=0.0, first_month="2024-01", months=3), **changes)


def money(cost: Any, value: Any, currency: str = "EUR") -> Economics:
    return Economics(contact_cost=cost, conversion_value=value, currency=currency)


def with_feature(feature: Feature) -> dict[str, Any]:
    return {"features": (*tiny_campaign().features, feature)}


# What is wrong, and what the sentence must name.
CONTRADICTIONS: dict[str, tuple[Mapping[str, Any], str]] = {
    "name with capitals": ({"name": "Tiny"}, "name"),
    "name with blanks": ({"name": "tiny "}, "name"),
    "name with a path": ({"name": "../tiny"}, "name"),
    "empty name": ({"name": ""}, "name"),
    "no feature": ({"features": ()}, "no feature"),
    "feature twice": (with_feature(Numeric("age", 0, 1)), "'age'"),
    "feature without name": (with_feature(Numeric(" ", 0, 1)), "no name"),
    "empty range": (with_feature(Numeric("x", 1, 1)), "'x'"),
    "range upside down": (with_feature(Numeric("x", 2, 1)), "'x'"),
    "NaN as a bound": (with_feature(Numeric("x", NAN, 1)), "'x'"),
    "NaN as the other bound": (with_feature(Numeric("x", 0, NAN)), "'x'"),
    "infinite bound": (with_feature(Numeric("x", 0, INF)), "'x'"),
    "infinite lower bound": (with_feature(Numeric("x", -INF, 0)), "'x'"),
    "bound beyond float32": (with_feature(Numeric("x", 0, 1e308)), "'x'"),
    "one category": (with_feature(Categorical("x", ("a",))), "'x'"),
    "no category": (with_feature(Categorical("x", ())), "'x'"),
    "category twice": (with_feature(Categorical("x", ("a", "a"))), "'x'"),
    "category as text and number": (with_feature(Categorical("x", ("1", 1))), "'x'"),
    "too many categories": (with_feature(Categorical("x", tuple(range(40_000)))), "'x'"),
    "excluded feature": ({"excluded": (("age", "because"),)}, "'age'"),
    "excluded without reason": ({"excluded": (("duration", " "),)}, "'duration'"),
    "excluded twice": ({"excluded": (("duration", "a"), ("duration", "b"))}, "twice"),
    "label as feature": ({"label": Label("job", "clerk", "pilot")}, "'job'"),
    "label with one value": ({"label": Label("accepted", "yes", "yes")}, "'accepted'"),
    "label as id": ({"id_column": "accepted"}, "'accepted'"),
    "label as calendar": ({"calendar": Dates("accepted")}, "'accepted'"),
    "label without a window": ({"label": Label("accepted", "yes", "no", window_days=0)}, "window_days"),
    "label with absence misread": ({"label": Label("accepted", "yes", "no", absent_means="no")}, "absent_means"),  # type: ignore[arg-type]
    "label with a rule of its own": ({"label": Label("accepted", "yes", "no", contradictions="both")}, "contradictions"),  # type: ignore[arg-type]
    "label excluded": ({"excluded": (("accepted", "leaks"),)}, "'accepted'"),
    "id as feature": ({"id_column": "age"}, "'age'"),
    "date as feature": ({"calendar": Dates("age")}, "'age'"),
    "month without a number": ({"calendar": MonthsInOrder("month", "May 2008")}, "first_month"),
    "thirteenth month": ({"calendar": MonthsInOrder("month", "2008-13")}, "first_month"),
    "free contact": ({"economics": money(Decimal(0), Decimal(1))}, "contact cost"),
    "contact dearer than its worth": ({"economics": money(Decimal(2), Decimal(2))}, "contact cost"),
    "cost that is no number": ({"economics": money(Decimal("NaN"), Decimal(2))}, "contact cost"),
    "endless value": ({"economics": money(Decimal(1), Decimal("Infinity"))}, "conversion value"),
    "money in binary": ({"economics": money(0.1, 0.3)}, "contact cost"),
    "unknown currency": ({"economics": money(Decimal(1), Decimal(2), "euro")}, "currency"),
    "nothing to test on": ({"test_share": 0.0}, "test_share"),
    "nothing to train on": ({"test_share": 1.0}, "test_share"),
    "NaN share": ({"test_share": NAN}, "test_share"),
    "warning above alert": ({"monitors": (Monitor("psi", warn=0.3, alert=0.2),)}, "'psi'"),
    "negative bound": ({"monitors": (Monitor("psi", warn=-1, alert=0.2),)}, "'psi'"),
    "NaN bound": ({"monitors": (Monitor("psi", warn=NAN, alert=0.2),)}, "'psi'"),
    "monitored twice": ({"monitors": (Monitor("psi", 0.1, 0.2), Monitor("psi", 0.1, 0.3))}, "twice"),
    "gate without bound": ({"gates": (Gate("roc_auc"),)}, "'roc_auc'"),
    "profit with a value": ({"policy": Policy("profit", 1.0)}, "'profit'"),
    "share without a value": ({"policy": Policy("top_share")}, "'top_share'"),
    "share above one": ({"policy": Policy("top_share", 30)}, "'top_share'"),
    "negative budget": ({"policy": Policy("budget", -1)}, "'budget'"),
    "NaN threshold": ({"policy": Policy("threshold", NAN)}, "'threshold'"),
    "part of a call": ({"policy": Policy("calls", 2.5)}, "'calls'"),
    "recall above one": ({"policy": Policy("recall", 1.5)}, "'recall'"),
    "unknown policy": ({"policy": Policy("luck", 0.5)}, "'luck'"),  # type: ignore[arg-type]
    "leak guard that never fires": ({"leak_guard": LeakGuard(NAN)}, "leak guard"),
    "leak guard above one": ({"leak_guard": LeakGuard(83)}, "leak guard"),
    "schedule of four fields": ({"retrain_cron": "0 3 5 *"}, "retrain_cron"),
    "recipe lacks a column": ({"recipe": recipe(draws={k: v for k, v in DRAWS.items() if k != "age"})}, "'age'"),
    "recipe has a column too many": ({"recipe": recipe(draws=DRAWS | {"x": Constant(1)})}, "'x'"),
    "recipe excludes what is not excluded": ({"recipe": recipe(excluded_draws={"x": Constant(1)})}, "'x'"),
    "effect of no feature": ({"recipe": recipe(effects=(Slope("x", 1.0, 0.0),))}, "'x'"),
    "slope of a category": ({"recipe": recipe(effects=(Slope("job", 1.0, 0.0),))}, "'job'"),
    "lift of a number": ({"recipe": recipe(effects=(Lift("age", {"a": 1.0}),))}, "'age'"),
    "lift of an unknown value": ({"recipe": recipe(effects=(Lift("job", {"king": 1.0}),))}, "'job'"),
    "recipe without months": ({"recipe": recipe(months=0)}, "span"),
    "context that is no feature": ({"watch": Watch(context=("x",))}, "'x'"),
    "segments that are no feature": ({"watch": Watch(segments=("accepted",))}, "'accepted'"),
    "no false alarm ever": ({"watch": Watch(false_alarms_per_month=0.0)}, "false_alarms_per_month"),
    "more parts than there are": ({"watch": Watch(agreeing_parts=4)}, "agreeing_parts"),
    "groups of one": ({"watch": Watch(smallest_group=1)}, "smallest_group"),
    "impact of nothing": ({"watch": Watch(impact_share=0.0)}, "impact_share"),
    "recipe from no month": ({"recipe": recipe(first_month="2024")}, "span"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_contradiction_is_refused_by_a_sentence_that_names_it(case: str) -> None:
    changes, named = CONTRADICTIONS[case]
    with pytest.raises(CampaignError) as refusal:
        tiny_campaign(**changes)
    assert named in str(refusal.value)
    assert "campaign" in str(refusal.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": Policy("top_share", 0.0)},
        {"policy": Policy("top_share", 1.0)},
        {"policy": Policy("budget", 5_000)},
        {"policy": Policy("threshold", 0.4)},
        {"policy": Policy("calls", 200)},
        {"policy": Policy("recall", 0.8)},
        {"calendar": None},
        {"id_column": None},
        {"gates": ()},
        {"monitors": ()},
        {"leak_guard": LeakGuard(1.0)},
        {"excluded": (("duration", "late"), ("asked_on", "a date says nothing of the customer"))},
        {"recipe": recipe(effects=(Slope("age", 0.1, 40), Lift("job", {"pilot": 1.0}), Lift("region", {10: 0.3})))},
        {"economics": money(1, 2)},
    ],
)
def test_a_sound_declaration_is_accepted(changes: Mapping[str, Any]) -> None:
    assert tiny_campaign(**changes).name == "tiny"


CHANGES: tuple[dict[str, Any], ...] = (
    {"name": "tiny-2"},
    {"title": "Other"},
    {"question": "Other?"},
    {"contact_policy": ContactPolicy(cooling_off_days=30)},
    {"contact_policy": ContactPolicy(cooling_off_days=31)},
    {"holdout": Holdout(share=0.1, key="spring-2026")},
    {"holdout": Holdout(share=0.2, key="spring-2026")},
    {"label": Label("accepted", "yes", "no", window_days=31)},
    {"label": Label("accepted", "yes", "no", absent_means="negative")},
    {"label": Label("accepted", "yes", "no", contradictions="last")},
    {"features": tiny_campaign().features[:-1]},
    {"features": tiny_campaign().features[::-1]},
    {"features": (Numeric("age", 18, 101, "years", integer=True), *tiny_campaign().features[1:])},
    {"features": (*tiny_campaign().features[:-1], Categorical("region", (20, 10, 30), nullable=True))},
    {"features": (*tiny_campaign().features[:-1], Categorical("region", ("10", "20", "30"), nullable=True))},
    {"features": (*tiny_campaign().features[:-1], Categorical("region", (10, 20, 30)))},
    {"economics": money(Decimal("5.01"), Decimal(20))},
    {"economics": money(Decimal(5), Decimal(20), "USD")},
    {"excluded": ()},
    {"excluded": (("duration", "another reason"),)},
    {"id_column": None},
    {"calendar": None},
    {"calendar": Dates("other")},
    {"calendar": MonthsInOrder("asked_on", "2024-01")},
    {"source": Source(file="a.csv", sha256="0")},
    {"quality": Quality(min_rows=1)},
    {"policy": Policy("top_share", 0.3)},
    {"monitors": ()},
    {"gates": ()},
    {"leak_guard": LeakGuard(0.9)},
    {"challenge": Challenge(approval="human")},
    {"challenge": Challenge(rollback=RollbackBound(worse_by=0.02))},
    {"test_share": 0.25},
    {"unexpected_columns": "refuse"},
    {"retrain_cron": "0 4 5 * *"},
    {"retraining": Retraining(every_days=31)},
    {"retraining": Retraining(spans=(Span("age", 20, 60, 40, 10),))},
    {"zoo": Zoo(candidates=("xgboost", "logistic"))},
    {"zoo": Zoo(candidates=("xgboost",), search_trials=5)},
    {"recipe": recipe()},
    {"recipe": recipe(intercept=0.1)},
    {"recipe": recipe(draws=DRAWS | {"age": Constant(40)})},
    {"recipe": recipe(effects=(Lift("job", {"pilot": 1.0}),))},
    {"watch": Watch(false_alarms_per_month=0.2)},
    {"watch": Watch(context=("rate",))},
)


def test_the_digest_changes_whenever_anything_declared_changes() -> None:
    digests = [tiny_campaign().digest(), *(tiny_campaign(**change).digest() for change in CHANGES)]
    assert len(set(digests)) == len(digests)


def test_every_field_of_a_campaign_is_part_of_the_digest() -> None:
    changed = {name for change in CHANGES for name in change}
    assert changed == set(Campaign.__dataclass_fields__)


def test_the_digest_is_the_same_for_equal_declarations() -> None:
    assert tiny_campaign().digest() == tiny_campaign().digest()
    assert len(tiny_campaign().digest()) == 64


def test_a_declaration_with_lists_in_place_of_tuples_has_the_same_digest() -> None:
    listed = tiny_campaign(features=list(tiny_campaign().features), excluded=list(tiny_campaign().excluded))
    assert listed.digest() == tiny_campaign().digest()


def test_features_keep_their_declared_order() -> None:
    campaign = tiny_campaign()
    assert campaign.feature_names == ("age", "income", "rate", "job", "region")
    assert [f.name for f in campaign.numeric] == ["age", "income", "rate"]
    assert [f.name for f in campaign.categorical] == ["job", "region"]
    assert campaign.feature("job") is campaign.features[3]


@pytest.mark.parametrize("name", ["", "Age", "duration", "accepted"])
def test_a_feature_that_is_not_declared_is_not_found(name: str) -> None:
    with pytest.raises(KeyError):
        tiny_campaign().feature(name)


def test_a_monitor_is_found_by_its_metric() -> None:
    found = tiny_campaign().monitor("psi")
    assert found is not None
    assert found.metric == "psi"
    assert tiny_campaign(monitors=()).monitor("psi") is None


def test_break_even_is_cost_over_value() -> None:
    assert money(Decimal("40"), Decimal("200")).break_even == 0.2
    assert money(Decimal("0.1"), Decimal("0.3")).break_even == pytest.approx(1 / 3, abs=1e-16)

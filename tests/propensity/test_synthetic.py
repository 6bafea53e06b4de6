from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.campaign import Calendar, Campaign, Categorical, Dates, Economics, Label, MonthsInOrder, Numeric
from propensity.campaigns import all_campaigns
from propensity.errors import CampaignError, DataError
from propensity.ingest import read_labelled
from propensity.months import recover_months
from propensity.recipe import (
    Choice,
    Constant,
    Draw,
    Given,
    Lift,
    LogNormal,
    Mixture,
    MonthOf,
    Normal,
    Path,
    Poisson,
    Recipe,
    Slope,
    Uniform,
)
from propensity.synthetic import generate, true_probability

CAMPAIGNS = list(all_campaigns().values())


def _campaign(draw: Draw, *, integer: bool = False, calendar: Calendar | None = None, id_column: str | None = None) -> Campaign:
    return Campaign(
        name="tiny",
        title="Tiny",
        question="?",
        label=Label("hit", "1", "0"),
        features=(Numeric("x", low=-100, high=100, integer=integer), Categorical("kind", ("a", "b"))),
        economics=Economics(contact_cost=Decimal(1), conversion_value=Decimal(9), currency="EUR"),
        calendar=calendar,
        id_column=id_column,
        recipe=Recipe(
            draws={"kind": Choice({"a": 3, "b": 1}), "x": draw},
            effects=(Lift("kind", {"b": 1.0}), Slope("x", per_unit=0.1, around=0.0)),
            intercept=-1.0,
            first_month="2020-11",
            months=4,
            rows=4_000,
        ),
    )


def _x(draw: Draw, *, integer: bool = False) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array(generate(_campaign(draw, integer=integer), seed=3).columns["x"], dtype=np.float64)


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda c: c.name)
def test_every_row_passes_the_campaigns_own_validation(campaign: Campaign) -> None:
    raw = generate(campaign, 2_000, seed=5)
    rows = read_labelled(campaign, raw)
    assert (len(rows.table), rows.issues, rows.ignored) == (2_000, (), ())
    assert set(raw.columns) == {
        *campaign.feature_names,
        campaign.label.column,
        *(campaign.recipe.excluded_draws if campaign.recipe else ()),
    }


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda c: c.name)
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(campaign: Campaign) -> None:
    assert generate(campaign, 500, seed=1).columns == generate(campaign, 500, seed=1).columns
    assert generate(campaign, 500, seed=1).columns != generate(campaign, 500, seed=2).columns


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda c: c.name)
def test_months_run_evenly_through_the_recipes_span(campaign: Campaign) -> None:
    recipe, calendar = campaign.recipe, campaign.calendar
    assert recipe is not None
    assert calendar is not None
    raw = generate(campaign, seed=0)
    assert raw.n == recipe.rows
    months = recover_months(calendar, raw.columns[calendar.column])
    assert months is not None
    found, counts = np.unique(months.values, return_counts=True)
    assert (str(found[0]), len(found)) == (recipe.first_month, recipe.months)
    assert counts.max() - counts.min() <= 1
    assert (np.diff(months.values.astype(int)) >= 0).all()


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda c: c.name)
def test_a_model_that_learns_approaches_the_oracle(campaign: Campaign) -> None:
    """A plain logistic regression on the columns of the signal, fitted here, ranks nearly as well as the truth does on other rows."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score

    def matrix(seed: int) -> tuple[np.ndarray[tuple[int, int], np.dtype[np.float64]], np.ndarray[tuple[int], np.dtype[np.bool_]], float]:
        raw = generate(campaign, seed=seed)
        rows = read_labelled(campaign, raw)
        parts = []
        for feature in campaign.features:
            column = rows.table.columns[feature.name]
            if isinstance(feature, Categorical):
                parts.append(np.eye(len(feature.values))[column])
            else:
                parts.append(((column - column.mean()) / (column.std() + 1e-9))[:, None])
        oracle = roc_auc_score(rows.label, true_probability(campaign, raw.columns))
        return np.concatenate(parts, axis=1), rows.label, float(oracle)

    train, train_label, _ = matrix(1)
    test, test_label, oracle = matrix(2)
    model = LogisticRegression(max_iter=500).fit(train, train_label)
    auc = roc_auc_score(test_label, model.predict_proba(test)[:, 1])
    assert oracle > 0.65
    assert oracle - 0.03 < auc < oracle + 0.01


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda c: c.name)
def test_labels_are_as_frequent_as_their_probabilities_say(campaign: Campaign) -> None:
    raw = generate(campaign, 20_000, seed=4)
    truth = true_probability(campaign, raw.columns)
    hits = np.array(raw.columns[campaign.label.column]) == campaign.label.positive
    for part in np.array_split(np.argsort(truth), 10):
        expected, variance = truth[part].sum(), (truth[part] * (1 - truth[part])).sum()
        assert abs(hits[part].sum() - expected) < 5 * np.sqrt(variance)


def test_continuous_draws_have_their_moments() -> None:
    assert abs(_x(Normal(10, 2)).mean() - 10) < 0.2
    assert abs(_x(Normal(10, 2)).std() - 2) < 0.15
    assert abs(np.median(_x(LogNormal(8, 0.5))) - 8) < 0.5
    uniform = _x(Uniform(-5, 5))
    assert uniform.min() >= -5
    assert uniform.max() <= 5
    assert abs(uniform.mean()) < 0.3
    assert (_x(Constant(7)) == 7).all()


def test_numbers_are_clipped_to_the_features_range() -> None:
    drawn = _x(Normal(0, 1_000))
    assert drawn.min() == -100
    assert drawn.max() == 100


def test_whole_numbers_reach_both_ends_with_their_full_share() -> None:
    counts = np.unique(_x(Uniform(1, 5), integer=True), return_counts=True)
    assert counts[0].tolist() == [1, 2, 3, 4, 5]
    assert counts[1].min() > 4_000 / 5 * 0.85
    poisson = _x(Poisson(2, offset=1), integer=True)
    assert poisson.min() == 1
    assert abs(poisson.mean() - 3) < 0.15


def test_whole_number_features_hold_ints_and_others_floats() -> None:
    assert {type(value) for value in generate(_campaign(Normal(0, 1), integer=True)).columns["x"]} == {int}
    assert {type(value) for value in generate(_campaign(Normal(0, 1))).columns["x"]} == {float}


def test_a_mixture_keeps_its_weights() -> None:
    assert abs((_x(Mixture(((3, Constant(0)), (1, Constant(50))))) == 50).mean() - 0.25) < 0.03


def test_a_draw_may_depend_on_an_earlier_column() -> None:
    raw = generate(_campaign(Given("kind", {"b": Constant(9)}, otherwise=Constant(1))))
    assert set(zip(raw.columns["kind"], raw.columns["x"], strict=True)) == {("a", 1.0), ("b", 9.0)}


def test_a_draw_that_depends_on_a_later_column_is_a_bug_in_the_recipe() -> None:
    campaign = _campaign(Constant(0))
    assert campaign.recipe is not None
    recipe = replace(campaign.recipe, draws={"x": Given("kind", {}, otherwise=Constant(1)), "kind": Choice({"a": 1})})
    with pytest.raises(CampaignError, match="kind"):
        generate(replace(campaign, recipe=recipe))


def test_a_path_runs_linearly_over_the_months() -> None:
    assert np.unique(_x(Path((0, 30)))).tolist() == [0, 10, 20, 30]
    assert np.unique(_x(Path((5,)))).tolist() == [5]
    noisy = _x(Path((0, 30), sd=1.0))
    assert abs(noisy[:1_000].mean()) < 0.2
    assert 0.9 < noisy[:1_000].std() < 1.1


def test_a_month_that_no_category_names_is_a_bug_in_the_recipe() -> None:
    campaign = _campaign(Constant(0))
    assert campaign.recipe is not None
    with pytest.raises(CampaignError, match="January"):
        generate(replace(campaign, recipe=replace(campaign.recipe, draws={"kind": MonthOf(), "x": Constant(0)})))


def test_a_month_may_be_a_number() -> None:
    assert np.unique(_x(MonthOf(), integer=True)).tolist() == [1, 2, 11, 12]


@given(st.integers(1, 200))
@settings(max_examples=25)
def test_dates_and_month_names_are_added_where_they_are_no_feature(rows: int) -> None:
    for calendar in (Dates("day"), MonthsInOrder("month", first_month="2020-11")):
        campaign = _campaign(Constant(0), calendar=calendar)
        raw = generate(campaign, rows)
        months = recover_months(calendar, raw.columns[calendar.column])
        assert months is not None
        assert not months.issues
        assert months.values.tolist() == (np.datetime64("2020-11", "M") + np.arange(rows) * 4 // rows).tolist()


def test_ids_are_added_where_the_campaign_has_an_id_column() -> None:
    raw = generate(_campaign(Constant(0), id_column="customer"), 50)
    assert len(set(raw.columns["customer"])) == 50


def test_a_column_added_to_the_recipe_leaves_the_others_as_they_are() -> None:
    campaign = _campaign(Normal(0, 1))
    assert campaign.recipe is not None
    wider = replace(
        campaign,
        features=(*campaign.features, Numeric("y", low=0, high=1)),
        recipe=replace(campaign.recipe, draws={"y": Uniform(0, 1), **campaign.recipe.draws}),
    )
    assert generate(wider, 100).columns["x"] == generate(campaign, 100).columns["x"]


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(DataError, match="recipe"):
        generate(replace(_campaign(Constant(0)), recipe=None))
    with pytest.raises(DataError):
        generate(_campaign(Constant(0)), 0)
    with pytest.raises(DataError):
        generate(_campaign(Constant(0)), 10, seed=-1)

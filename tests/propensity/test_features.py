from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.campaign import Categorical, Numeric
from propensity.errors import ModelDamaged
from propensity.features import PRIOR_ROWS, Encoding, fit_encoding
from propensity.schema import Table
from tests.builders import one_row, table_of, tiny_campaign, tiny_labels, tiny_table

CAMPAIGN = tiny_campaign()


def jobs(*names: str) -> Table:
    columns = {name: [one_row()[name]] * len(names) for name in CAMPAIGN.feature_names}
    return table_of(CAMPAIGN, columns | {"job": list(names)}, len(names))


def test_categories_are_ranked_by_their_positive_rate() -> None:
    table = jobs(*["clerk"] * 100, *["farmer"] * 100, *["nurse"] * 100, *["pilot"] * 100)
    positive = np.concatenate([np.arange(100) < hits for hits in (30, 10, 40, 20)])
    assert fit_encoding(table, positive).ranks["job"] == (2, 0, 3, 1)


def test_a_rare_category_is_drawn_towards_the_base_rate() -> None:
    # One farmer of one accepts, which says less than 60 of 100 nurses: (1 + 20 b) / 21 against (60 + 20 b) / 120.
    table = jobs("farmer", *["nurse"] * 100, *["clerk"] * 99)
    positive = np.array([True] + [True] * 60 + [False] * 40 + [False] * 99)
    base = positive.mean()
    assert (1 + PRIOR_ROWS * base) / (1 + PRIOR_ROWS) < (60 + PRIOR_ROWS * base) / (100 + PRIOR_ROWS)
    ranks = fit_encoding(table, positive).ranks["job"]
    clerk, farmer, nurse, pilot = ranks
    assert clerk < pilot < farmer < nurse


def test_ties_keep_the_declared_order() -> None:
    assert fit_encoding(jobs("clerk", "pilot"), np.array([True, True])).ranks["job"] == (0, 1, 2, 3)


@pytest.mark.parametrize("label", [False, True])
def test_a_single_class_still_gives_ranks(label: bool) -> None:
    table = tiny_table(30)
    ranks = fit_encoding(table, np.full(30, label)).ranks
    assert {name: sorted(found) for name, found in ranks.items()} == {"job": [0, 1, 2, 3], "region": [0, 1, 2]}


def test_a_column_that_is_missing_throughout_gives_ranks() -> None:
    table = table_of(CAMPAIGN, {name: [value] * 3 for name, value in one_row(region=None).items()}, 3)
    encoding = fit_encoding(table, np.array([True, False, False]))
    assert encoding.ranks["region"] == (0, 1, 2)
    assert np.isnan(encoding.matrix(table)[:, 4]).all()


def test_the_matrix_has_the_declared_columns_and_nan_for_missing() -> None:
    rows = [one_row(), one_row(age=18, income=None, rate=-5, job="clerk", region=None)]
    table = table_of(CAMPAIGN, {name: [row[name] for row in rows] for name in CAMPAIGN.feature_names}, 2)
    matrix = Encoding({"job": (3, 2, 1, 0), "region": (2, 0, 1)}).matrix(table)
    assert matrix.dtype == np.float32
    np.testing.assert_array_equal(matrix, np.array([[40, 20_000.5, 1.25, 1, 0], [18, np.nan, -5, 3, np.nan]], dtype=np.float32))


def test_a_campaign_without_categories_or_without_numbers_is_encoded() -> None:
    numbers = tiny_campaign(features=(Numeric("x", 0, 1),))
    table = table_of(numbers, {"x": [0.5, 1]}, 2)
    assert fit_encoding(table, np.array([True, False])).matrix(table).tolist() == [[0.5], [1.0]]
    words = tiny_campaign(features=(Categorical("x", ("a", "b")),))
    table = table_of(words, {"x": ["b", "a"]}, 2)
    assert fit_encoding(table, np.array([True, False])).matrix(table).tolist() == [[1.0], [0.0]]


def test_an_empty_table_gives_an_empty_matrix() -> None:
    table = tiny_table(3)
    encoding = fit_encoding(table, np.array([True, False, True]))
    assert encoding.matrix(table.take(np.array([], dtype=np.int64))).shape == (0, 5)


@pytest.mark.parametrize("ranks", [(0, 1), (0, 1, 2, 3, 4), ()])
def test_ranks_of_another_declaration_are_refused(ranks: tuple[int, ...]) -> None:
    with pytest.raises(ModelDamaged, match="job"):
        Encoding({"job": ranks, "region": (0, 1, 2)}).matrix(tiny_table(2))


def test_ranks_for_what_is_now_a_number_are_refused() -> None:
    campaign = replace(CAMPAIGN, features=(*CAMPAIGN.features[:-1], Numeric("region", 0, 100)))
    table = table_of(campaign, {name: [value] for name, value in one_row().items()}, 1)
    with pytest.raises(ModelDamaged, match="region"):
        Encoding({"job": (0, 1, 2, 3), "region": (0, 1, 2)}).matrix(table)


def test_an_encoding_that_met_one_campaign_checks_another_campaign_after_it() -> None:
    encoding = Encoding({"job": (3, 2, 1, 0), "region": (2, 0, 1)})
    assert encoding.matrix(tiny_table(4)).tobytes() == encoding.matrix(tiny_table(4)).tobytes()
    campaign = replace(CAMPAIGN, features=(*CAMPAIGN.features[:-1], Numeric("region", 0, 100)))
    with pytest.raises(ModelDamaged, match="region"):
        encoding.matrix(table_of(campaign, {name: [value] for name, value in one_row().items()}, 1))


@given(st.integers(0, 1_000), st.integers(1, 60))
def test_a_row_is_encoded_alone_as_in_any_list(seed: int, n: int) -> None:
    table = tiny_table(n, seed)
    encoding = fit_encoding(table, tiny_labels(table, seed))
    whole = encoding.matrix(table)
    apart = np.concatenate([encoding.matrix(table.take(np.array([at]))) for at in range(n)])
    assert whole.tobytes() == apart.tobytes()

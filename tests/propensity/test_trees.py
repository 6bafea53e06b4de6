from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.trees import NotFlat, Trees, probe_rows, read_trees
from tests.boosters import FEATURES, KINDS, Rows, as_json, booster, rows


@cache
def trees_of(kind: str) -> Trees:
    return read_trees(as_json(booster(kind)))


def margin(made: xgb.Booster, matrix: Rows) -> Rows:
    found: Rows = made.inplace_predict(matrix, predict_type="margin")
    return found


EXTREMES = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-38, 3.4e38, -3.4e38, np.inf, -np.inf, np.nan], dtype=np.float32)


def hard_rows(trees: Trees) -> Rows:
    drawn = np.random.default_rng(4).choice(EXTREMES, (300, FEATURES))
    return np.concatenate([rows(400, seed=3), probe_rows(trees, 1_500), drawn])


@pytest.mark.parametrize("kind", KINDS)
class TestMargins:
    def test_they_are_those_of_xgboost_to_the_bit(self, kind: str) -> None:
        trees = trees_of(kind)
        matrix = hard_rows(trees)
        assert trees.margin(matrix).dtype == np.float32
        assert trees.margin(matrix).tobytes() == margin(booster(kind), matrix).tobytes()

    def test_a_row_has_the_same_bits_alone_and_in_lists_of_any_length(self, kind: str) -> None:
        trees = trees_of(kind)
        matrix = hard_rows(trees)[:512]
        whole = margin(booster(kind), matrix).tobytes()
        for n in (1, 2, 3, 17, 48, 64, 65):
            assert b"".join(trees.margin(matrix[at : at + n]).tobytes() for at in range(0, len(matrix), n)) == whole


# The values themselves, not only those of random rows: any float32 may be sent by other callers than the service.
@settings(deadline=None, max_examples=80)
@given(
    st.lists(st.lists(st.floats(width=32), min_size=FEATURES, max_size=FEATURES), min_size=1, max_size=64), st.sampled_from(sorted(KINDS))
)
def test_any_float32_gives_the_bits_of_xgboost(values: list[list[float]], kind: str) -> None:
    matrix = np.array(values, dtype=np.float32)
    assert trees_of(kind).margin(matrix).tobytes() == margin(booster(kind), matrix).tobytes()


def test_an_early_stopped_booster_is_scored_with_all_its_trees_as_xgboost_does() -> None:
    matrix = rows(600, seed=5)
    data = xgb.DMatrix(matrix, np.nan_to_num(matrix[:, 0]) > 0, nthread=1)
    noise = xgb.DMatrix(rows(100, seed=6), np.arange(100) % 2, nthread=1)
    params = {"objective": "binary:logistic", "nthread": 1, "max_depth": 6}
    made = xgb.train(params, data, 60, evals=[(noise, "noise")], early_stopping_rounds=3, verbose_eval=False)
    trees = read_trees(as_json(made))
    assert made.best_iteration + 1 < trees.trees == made.num_boosted_rounds()
    assert trees.margin(matrix).tobytes() == margin(made, matrix).tobytes()


def test_the_base_is_xgboost_s_own_logarithm() -> None:
    """The margin of a single row in thousands shows the last bit of the base: here every base is looked at itself."""
    data = xgb.DMatrix(rows(60), np.arange(60) % 2, nthread=1)
    for share in np.random.default_rng(2).uniform(0.3, 0.7, 60):
        params = {"objective": "binary:logistic", "nthread": 1, "gamma": 1e9, "base_score": float(share), "eta": 1e-30}
        made = xgb.train(params, data, 1)
        assert read_trees(as_json(made)).base == margin(made, rows(1))[0]


def test_a_base_of_minus_zero_keeps_its_sign() -> None:
    """A base score of one half is log-odds of -0, which shows where every leaf is -0 as well."""
    data = xgb.DMatrix(rows(60), np.arange(60) % 2, nthread=1)
    made = xgb.train({"objective": "binary:logistic", "nthread": 1, "gamma": 1e9, "base_score": 0.5, "eta": 0.1}, data, 1)
    trees = read_trees(as_json(made))
    assert np.signbit(trees.base)
    assert trees.margin(rows(5)).tobytes() == margin(made, rows(5)).tobytes()


def test_threads_share_the_trees() -> None:
    trees, matrix = trees_of("as trained here"), rows(400, seed=9)
    whole = trees.margin(matrix)
    with ThreadPoolExecutor(8) as pool:
        parts = pool.map(lambda at: trees.margin(matrix[at : at + 4]), range(0, 400, 4))
    assert np.concatenate(list(parts)).tobytes() == whole.tobytes()


@pytest.mark.parametrize("matrix", [rows(3)[:, :-1], np.zeros((2, FEATURES)), np.zeros(FEATURES, dtype=np.float32)])
def test_another_matrix_is_refused(matrix: Any) -> None:
    with pytest.raises(ValueError, match="6 features"):
        trees_of("one level").margin(matrix)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"booster": "dart"}, "dart"),
        ({"booster": "gblinear"}, "gblinear"),
        ({"objective": "reg:squarederror"}, "reg:squarederror"),
        ({"objective": "multi:softprob", "num_class": 2}, "multi:softprob"),
    ],
)
def test_another_kind_of_booster_is_refused(params: dict[str, Any], reason: str) -> None:
    made = xgb.train({"objective": "binary:logistic", "nthread": 1} | params, xgb.DMatrix(rows(60), np.arange(60) % 2, nthread=1), 2)
    with pytest.raises(NotFlat, match=reason):
        read_trees(as_json(made))


def test_splits_on_sets_of_categories_are_refused() -> None:
    codes = np.tile(np.arange(6, dtype=np.float32), 20)[:, None]
    data = xgb.DMatrix(codes, np.isin(codes[:, 0], [1, 4]), feature_types=["c"], enable_categorical=True, nthread=1)
    made = xgb.train({"objective": "binary:logistic", "nthread": 1, "max_cat_to_onehot": 1, "min_child_weight": 0}, data, 2)
    with pytest.raises(NotFlat, match="categories"):
        read_trees(as_json(made))


def edited(change: Callable[[dict[str, Any]], None]) -> bytes:
    whole = json.loads(as_json(booster("one level")))
    change(whole["learner"])
    return json.dumps(whole).encode()


def first_tree(learner: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = learner["gradient_booster"]["model"]["trees"][0]
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda learner: learner["gradient_booster"]["model"].update(trees=[]),
        lambda learner: learner.pop("objective"),
        lambda learner: learner["learner_model_param"].update(num_feature="none"),
        lambda learner: learner["learner_model_param"].update(num_feature="0"),
        lambda learner: learner["gradient_booster"].update(model=None),
        lambda learner: first_tree(learner).update(left_children=[0, -1, -1]),
        lambda learner: first_tree(learner).update(left_children=[7_000, -1, -1]),
        lambda learner: first_tree(learner)["split_conditions"].__setitem__(0, 1e300),
        lambda learner: first_tree(learner)["split_conditions"].__setitem__(0, float("nan")),
    ],
)
def test_a_damaged_booster_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    with pytest.raises(NotFlat):
        read_trees(edited(change))


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b"null", b"\xff", b"no"])
def test_what_is_no_booster_is_refused(data: bytes) -> None:
    with pytest.raises(NotFlat):
        read_trees(data)


def test_probe_rows_are_the_same_each_time_and_stand_at_the_thresholds() -> None:
    trees = trees_of("deep")
    made = probe_rows(trees, 200)
    assert made.tobytes() == probe_rows(trees, 200).tobytes()
    assert np.isin(made, trees.threshold).mean() > 0.3
    assert np.isnan(made).any()

from __future__ import annotations

import json
import sys
from pathlib import Path
from subprocess import run

import numpy as np
import pytest
import xgboost as xgb

from propensity.booster import MAX_DEPTH, check_trees, load_booster
from propensity.errors import ModelDamaged
from propensity.model import Model
from tests.api.broken_models import CHANGES, TEXTS, broken
from tests.builders import tiny_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def model() -> Model:
    return tiny_model()


XGBOOST_ITSELF = ("a tree id far away",)


@pytest.mark.parametrize("name", sorted({*CHANGES, *TEXTS} - {*XGBOOST_ITSELF}))
def test_a_broken_booster_is_refused_before_xgboost_sees_it(model: Model, name: str) -> None:
    with pytest.raises(ModelDamaged):
        check_trees(broken(model, name).model_json)


@pytest.mark.parametrize("name", XGBOOST_ITSELF)
def test_what_xgboost_itself_refuses_is_damaged(model: Model, name: str) -> None:
    with pytest.raises(ModelDamaged):
        load_booster(broken(model, name).model_json)


@pytest.mark.parametrize(
    "params",
    [
        {"max_depth": 1},
        {"max_depth": 9, "min_child_weight": 0},
        {"gamma": 2.0, "tree_method": "exact"},
        {"grow_policy": "lossguide", "max_leaves": 40, "max_depth": 0},
    ],
    ids=str,
)
def test_what_xgboost_trains_is_taken(params: dict[str, object]) -> None:
    """With pruning, nodes that were cut off stay in the arrays and belong to no path."""
    random = np.random.default_rng(0)
    matrix = random.random((800, 4))
    label = (matrix[:, 0] + random.normal(0, 0.3, 800)) > 0.5
    trained = xgb.train({"objective": "binary:logistic", "nthread": 1, **params}, xgb.DMatrix(matrix, label), 15)
    data = bytes(trained.save_raw("json"))
    check_trees(data, 4)
    assert bytes(load_booster(data).save_raw("json")) == data
    with pytest.raises(ModelDamaged, match="4 columns"):
        check_trees(data, 5)


@pytest.mark.parametrize(("depth", "taken"), [(MAX_DEPTH, True), (MAX_DEPTH + 1, False)])
def test_a_tree_has_a_greatest_depth(model: Model, depth: int, taken: bool) -> None:
    """A chain of splits whose left child is always a leaf."""
    document = json.loads(model.model_json)
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    size = 2 * depth + 1
    for name in ("split_indices", "split_type", "default_left"):
        tree[name] = [0] * size
    for name in ("split_conditions", "sum_hessian", "base_weights"):
        tree[name] = [1.0] * size
    tree["left_children"] = [at + 1 if at % 2 == 0 and at < size - 1 else -1 for at in range(size)]
    tree["right_children"] = [at + 2 if at % 2 == 0 and at < size - 1 else -1 for at in range(size)]
    tree["tree_param"]["num_nodes"] = str(size)
    data = json.dumps(document).encode()
    if taken:
        check_trees(data)
    else:
        with pytest.raises(ModelDamaged, match="deeper"):
            check_trees(data)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e31", "-1e300", "null", '"1"'])
def test_a_leaf_that_is_no_sound_number_is_refused(model: Model, value: str) -> None:
    document = json.loads(model.model_json)
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    tree["split_conditions"][tree["left_children"].index(-1)] = "HERE"
    with pytest.raises(ModelDamaged):
        check_trees(json.dumps(document).replace('"HERE"', value).encode())


SCORE = """
import sys
import numpy as np
from propensity.booster import read_booster
booster = read_booster(sys.stdin.buffer.read())
booster.inplace_predict(np.zeros((4, 5), dtype=np.float32), predict_type="margin")
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a cycle at the root", "nested", "empty"])
def test_these_end_a_process_that_parses_and_scores_them(model: Model, name: str) -> None:
    """Why all this is needed. Should XGBoost learn to refuse one, this test says so.

    A column far away ends it only where nothing lies in memory there, by chance: it is refused above, and not tried here.
    """
    done = run([sys.executable, "-c", SCORE], input=broken(model, name).model_json, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode < 0

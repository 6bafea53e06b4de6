"""The linear member, and packages of format 2 that hold one."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest

from propensity.adapters.first_parse import FirstParse
from propensity.errors import ModelDamaged
from propensity.explain import reasons
from propensity.linear import Linear, LinearScorer
from propensity.manifest import FORMAT, FORMAT_2, Manifest
from propensity.model import Model, load_package, open_package, recalibrated, save_package, seal_package
from tests.builders import MemoryStore, tiny_linear, tiny_table, with_linear

TABLE = tiny_table(60, seed=99)
SPAN = {"rate": 0.2, "rows": 100, "first": "2024-05-01", "last": "2024-05-31"}


@pytest.fixture(scope="module")
def both(model: Model) -> Model:
    return with_linear(model)


def by_hand(model: Model, linear: Linear) -> list[float]:
    """The linear member's margin by Python's own numbers, feature after feature."""
    found = []
    for at in range(len(TABLE)):
        total, row = linear.intercept, TABLE.row(at)
        for name in model.manifest.features:
            value: Any = row[name]
            if name in linear.numeric:
                term = linear.numeric[name]
                number = math.nan if value is None else float(np.float32(value))
                step = (min(max(number, term.low), term.high) - term.center) / term.scale
                total += term.missing if value is None else term.coefficient * step
            else:
                category = linear.categorical[name]
                total += category.missing if value is None else category.coefficients[model.manifest.categories[name].index(value)]
        found.append(total)
    return found


def test_the_linear_margin_is_what_the_manifest_says_to_the_bit(both: Model) -> None:
    assert both.manifest.linear is not None
    scorer = LinearScorer(both.manifest.linear, both.manifest.features, both.manifest.ranks)
    assert scorer.margin(both.encode(TABLE)).tolist() == by_hand(both, both.manifest.linear)


def test_the_score_is_the_sigmoid_of_both_members_by_their_weights(both: Model) -> None:
    manifest = both.manifest
    assert manifest.linear is not None
    trees = both.engine.margin(both.encode(TABLE)).astype(np.float64)
    log_odds = manifest.slope * (0.55 * trees + 0.45 * np.array(by_hand(both, manifest.linear))) + manifest.offset
    np.testing.assert_allclose(both.score(TABLE), 1 / (1 + np.exp(-log_odds)), rtol=1e-12)
    assert both.log_odds(both.encode(TABLE)).tolist() == log_odds.tolist()


@pytest.mark.parametrize("weights", [(0.55, 0.45), (0.0, 1.0), (1.0, 0.0)])
def test_a_row_has_the_same_bits_alone_in_a_list_and_in_a_long_one(model: Model, weights: tuple[float, float]) -> None:
    made = with_linear(model, *weights)
    whole = made.score(TABLE)
    alone = np.concatenate([made.score(TABLE.take(np.array([at]))) for at in range(60)])
    repeated = np.arange(60).repeat(170)
    assert alone.tobytes() == whole.tobytes()
    assert made.score(TABLE.take(repeated), threads=2).tobytes() == whole[repeated].tobytes()


def test_a_member_without_weight_is_left_out(model: Model) -> None:
    assert with_linear(model, 1.0, 0.0).score(TABLE).tobytes() == model.score(TABLE).tobytes()
    other = replace(tiny_linear(), intercept=0.4)
    assert with_linear(model, 0.0, 1.0, linear=other).score(TABLE).tobytes() != with_linear(model, 0.0, 1.0).score(TABLE).tobytes()


@pytest.mark.parametrize("weights", [(0.55, 0.45), (0.0, 1.0)])
def test_contributions_sum_to_the_log_odds_and_are_exact_for_the_linear_part(model: Model, weights: tuple[float, float]) -> None:
    made = with_linear(model, *weights)
    matrix = made.encode(TABLE)
    for found in (made.contributions(TABLE), made.fast_contributions(matrix)):
        np.testing.assert_allclose(found.sum(axis=1), made.log_odds(matrix), atol=1e-5)
    if weights == (0.0, 1.0):
        term = tiny_linear().numeric["rate"]
        rates = np.clip(TABLE.columns["rate"].astype(np.float32).astype(np.float64), term.low, term.high)
        expected = made.manifest.slope * (term.coefficient * (rates - term.center) / term.scale - term.average)
        np.testing.assert_allclose(made.contributions(TABLE)[:, 2], expected, rtol=1e-12)


def test_reasons_come_from_both_members(both: Model) -> None:
    effects = both.fast_contributions(both.encode(TABLE))[:, :-1]
    for at, found in enumerate(reasons(both, TABLE, 5)):
        assert sorted((abs(reason.effect) for reason in found), reverse=True) == sorted(np.abs(effects[at][effects[at] != 0]), reverse=True)


def test_a_package_of_format_2_comes_back_with_the_same_bits_and_passes_the_first_parse(both: Model) -> None:
    store = MemoryStore()
    again = load_package(store, both.campaign, save_package(store, both))
    assert again.manifest == both.manifest
    assert again.score(TABLE).tobytes() == both.score(TABLE).tobytes()
    first = FirstParse()
    first(seal_package(both.campaign, both.manifest.to_bytes(), both.model_json, both.digest))
    first.close()


def test_a_package_of_format_1_is_written_and_read_as_before(model: Model) -> None:
    raw = json.loads(model.manifest.to_bytes())
    assert raw["format"] == FORMAT
    assert not {"linear", "families", "recalibration", "weight_trees", "weight_linear"} & set(raw)
    assert Manifest.from_bytes(model.manifest.to_bytes()) == model.manifest
    with pytest.raises(ValueError, match="format 1"):
        replace(with_linear(model).manifest, format=FORMAT).to_bytes()


def edits() -> dict[str, Any]:
    """Changes of a sound manifest that must not open, by name."""
    linear = json.loads(json.dumps(asdict(tiny_linear())))
    age, job = linear["numeric"]["age"], linear["categorical"]["job"]
    fewer = {**job, "coefficients": job["coefficients"][:-1]}

    def numeric(**changes: Any) -> dict[str, Any]:
        return {"linear": {**linear, "numeric": {**linear["numeric"], "age": {**age, **changes}}}}

    return {
        "another coefficient": numeric(coefficient=age["coefficient"] * (1 + 1e-9)),
        "another center": numeric(center=48.0),
        "a text": numeric(coefficient="1.0"),
        "a whole number": numeric(coefficient=1),
        "a truth value": numeric(coefficient=True),
        "no number": numeric(coefficient=None),
        "too large": numeric(coefficient=1e31),
        "a scale of nothing": numeric(scale=0.0),
        "bounds turned round": numeric(low=100.0, high=18.0),
        "a part too many": numeric(surplus=1.0),
        "a term too few": {"linear": {**linear, "numeric": {k: v for k, v in linear["numeric"].items() if k != "age"}}},
        "a term too many": {"linear": {**linear, "numeric": {**linear["numeric"], "shoe_size": age}}},
        "a coefficient too few": {"linear": {**linear, "categorical": {**linear["categorical"], "job": fewer}}},
        "no linear member": {"linear": None},
        "a list": {"linear": []},
        "other weights": {"weight_trees": 0.54},
        "a weight below zero": {"weight_linear": -0.45},
        "no weight at all": {"weight_trees": 0.0, "weight_linear": 0.0},
        "no family": {"families": []},
        "a family without a name": {"families": ["xgboost", ""]},
        "ranks that are none": {"ranks": {"job": [0, 1, 2, 2], "region": [0, 1, 2]}},
        "a recalibration of nothing": {"recalibration": {"rate": 0.2, "rows": 0, "first": "a", "last": "b", "base_offset": 0.0}},
        "a rate of nothing": {"recalibration": {"rate": 0.0, "rows": 9, "first": "a", "last": "b", "base_offset": 0.0}},
        "a recalibration that is none": {"recalibration": {"rate": 0.2}},
        "format 3": {"format": 3},
        "format 1": {"format": 1},
    }


@pytest.mark.parametrize("name", edits())
def test_an_edited_manifest_is_refused(both: Model, name: str) -> None:
    edited = json.dumps(json.loads(both.manifest.to_bytes()) | edits()[name], sort_keys=True, separators=(",", ":")).encode()
    with pytest.raises(ModelDamaged):
        open_package(both.campaign, edited, both.model_json, None)


def test_a_scorer_refuses_rows_of_another_width_and_bounds_what_it_reads(both: Model) -> None:
    assert both.manifest.linear is not None
    scorer = LinearScorer(both.manifest.linear, both.manifest.features, both.manifest.ranks)
    with pytest.raises(ValueError, match="5 features"):
        scorer.margin(np.zeros((2, 4), dtype=np.float32))
    wild = both.encode(TABLE).copy()
    wild[:, 0] = 3e38
    assert np.isfinite(scorer.margin(wild)).all()


class TestRecalibrated:
    def test_it_is_another_package_with_the_same_trees_and_shifted_log_odds(self, model: Model) -> None:
        changed = recalibrated(model, model.manifest.offset + 0.5, **SPAN)  # type: ignore[arg-type]
        assert changed.manifest.format == FORMAT_2
        assert changed.digest != model.digest
        assert changed.manifest.model_sha256 == model.manifest.model_sha256
        matrix = model.encode(TABLE)
        np.testing.assert_allclose(changed.log_odds(matrix) - model.log_odds(matrix), 0.5, atol=1e-12)
        opened = open_package(model.campaign, changed.manifest.to_bytes(), changed.model_json, changed.digest)
        assert opened.score(TABLE).tobytes() == changed.score(TABLE).tobytes()

    def test_the_offset_of_the_training_is_kept_however_often(self, both: Model) -> None:
        twice = recalibrated(recalibrated(both, 0.1, **SPAN), 0.2, **SPAN)  # type: ignore[arg-type]
        assert twice.manifest.recalibration is not None
        assert twice.manifest.recalibration.base_offset == both.manifest.offset
        assert twice.digest == recalibrated(both, 0.2, **SPAN).digest  # type: ignore[arg-type]

    @pytest.mark.parametrize("wrong", [{"rate": 0.0}, {"rate": 1.0}, {"rate": math.nan}, {"rows": 0}, {"first": ""}, {"offset": math.inf}])
    def test_what_cannot_be_is_refused(self, model: Model, wrong: dict[str, Any]) -> None:
        with pytest.raises(ValueError, match="recalibration"):
            recalibrated(model, **({"offset": 0.0} | SPAN | wrong))  # type: ignore[arg-type]

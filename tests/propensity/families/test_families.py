"""Every family on the tiny campaign: what is served is what was judged, to the bit."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from propensity.campaign import LARGEST
from propensity.contest import Contest, Plan
from propensity.families.base import Budget, Rows
from propensity.families.lightgbm_trees import LightGBM, leaves, to_xgboost
from propensity.families.logistic import Logistic
from propensity.families.registry import family
from propensity.families.treatments import prior_shift, treated
from propensity.trees import probe_rows, read_trees
from propensity.zoo import FOREST, LIGHTGBM, LOGISTIC, NEURAL, XGBOOST
from tests.builders import tiny_labels, tiny_table

TABLE = tiny_table(500)
LABELS = tiny_labels(TABLE)
PARAMS: dict[str, dict[str, Any]] = {
    XGBOOST: {"objective": "binary:logistic", "max_depth": 3, "eta": 0.2},
    LOGISTIC: {"C": 1.0},
    FOREST: {"objective": "binary:logistic", "num_parallel_tree": 15, "max_depth": 4, "subsample": 0.6, "colsample_bynode": 0.5},
    LIGHTGBM: {"num_leaves": 7, "learning_rate": 0.2, "min_data_in_leaf": 10},
    NEURAL: {"hidden_layer_sizes": (4,), "max_iter": 200, "n_iter_no_change": 3, "batch_size": 25, "learning_rate_init": 0.02},
}
BUDGET = Budget(20, 5)


@pytest.fixture(scope="module")
def rows() -> Rows:
    return Rows.of(TABLE, LABELS)


@pytest.mark.parametrize("name", PARAMS)
def test_a_family_learns_the_signal_and_gives_the_same_twice(rows: Rows, name: str) -> None:
    first, again = (family(name).fit(rows, 20, PARAMS[name], 3) for _ in range(2))
    margin = first.margin(rows.matrix)
    assert margin[rows.positive].mean() > margin[~rows.positive].mean() + 0.2
    assert margin.tobytes() == again.margin(rows.matrix).tobytes()
    assert first.servable == (not family(name).not_servable)
    rounds, held = family(name).held_out(rows, rows, PARAMS[name], 3, BUDGET)
    assert (rounds > 0) == (name in (XGBOOST, LIGHTGBM, FOREST))
    assert held.shape == (500,)


class TestLightGBM:
    @pytest.mark.parametrize("gaps", [True, False], ids=["gaps seen", "no gap seen"])
    def test_every_row_reaches_the_same_leaves_also_at_and_beside_the_thresholds(self, rows: Rows, gaps: bool) -> None:
        import lightgbm as lgb

        kept = np.ones(500, dtype=bool) if gaps else ~np.isnan(rows.matrix).any(axis=1)
        params = {"objective": "binary", "num_leaves": 12, "min_data_in_leaf": 5, "verbose": -1, "num_threads": 1}
        booster = lgb.train(params, lgb.Dataset(rows.matrix[kept], rows.positive[kept].astype(np.int32)), 12)
        trees = read_trees(to_xgboost(booster, 5, 12))
        probes = np.concatenate([rows.matrix, probe_rows(trees, 3_000)])
        # The largest number that a campaign can allow.
        probes[probes > LARGEST] = LARGEST
        reached = leaves(booster, probes)
        of_lightgbm = np.empty(reached.shape, dtype=np.float32)
        for t, column in enumerate(reached.T):
            for leaf in np.unique(column):
                of_lightgbm[column == leaf, t] = booster.get_leaf_output(t, leaf)
        expected = np.add.accumulate(np.concatenate([np.zeros((len(probes), 1), np.float32), of_lightgbm], axis=1), axis=1)[:, -1]
        assert trees.margin(probes).tobytes() == expected.tobytes()
        np.testing.assert_allclose(trees.margin(probes), booster.predict(probes, raw_score=True), atol=1e-5)

    def test_the_package_gives_the_margins_that_were_judged(self, rows: Rows) -> None:
        member = LightGBM().fit(rows, 9, PARAMS[LIGHTGBM], 0)
        assert member.booster_json is not None
        assert read_trees(member.booster_json).margin(rows.matrix).tobytes() == member.margin(rows.matrix).tobytes()
        assert read_trees(member.booster_json).trees == 9


class TestLogistic:
    def test_it_is_the_penalised_maximum_likelihood_of_its_columns(self, rows: Rows) -> None:
        from sklearn.linear_model import LogisticRegression

        member = Logistic().fit(rows, 0, {"C": 1.0}, 0)
        assert member.linear is not None
        age = TABLE.columns["age"].astype(np.float64)
        columns = [(age - age.mean()) / age.std()]
        for name in ("income", "rate"):
            value = TABLE.columns[name].astype(np.float32).astype(np.float64)
            columns.append(np.nan_to_num((value - np.nanmean(value)) / np.nanstd(value)))
        columns.append(np.isnan(TABLE.columns["income"]).astype(float))
        columns += [(TABLE.columns["job"] == code).astype(float) for code in range(4)]
        columns += [(TABLE.columns["region"] == code).astype(float) for code in (-1, 0, 1, 2)]
        fitted = LogisticRegression(C=1.0, tol=1e-10, max_iter=5_000).fit(np.column_stack(columns), LABELS)
        np.testing.assert_allclose(member.margin(rows.matrix), fitted.decision_function(np.column_stack(columns)), atol=1e-3)
        assert member.linear.numeric["age"].missing == 0.0
        assert member.linear.numeric["income"].missing != 0.0

    def test_effects_are_measured_against_the_mean_of_the_training_rows(self, rows: Rows) -> None:
        from propensity.linear import LinearScorer

        linear = Logistic().fit(rows, 0, {"C": 1.0}, 0).linear
        assert linear is not None
        found = LinearScorer(linear, rows.campaign.feature_names, rows.encoding.ranks).contributions(rows.matrix)
        np.testing.assert_allclose(found[:, :-1].mean(axis=0), 0, atol=1e-8)

    def test_values_beyond_those_seen_count_as_the_last_one_seen(self, rows: Rows) -> None:
        member = Logistic().fit(rows, 0, {"C": 1.0}, 0)
        far, edge = rows.matrix[:1].copy(), rows.matrix[:1].copy()
        far[0, 2], edge[0, 2] = 1e30, np.nanmax(rows.matrix[:, 2])
        assert member.margin(far).tolist() == member.margin(edge).tolist()


class TestTreatments:
    @pytest.mark.parametrize("treatment", ["smote", "smote-tomek"])
    def test_synthetic_rows_are_of_the_rarer_label_and_keep_categories(self, rows: Rows, treatment: str) -> None:
        found = treated(rows, treatment, 0)
        assert found.rate == pytest.approx(0.5, abs=0.03)
        assert set(np.unique(found.matrix[:, 3])) <= {0.0, 1.0, 2.0, 3.0}
        if treatment == "smote":
            assert np.array_equal(found.matrix[:500], rows.matrix, equal_nan=True)
            assert found.positive[500:].all()

    def test_tomek_takes_rows_of_the_commoner_label_away(self, rows: Rows) -> None:
        found = treated(rows, "tomek", 0)
        assert found.positive.sum() == rows.positive.sum()
        assert 300 < len(found.positive) < 500

    def test_weights_make_both_labels_count_the_same(self, rows: Rows) -> None:
        found = treated(rows, "weights", 0)
        assert found.rate == pytest.approx(0.5)
        assert found.matrix is rows.matrix

    def test_no_treatment_changes_nothing_and_row_weights_forbid_synthetic_rows(self, rows: Rows) -> None:
        assert treated(rows, "", 0) is rows
        with pytest.raises(ValueError, match="smote"):
            treated(replace(rows, weights=np.ones(500)), "smote", 0)

    def test_the_prior_shift_undoes_the_change_of_the_rate(self) -> None:
        assert prior_shift(0.5, 0.5) == 0.0
        assert 1 / (1 + np.exp(-prior_shift(0.1, 0.5))) == pytest.approx(0.1)


class TestContest:
    PLAN = Plan(3, BUDGET, PARAMS)

    def test_no_row_that_is_held_out_has_a_part_in_what_judges_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Encoding, treatment and model of a fold are made of the other folds' rows: with the held-out labels turned round they stay."""
        seen: list[tuple[bytes, bytes]] = []
        kind = type(family(LOGISTIC))
        original = kind.held_out

        def spy(self: Any, rows: Rows, unseen: Rows, *rest: Any) -> Any:
            seen.append((rows.matrix.tobytes(), unseen.matrix.tobytes()))
            return original(self, rows, unseen, *rest)

        monkeypatch.setattr(kind, "held_out", spy)
        monkeypatch.setattr(os, "cpu_count", lambda: 1)
        contest = Contest(TABLE, LABELS, self.PLAN, 0)
        contest.fitted(LOGISTIC)
        _, held = contest._folds[0]
        turned = LABELS.copy()
        turned[held] = ~turned[held]
        other = Contest(TABLE, turned, self.PLAN, 0)
        other._folds = contest._folds
        other.fitted(LOGISTIC)
        assert seen[0] == seen[3]
        assert seen[1] != seen[4]

    def test_the_average_is_half_of_each_calibrated_log_odds(self) -> None:
        contest = Contest(TABLE, LABELS, self.PLAN, 0)
        trees, linear, average = (contest.fitted(name) for name in (XGBOOST, LOGISTIC, "average"))
        matrix = trees.encoding.matrix(TABLE)
        halves = [part.calibration.calibration.slope / 2 * part.margin(matrix).astype(float) for part in (trees, linear)]
        np.testing.assert_allclose(average.margin(matrix), sum(halves), rtol=1e-12)
        assert average.families == (XGBOOST, LOGISTIC)

    def test_row_weights_count(self) -> None:
        weights = np.where(np.arange(500) < 250, 1e-3, 1.0)
        later = Contest(TABLE, LABELS, self.PLAN, 0, weights).fitted(LOGISTIC)
        plain = Contest(TABLE, LABELS, self.PLAN, 0).fitted(LOGISTIC)
        assert not np.allclose(later.scores(TABLE), plain.scores(TABLE))

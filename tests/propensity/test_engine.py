from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import xgboost as xgb

from propensity import engine, shapley
from propensity.engine import FLAT_ROWS, LONG_ROWS, Engine
from propensity.shapley import Tables, build_tables
from propensity.trees import Trees, read_trees
from tests.boosters import KINDS, Rows, as_json, booster, rows


def engine_of(kind: str) -> Engine:
    return Engine(booster(kind), as_json(booster(kind)))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_scored_flat_and_to_the_bit_on_both_sides_of_the_limit(kind: str) -> None:
    made, matrix = engine_of(kind), rows(2 * FLAT_ROWS)
    assert made.margins == "flat"
    whole = made.margin(matrix).tobytes()
    for n in (1, FLAT_ROWS, FLAT_ROWS + 1):
        assert made.margin(matrix[:n]).tobytes() == whole[: 4 * n]


def test_up_to_the_limit_xgboost_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    made, asked = engine_of("one level"), []
    sound = made._margin_by_xgboost

    def counted(matrix: Rows) -> Rows:
        asked.append(len(matrix))
        return sound(matrix)

    monkeypatch.setattr(made, "_margin_by_xgboost", counted)
    for n in (1, FLAT_ROWS, FLAT_ROWS + 1, 5 * FLAT_ROWS):
        made.margin(rows(n))
    assert asked == [FLAT_ROWS + 1, 5 * FLAT_ROWS]


def test_the_number_of_threads_changes_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    made, matrix = engine_of("as trained here"), rows(LONG_ROWS + 7)
    whole = made.margin(matrix).tobytes()
    used: list[int] = []
    sound = made._margin_by_threads

    def counted(matrix: Rows, threads: int) -> Rows:
        used.append(threads)
        return sound(matrix, threads)

    monkeypatch.setattr(made, "_margin_by_threads", counted)
    for threads in (1, 2, 3, 4):
        assert made.margin(matrix, threads).tobytes() == whole
        assert made.margin(matrix[:LONG_ROWS], threads).tobytes() == whole[: 4 * LONG_ROWS]
    assert made.margin(matrix[: LONG_ROWS - 1], 4).tobytes() == whole[: 4 * (LONG_ROWS - 1)]
    assert used == [2, 2, 3, 3, 4, 4]
    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(lambda threads: made.margin(matrix, threads).tobytes(), [1, 2, 3, 4] * 5)) == {whole}


@pytest.mark.parametrize("params", [{"booster": "dart", "rate_drop": 0.5}, {"objective": "binary:logitraw"}, {"max_depth": 20}])
def test_a_booster_that_is_not_flat_is_left_to_xgboost_and_said_so(params: dict[str, object], caplog: pytest.LogCaptureFixture) -> None:
    matrix = rows(3_000)
    data = xgb.DMatrix(matrix, np.arange(3_000) % 2, nthread=1)
    trained = xgb.train({"objective": "binary:logistic", "nthread": 1, "min_child_weight": 0, "seed": 1} | params, data, 5)
    with caplog.at_level(logging.WARNING, "propensity.engine"):
        made = Engine(trained, as_json(trained))
    assert (made.margins, made.effects, len(made.notes)) == ("xgboost", "xgboost", 1)
    assert made.notes[0] in caplog.text
    assert made.margin(matrix[:5]).tobytes() == trained.inplace_predict(matrix[:5], predict_type="margin").tobytes()
    assert made.contributions(matrix[:5]).tobytes() == made.contributions_by_xgboost(matrix[:5]).tobytes()


def test_trees_with_another_last_bit_are_found_before_they_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = read_trees(as_json(booster("as trained here")))
    value = np.where(sound.feature < 0, np.nextafter(sound.value, np.float32(np.inf)), sound.value)
    monkeypatch.setattr(engine, "read_trees", lambda _: replace(sound, value=value))
    made = engine_of("as trained here")
    assert made.margins == "xgboost"
    assert "differ" in made.notes[0]


def test_rows_that_differ_end_the_use_of_flat_trees(caplog: pytest.LogCaptureFixture) -> None:
    made = engine_of("as trained here")
    made.check(rows(32))
    assert made.margins == "flat"
    assert made.trees is not None
    made._trees = replace(made.trees, base=np.nextafter(made.trees.base, np.float32(np.inf)))
    with caplog.at_level(logging.WARNING, "propensity.engine"):
        made.check(rows(2_000))
    assert made.margins == "xgboost"
    assert made.notes[0] in caplog.text


def test_tables_that_are_too_large_leave_explanations_to_xgboost_and_scores_flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shapley, "MAX_TABLE_BYTES", 100)
    made = engine_of("as trained here")
    assert made.effects == "xgboost"
    assert made.margins == "flat"
    assert len(made.notes) == 1
    assert made.contributions(rows(9)).tobytes() == made.contributions_by_xgboost(rows(9)).tobytes()
    assert len(made.notes) == 1, "said once"


def test_tables_are_built_once_by_the_first_of_many_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    built = []

    def counted(trees: Trees) -> Tables:
        built.append(trees)
        return build_tables(trees)

    monkeypatch.setattr(engine, "build_tables", counted)
    made = engine_of("as trained here")
    assert not built
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: made.contributions(rows(3)).tobytes(), range(16)))
    assert len(set(found)) == len(built) == 1

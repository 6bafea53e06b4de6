from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest

from propensity.explain import global_effects
from propensity.figures import training_figures
from propensity.snapshot import SnapshotData
from propensity.training import Training

NAMES = {
    "roc_curve.png", "precision_recall.png", "calibration.png", "gains.png", "profit.png", "confusion_matrix.png", "effects.png",
}  # fmt: skip


def test_every_picture_is_a_png_with_something_on_it(trained: Training, snapshot: SnapshotData) -> None:
    from matplotlib.image import imread

    effects = global_effects(trained.model, snapshot.table.take(trained.split.test))
    figures = training_figures(trained, effects)
    assert set(figures) == NAMES
    for name, png in figures.items():
        pixels = imread(io.BytesIO(png), format="png")
        assert min(pixels.shape[:2]) >= 400, name
        assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 20, name


def test_the_same_run_gives_the_same_bytes(trained: Training) -> None:
    assert training_figures(trained) == training_figures(trained)


def test_effects_of_rows_replace_the_shares_of_the_gain(trained: Training, snapshot: SnapshotData) -> None:
    effects = global_effects(trained.model, snapshot.table.take(trained.split.test))
    by_gain, by_rows = training_figures(trained), training_figures(trained, effects)
    assert {name for name in NAMES if by_gain[name] != by_rows[name]} == {"effects.png"}


@pytest.mark.parametrize("scores", [0.0, 1.0])
def test_a_model_that_says_the_same_of_everybody_can_be_drawn(trained: Training, scores: float) -> None:
    flat = replace(trained, test_scores=np.full_like(trained.test_scores, scores))
    assert set(training_figures(flat)) == NAMES


@pytest.mark.parametrize("label", [False, True])
def test_one_class_alone_can_be_drawn(trained: Training, label: bool) -> None:
    assert set(training_figures(replace(trained, test_labels=np.full_like(trained.test_labels, label)))) == NAMES

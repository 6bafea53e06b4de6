"""The benchmark's model: of the shape that is spoken of, sound for the service, the same behind the peers' pipeline."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import package
from benchmarks.peers import pipeline
from benchmarks.peers.names import MODEL_FOLDER
from propensity.adapters.object_store import FolderStore
from propensity.campaign import Campaign
from propensity.model import Model, load_package, save_package


def test_the_campaign_has_the_shape_that_is_spoken_of(campaign: Campaign) -> None:
    assert len(campaign.features) == 20
    assert len(campaign.categorical) == 10
    assert (package.TREES, package.DEPTH) == (400, 6)


def test_the_package_passes_the_services_own_checks(model: Model, campaign: Campaign, tmp_path: Path) -> None:
    store = FolderStore(tmp_path)
    loaded = load_package(store, campaign, save_package(store, model))
    customers, _ = package.draw(campaign, 100, package.CUSTOMERS_SEED)
    assert np.array_equal(loaded.score(customers.table), model.score(customers.table))
    assert len(np.unique(model.score(customers.table))) > 50


def test_the_same_seed_draws_the_same_customers(campaign: Campaign) -> None:
    first, positive = package.draw(campaign, 50, 7)
    again, _ = package.draw(campaign, 50, 7)
    assert first.rows == again.rows
    assert first.rows != package.draw(campaign, 50, 8)[0].rows
    assert 0 < positive.sum() < 50


def test_a_kept_model_is_not_trained_twice(campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package, "TREES", 3)
    trained = []
    real = package.train

    def counted(campaign: Campaign) -> Model:
        trained.append(1)
        return real(campaign, rows=1_000, trees=3)

    monkeypatch.setattr(package, "train", counted)
    first = package.kept_model(campaign, tmp_path)
    assert package.kept_model(campaign, tmp_path).digest == first.digest
    assert trained == [1]
    (tmp_path / "models" / campaign.name / first.digest / "model.json").write_bytes(b"{}")
    assert package.kept_model(campaign, tmp_path).digest == first.digest
    assert trained == [1, 1]


def test_the_peers_pipeline_gives_the_models_scores(
    model: Model, campaign: Campaign, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it comes from a store, where the manifest's keys are in another order.
    store = FolderStore(tmp_path / "store")
    model = load_package(store, campaign, save_package(store, model))
    package.write_for_peers(model, tmp_path)
    monkeypatch.setenv(MODEL_FOLDER, str(tmp_path))
    customers, _ = package.draw(campaign, 300, package.CUSTOMERS_SEED)
    got = pipeline.load_pipeline().predict_proba(pd.DataFrame(list(customers.rows)))[:, 1]
    assert np.abs(got - model.score(customers.table)).max() < 1e-6


def test_ranges_and_categories_reach_the_peers(model: Model, campaign: Campaign, tmp_path: Path) -> None:
    package.write_for_peers(model, tmp_path)
    known = json.loads((tmp_path / "encoding.json").read_text(encoding="utf-8"))
    assert [*known["categories"], *known["numeric"]] == list(campaign.feature_names)
    assert all(set(values) == set(campaign.feature(name).values) for name, values in known["categories"].items())  # type: ignore[union-attr]
    assert known["ranges"]["age"] == [18, 100, True]

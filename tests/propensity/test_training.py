from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from propensity.campaign import Campaign, Categorical, LeakGuard, Numeric
from propensity.errors import DataError, LeakSuspected
from propensity.model import open_package
from propensity.snapshot import SnapshotData
from propensity.training import Training, check_leak, choose_split, train
from tests.builders import Labels, snapshot_of, table_of, tiny_campaign, tiny_columns, tiny_labels, tiny_snapshot, tiny_table, train_fast


def test_the_signal_is_found(trained: Training) -> None:
    assert trained.metrics["roc_auc"] > 0.72
    assert trained.random_metrics["roc_auc"] > 0.72
    assert trained.metrics["lift_at_30"] > 1.4
    assert trained.metrics["ece"] < 0.1


def test_no_signal_gives_no_discrimination() -> None:
    table = tiny_table(1_500)
    labels: Labels = np.random.default_rng(5).random(1_500) < 0.3
    found = train_fast(snapshot_of(table, labels))
    assert 0.4 < found.metrics["roc_auc"] < 0.6
    assert found.metrics["ece"] < 0.1


def test_the_model_is_tested_on_months_after_those_it_learned_from(trained: Training, snapshot: SnapshotData) -> None:
    assert snapshot.months is not None
    assert trained.split.kind == "time"
    assert snapshot.months[trained.split.train].max() < snapshot.months[trained.split.test].min()
    assert trained.model.manifest.trained_months == ("2024-01", "2024-04")
    assert trained.model.manifest.trained_rows == int(trained.split.train.sum())


def test_the_test_scores_are_those_of_the_packaged_model(trained: Training, snapshot: SnapshotData) -> None:
    held = snapshot.table.take(trained.split.test)
    assert trained.test_scores.tobytes() == trained.model.score(held).tobytes()
    assert trained.test_labels.tolist() == snapshot.label[trained.split.test].tolist()


def test_the_package_says_where_it_comes_from_and_opens(trained: Training, snapshot: SnapshotData) -> None:
    manifest = trained.model.manifest
    assert manifest.snapshot_id == snapshot.manifest.snapshot_id
    assert manifest.declaration_digest == snapshot.table.campaign.digest()
    assert manifest.metrics == {name: value for name, value in trained.metrics.items() if np.isfinite(value)}
    assert 1 <= manifest.rounds <= 40
    opened = open_package(snapshot.table.campaign, manifest.to_bytes(), trained.model.model_json, trained.model.digest)
    assert opened.score(snapshot.table).tobytes() == trained.model.score(snapshot.table).tobytes()


def test_the_same_snapshot_gives_the_same_package(trained: Training, snapshot: SnapshotData) -> None:
    again = train_fast(snapshot)
    assert again.model.digest == trained.model.digest
    assert again.model.model_json == trained.model.model_json
    assert again.test_scores.tobytes() == trained.test_scores.tobytes()


def test_another_seed_or_other_labels_give_another_package(trained: Training, snapshot: SnapshotData) -> None:
    assert train_fast(snapshot, seed=1).model.digest != trained.model.digest
    flipped = snapshot.label.copy()
    flipped[:50] = ~flipped[:50]
    assert train_fast(replace(snapshot, label=flipped)).model.digest != trained.model.digest


def test_ids_have_no_influence(trained: Training, snapshot: SnapshotData) -> None:
    renamed = replace(snapshot.table, ids=tuple(f"other-{at}" for at in range(len(snapshot.table))))
    assert train_fast(replace(snapshot, table=renamed)).model.digest == trained.model.digest


def test_rows_that_are_tested_have_no_influence_on_the_model(trained: Training, snapshot: SnapshotData) -> None:
    unlike = snapshot.label ^ trained.split.test
    assert train_fast(replace(snapshot, label=unlike)).model.model_json == trained.model.model_json


def leaking(label: Labels) -> tuple[Campaign, SnapshotData]:
    """The excluded column sneaks in as a feature; the guard stays."""
    campaign = tiny_campaign(
        features=(*tiny_campaign().features, Numeric("duration", 0, 1_000)), excluded=(), leak_guard=LeakGuard(roc_auc_above=0.9)
    )
    n = len(label)
    noise = np.random.default_rng(1).uniform(0, 120, n)
    columns = tiny_columns(n) | {"duration": np.where(label, 100 + noise, noise).tolist()}
    return campaign, snapshot_of(table_of(campaign, columns, n), label)


def test_the_leak_guard_fires_when_the_future_is_a_feature(snapshot: SnapshotData) -> None:
    campaign, data = leaking(snapshot.label)
    with pytest.raises(LeakSuspected) as refusal:
        train_fast(data, campaign)
    assert "0.9" in str(refusal.value)


def test_the_leak_guard_lets_honest_data_pass(snapshot: SnapshotData) -> None:
    campaign = tiny_campaign(leak_guard=LeakGuard(roc_auc_above=0.9))
    honest = replace(snapshot, table=replace(snapshot.table, campaign=campaign))
    assert train_fast(honest).random_metrics["roc_auc"] <= 0.9


@pytest.mark.parametrize(("guard", "auc", "fires"), [(0.83, 0.83, False), (0.83, 0.8301, True), (0.83, 0.5, False), (1.0, 1.0, False)])
def test_the_leak_guard_s_bound_itself_is_allowed(guard: float, auc: float, fires: bool) -> None:
    campaign = tiny_campaign(leak_guard=LeakGuard(guard))
    if fires:
        with pytest.raises(LeakSuspected):
            check_leak(campaign, auc)
    else:
        check_leak(campaign, auc)
    check_leak(tiny_campaign(), 1.0)


def test_an_excluded_column_is_refused_before_anything_is_fitted(snapshot: SnapshotData) -> None:
    columns = dict(snapshot.table.columns) | {"duration": np.zeros(len(snapshot.table))}
    sneaked = replace(snapshot, table=replace(snapshot.table, columns=columns))
    with pytest.raises(DataError, match="duration"):
        train(tiny_campaign(), sneaked)


@pytest.mark.parametrize("rare", [0, 1, 49])
@pytest.mark.parametrize("which", [True, False])
def test_too_few_of_a_label_are_refused(rare: int, which: bool) -> None:
    label: Labels = (np.arange(300) < rare) == which
    with pytest.raises(DataError, match=str(rare)):
        train(tiny_campaign(), snapshot_of(tiny_table(300), label))


def test_too_few_of_a_label_in_the_part_to_learn_from_are_refused() -> None:
    # All who accepted did so in the last of six months, which is tested.
    label: Labels = np.arange(1_200) >= 1_050
    with pytest.raises(DataError, match="learn from"):
        train_fast(snapshot_of(tiny_table(1_200), label))


def test_a_test_part_with_one_class_trains_and_leaves_out_what_cannot_be_measured() -> None:
    table = tiny_table(1_200)
    label = tiny_labels(table)
    label[800:] = False
    found = train_fast(snapshot_of(table, label))
    assert np.isnan(found.metrics["roc_auc"])
    assert "roc_auc" not in found.model.manifest.metrics
    assert len(found.model.digest) == 64


@pytest.mark.parametrize("months", [0, 1])
def test_without_a_calendar_or_with_one_month_the_split_is_random(months: int) -> None:
    found = train_fast(tiny_snapshot(600, months=months))
    assert found.split.kind == "random"
    assert (found.model.manifest.trained_months is None) == (months == 0)


def test_the_split_follows_the_calendar() -> None:
    data = tiny_snapshot(60)
    assert choose_split(tiny_campaign(), data.label, data.months, 0).kind == "time"
    assert choose_split(tiny_campaign(), data.label, None, 0).kind == "random"


def test_a_campaign_of_one_feature_trains() -> None:
    campaign = tiny_campaign(features=(Categorical("job", ("clerk", "farmer", "nurse", "pilot")),))
    n = 900
    table = table_of(campaign, {"job": tiny_columns(n)["job"]}, n)
    pilots: Labels = np.array([job == "pilot" for job in table.values("job")]) & (np.arange(n) % 3 > 0)
    found = train_fast(snapshot_of(table, pilots))
    assert found.metrics["recall"] == 1.0


def test_a_column_that_is_missing_throughout_does_not_matter() -> None:
    columns = tiny_columns(900) | {"income": [None] * 900, "region": [None] * 900}
    table = table_of(tiny_campaign(), columns, 900)
    found = train_fast(snapshot_of(table, tiny_labels(table)))
    assert found.metrics["roc_auc"] > 0.65
    assert set(found.model.importance()) == {"age", "rate", "job"}


def test_progress_is_told(snapshot: SnapshotData) -> None:
    told: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("propensity.training.MAX_ROUNDS", 2)
        patch.setattr("propensity.training.SEEDS", (42, 0))
        train(snapshot.table.campaign, snapshot, progress=told.append)
    assert len(told) == 3

from __future__ import annotations

import socket
import subprocess
import sys
import time
import traceback
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.mlflow_registry import MlflowRegistry
from propensity.campaigns import campaign
from propensity.errors import ModelDamaged, RegistryUnavailable, RowsInvalid, SettingsInvalid
from propensity.ingest import ingest
from propensity.model import Model
from propensity.ports import TrainingRun
from propensity.snapshot import read_snapshot
from propensity.synthetic import generate
from tests.builders import MemoryStore, train_fast

# Its categories are texts and whole numbers.
CAMPAIGN = campaign("purchase-propensity")
SECRET = "not-to-be-shown"


@pytest.fixture(scope="module")
def model() -> Model:
    store = MemoryStore()
    manifest = ingest(CAMPAIGN, generate(CAMPAIGN, 4_000, 3), store).manifest
    return train_fast(read_snapshot(store, CAMPAIGN, manifest.snapshot_id)).model


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def uri(database: DatabaseUrls) -> str:
    return database.owner_url.replace("postgresql://", "postgresql+psycopg://")


@pytest.fixture(scope="module")
def registry(uri: str, artifacts: Path) -> MlflowRegistry:
    return MlflowRegistry(uri, artifacts.as_uri())


@pytest.fixture(scope="module")
def run(model: Model, tmp_path_factory: pytest.TempPathFactory) -> TrainingRun:
    return training_run(model, tmp_path_factory.mktemp("package"))


@pytest.fixture(scope="module")
def logged(registry: MlflowRegistry, run: TrainingRun) -> tuple[str, str]:
    return registry.log(run)


@pytest.fixture
def client(uri: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(uri, uri)


def training_run(model: Model, folder: Path) -> TrainingRun:
    (folder / "manifest.json").write_bytes(model.manifest.to_bytes())
    (folder / "model.json").write_bytes(model.model_json)
    return TrainingRun(
        campaign=CAMPAIGN.name,
        params={"eta": 0.03, "rounds": 7},
        metrics={"roc_auc": 0.75, "random_roc_auc": 0.8, "undefined": float("nan")},
        tags={"code_version": model.manifest.code_version, "split": model.manifest.split},
        package_dir=folder,
        figures={"roc_curve.png": b"\x89PNG picture"},
        snapshot_id=model.manifest.snapshot_id,
        snapshot_uri="s3://bucket/snapshots/data.parquet",
        rows=4_000,
        feature_names=CAMPAIGN.feature_names,
    )


def test_a_run_holds_what_it_was_made_of(logged: tuple[str, str], client: Any, run: TrainingRun, model: Model) -> None:
    found = client.get_run(logged[0])
    assert found.info.status == "FINISHED"
    assert found.data.params == {"eta": "0.03", "rounds": "7"}
    assert found.data.metrics == {"roc_auc": 0.75, "random_roc_auc": 0.8}
    assert found.data.tags["model_digest"] == model.digest
    assert found.data.tags["split"] == model.manifest.split
    [dataset] = found.inputs.dataset_inputs
    assert (dataset.dataset.name, dataset.dataset.digest) == (run.snapshot_id, run.snapshot_id)
    assert run.snapshot_uri in dataset.dataset.source
    assert {f.path for f in client.list_artifacts(logged[0], "package")} == {"package/manifest.json", "package/model.json"}
    assert [f.path for f in client.list_artifacts(logged[0], "figures")] == ["figures/roc_curve.png"]


def test_the_experiment_and_its_artifacts_belong_to_the_campaign(logged: tuple[str, str], client: Any, artifacts: Path) -> None:
    experiment = client.get_experiment(client.get_run(logged[0]).info.experiment_id)
    assert experiment.name == CAMPAIGN.name
    assert experiment.artifact_location == f"{artifacts.as_uri()}/{CAMPAIGN.name}"
    assert not list(artifacts.rglob("*.pkl"))


def test_the_version_is_the_challenger_and_can_be_found(
    logged: tuple[str, str], client: Any, registry: MlflowRegistry, model: Model
) -> None:
    version = client.get_model_version_by_alias(CAMPAIGN.name, "challenger")
    assert (str(version.version), version.run_id) == (logged[1], logged[0])
    assert registry.find(CAMPAIGN.name, model.digest) == logged[1]
    assert registry.newest(CAMPAIGN.name) == model.digest


def test_the_same_package_is_registered_once(logged: tuple[str, str], client: Any, registry: MlflowRegistry, run: TrainingRun) -> None:
    assert registry.log(run) == logged
    assert len(client.search_model_versions(f"name = '{CAMPAIGN.name}'")) == 1
    assert len(client.search_runs([client.get_experiment_by_name(CAMPAIGN.name).experiment_id])) == 1


def test_loaded_by_mlflow_it_gives_the_same_scores_to_the_bit(
    logged: tuple[str, str], uri: str, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{CAMPAIGN.name}@challenger")
    columns = model.manifest.canary["columns"]
    expected = np.array(model.manifest.canary["scores"])
    frame = pd.DataFrame(columns)
    scores = loaded.predict(frame)
    assert scores.dtype == np.float64
    assert np.array_equal(scores, expected)
    assert np.array_equal(loaded.predict(frame[frame.columns[::-1]]), expected)
    assert np.array_equal(loaded.predict(frame.to_dict("records")), expected)
    assert np.array_equal(loaded.predict(frame.iloc[[3]]), expected[[3]])
    # With a gap pandas makes floats of whole numbers; the rows that have a value keep their score.
    gap = frame.astype({"Region": float})
    assert np.array_equal(loaded.predict(gap), expected)
    gap.loc[1, "Region"] = np.nan
    with pytest.raises(RowsInvalid) as caught:
        loaded.predict(gap.assign(ExitRates=[2.5] + [0.01] * (len(gap) - 1)))
    assert [(issue.row, issue.column, issue.code) for issue in caught.value.issues] == [
        (1, "ExitRates", "out_of_range"),
        (2, "Region", "missing"),
    ]
    assert "2.5" not in str(caught.value)
    with pytest.raises(RowsInvalid):
        loaded.predict(frame.drop(columns="Region"))


def test_the_artifact_alone_is_enough_to_load_the_model(logged: tuple[str, str], artifacts: Path, model: Model, tmp_path: Path) -> None:
    [folder] = [path.parent for path in artifacts.rglob("MLmodel")]
    code = (
        "import sys; import mlflow.pyfunc, pandas\n"
        f"scores = mlflow.pyfunc.load_model({str(folder)!r}).predict(pandas.DataFrame({model.manifest.canary['columns']!r}))\n"
        "import propensity; print(propensity.__file__); print(scores.tolist())"
    )
    # -P and another folder: the project itself is not importable.
    done = subprocess.run([sys.executable, "-P", "-W", "ignore", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    where, scores = done.stdout.splitlines()
    assert Path(where).is_relative_to(artifacts)
    assert scores == str(model.manifest.canary["scores"])


def test_another_package_becomes_the_challenger_and_leaves_the_champion(
    logged: tuple[str, str], client: Any, registry: MlflowRegistry, model: Model, run: TrainingRun, tmp_path: Path
) -> None:
    registry.set_alias(CAMPAIGN.name, "champion", logged[1])
    other = replace(model, manifest=replace(model.manifest, code_version="0+other"))
    _, version = registry.log(training_run(other, tmp_path))
    assert version != logged[1]
    assert registry.newest(CAMPAIGN.name) == other.digest
    assert str(client.get_model_version_by_alias(CAMPAIGN.name, "champion").version) == logged[1]
    registry.log(run)
    assert registry.newest(CAMPAIGN.name) == model.digest


def test_what_is_not_registered_is_not_found(logged: tuple[str, str], registry: MlflowRegistry) -> None:
    assert registry.find("no-such-campaign", "0" * 64) is None
    assert registry.find(CAMPAIGN.name, "0" * 64) is None
    assert registry.newest("no-such-campaign") is None
    with pytest.raises(RegistryUnavailable):
        registry.set_alias(CAMPAIGN.name, "champion", "999")


def test_a_package_without_its_files_is_refused(registry: MlflowRegistry, run: TrainingRun, tmp_path: Path) -> None:
    with pytest.raises(ModelDamaged):
        registry.log(replace(run, package_dir=tmp_path))


def test_it_says_nothing(logged: tuple[str, str], registry: MlflowRegistry, run: TrainingRun, capfd: pytest.CaptureFixture[str]) -> None:
    registry.log(run)
    registry.set_alias(CAMPAIGN.name, "quiet", logged[1])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scheme", ["postgresql", "http"])
def test_a_dead_registry_is_refused_quickly_and_without_its_password(scheme: str, run: TrainingRun, tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dead = MlflowRegistry(f"{scheme}://user:{SECRET}@127.0.0.1:{port}/mlflow", tmp_path.as_uri())
    began = time.monotonic()
    with pytest.raises(RegistryUnavailable) as caught:
        dead.log(run)
    assert time.monotonic() - began < 60  # MLflow's own retries take minutes
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_password_is_not_repeated(uri: str, run: TrainingRun, tmp_path: Path) -> None:
    head, _, place = uri.rpartition("@")
    user = head.split("://")[1].split(":")[0]
    wrong = MlflowRegistry(f"postgresql://{user}:{SECRET}@{place}", tmp_path.as_uri())
    with pytest.raises(RegistryUnavailable) as caught:
        wrong.find(CAMPAIGN.name, "0" * 64)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("address", ["", "sqlite:///x.db", "mlruns", "file:///tmp/x", "postgresql://"])
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SettingsInvalid):
        MlflowRegistry(address)

"""Experiments and registered models in MLflow 3, reached by its server or, on one machine, by its database."""

from __future__ import annotations

import hashlib
import json
import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import propensity
from propensity.adapters.mlflow_client import mlflow_client, normalised
from propensity.adapters.mlflow_model import FILES
from propensity.errors import ModelDamaged
from propensity.ports import TrainingRun

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, LoggedModel
    from mlflow.models import ModelSignature

CHALLENGER = "challenger"
DIGEST_TAG = "model_digest"
LOADER = "propensity.adapters.mlflow_model"
# What loading and predicting needs; stated, because MLflow would otherwise run the model for half a minute to find out.
REQUIREMENTS = ("mlflow", "numpy", "pandas", "xgboost-cpu")
_DATASET_DIGEST_LENGTH = 36
_PARAM_LENGTH = 6_000


class MlflowRegistry:
    """`propensity.ports.ModelRegistry`. An experiment and a registered model per campaign, both of the campaign's name.

    Parameters
    ----------
    tracking_uri : str
        ``postgresql://...`` or ``http(s)://...``.
    artifact_root : str
        ``file:///folder`` or ``s3://bucket/prefix``; an experiment's artifacts lie in a folder of its name. Empty: the server decides.
    """

    def __init__(self, tracking_uri: str, artifact_root: str = "") -> None:
        self._uri = normalised(tracking_uri)
        self._artifact_root = artifact_root.rstrip("/")

    def log(self, run: TrainingRun) -> tuple[str, str]:
        """Log a run and register its model as ``challenger``; return (run id, version).

        A package that was registered before is not registered again: it becomes ``challenger``, and its run and version are returned.

        Raises
        ------
        ModelDamaged
            ``run.package_dir`` lacks a file of the package.
        RegistryUnavailable
            MLflow did not answer. What was written of the run so far stays, marked FAILED where MLflow could still be told.
        """
        digest = _digest(run.package_dir)
        with mlflow_client(self._uri) as client:
            found = self._registered(client, run.campaign, digest)
            if found is None:
                found = self._log_new(client, run, digest)
            client.set_registered_model_alias(run.campaign, CHALLENGER, found[1])
        return found

    def find(self, campaign: str, digest: str) -> str | None:
        """Registered version of the package with that digest; None where it is not registered. Raises RegistryUnavailable."""
        with mlflow_client(self._uri) as client:
            found = self._registered(client, campaign, digest)
        return None if found is None else found[1]

    def newest(self, campaign: str) -> str | None:
        """Digest of the package that was logged last, the ``challenger``; None where there is none."""
        from mlflow.exceptions import MlflowException

        with mlflow_client(self._uri) as client:
            try:
                return client.get_model_version_by_alias(campaign, CHALLENGER).tags.get(DIGEST_TAG)
            except MlflowException as exc:
                # The second code is MLflow's for a model without that alias.
                if exc.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise
                return None

    def set_alias(self, campaign: str, alias: str, version: str) -> None:
        """Let an alias (``champion``) name a version. Raises RegistryUnavailable, also where there is no such version."""
        with mlflow_client(self._uri) as client:
            client.set_registered_model_alias(campaign, alias, version)

    def _registered(self, client: MlflowClient, campaign: str, digest: str) -> tuple[str, str] | None:
        versions = client.search_model_versions(f"name = '{campaign}' and tags.{DIGEST_TAG} = '{digest}'", max_results=1)
        return (str(versions[0].run_id), str(versions[0].version)) if versions else None

    def _log_new(self, client: MlflowClient, run: TrainingRun, digest: str) -> tuple[str, str]:
        experiment = self._experiment(client, run.campaign)
        name = f"{run.campaign}-{digest[:12]}"
        tags = {key: str(value) for key, value in run.tags.items()} | {DIGEST_TAG: digest, "snapshot_id": run.snapshot_id}
        run_id = client.create_run(experiment, tags=tags, run_name=name).info.run_id
        with _ending(client, run_id):
            model = client.create_logged_model(experiment, name, run_id, tags, {k: str(v) for k, v in run.params.items()}, "propensity")
            _log_numbers(client, run, run_id, model.model_id)
            client.log_inputs(run_id, [_dataset(run)])
            _log_files(client, run, run_id, model)
            registered = self._register(client, run, run_id, model, digest)
        return run_id, registered

    def _experiment(self, client: MlflowClient, campaign: str) -> str:
        from mlflow.exceptions import MlflowException

        found = client.get_experiment_by_name(campaign)
        if found is not None:
            return str(found.experiment_id)
        location = f"{self._artifact_root}/{campaign}" if self._artifact_root else None
        try:
            return str(client.create_experiment(campaign, location))
        except MlflowException:
            # Another run may have created it in the same moment.
            found = client.get_experiment_by_name(campaign)
            if found is None:
                raise
            return str(found.experiment_id)

    def _register(self, client: MlflowClient, run: TrainingRun, run_id: str, model: LoggedModel, digest: str) -> str:
        from mlflow.exceptions import MlflowException

        try:
            client.create_registered_model(run.campaign)
        except MlflowException as exc:
            if exc.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        tags = {DIGEST_TAG: digest, "snapshot_id": run.snapshot_id}
        made = client.create_model_version(run.campaign, model.artifact_location, run_id, tags, model_id=model.model_id)
        return str(made.version)


def _digest(package: Path) -> str:
    missing = [name for name in FILES if not (package / name).is_file()]
    if missing:
        raise ModelDamaged(f"the model package lacks {', '.join(missing)}")
    return hashlib.sha256((package / FILES[0]).read_bytes()).hexdigest()


@contextmanager
def _ending(client: MlflowClient, run_id: str) -> Iterator[None]:
    """Mark the run FINISHED, or FAILED where the block raises."""
    status = "FAILED"
    try:
        yield
        status = "FINISHED"
    finally:
        client.set_terminated(run_id, status)


def _log_numbers(client: MlflowClient, run: TrainingRun, run_id: str, model_id: str) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [
        # NaN says "not defined" (one class alone): MLflow would show it as zero.
        Metric(name, float(value), now, 0, model_id=model_id, dataset_name=run.snapshot_id, dataset_digest=run.snapshot_id, run_id=run_id)
        for name, value in run.metrics.items()
        if math.isfinite(value)
    ]
    client.log_batch(run_id, metrics, [Param(name, str(value)[:_PARAM_LENGTH]) for name, value in run.params.items()])


def _dataset(run: TrainingRun) -> DatasetInput:
    """The snapshot by reference: nothing of it is copied."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    kind = {"file": "local", "s3": "s3"}.get(urlsplit(run.snapshot_uri).scheme, "http")
    columns = [{"type": "any", "name": name, "required": True} for name in run.feature_names]
    dataset = Dataset(
        name=run.snapshot_id,
        digest=run.snapshot_id[:_DATASET_DIGEST_LENGTH],
        source_type=kind,
        source=json.dumps({"uri": run.snapshot_uri}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": run.rows, "num_elements": run.rows * len(run.feature_names)}),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])


def _log_files(client: MlflowClient, run: TrainingRun, run_id: str, model: LoggedModel) -> None:
    from mlflow.entities import LoggedModelOutput

    with tempfile.TemporaryDirectory() as folder:
        figures, pyfunc = Path(folder, "figures"), Path(folder, "pyfunc")
        figures.mkdir()
        for name, png in run.figures.items():
            (figures / name).write_bytes(png)
        client.log_artifacts(run_id, str(figures), "figures")
        client.log_artifacts(run_id, str(run.package_dir), "package")
        _save_pyfunc(run, pyfunc, run_id, model.model_id)
        client.log_model_artifacts(model.model_id, str(pyfunc))
    client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])


def _save_pyfunc(run: TrainingRun, folder: Path, run_id: str, model_id: str) -> None:
    """Write the package as an MLflow model with the code that reads it, so that it loads where this project is not installed."""
    import mlflow.pyfunc
    from mlflow.models import Model

    mlflow.pyfunc.save_model(
        path=str(folder),
        loader_module=LOADER,
        data_path=str(run.package_dir),
        code_paths=[str(Path(propensity.__file__).parent)],
        pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
        mlflow_model=Model(run_id=run_id, model_id=model_id),
        signature=_signature(run),
        metadata={"campaign": run.campaign, "snapshot_id": run.snapshot_id},
    )


def _signature(run: TrainingRun) -> ModelSignature:
    """The columns by name, of any type: MLflow's own types refuse whole numbers in a float column, and validation is the model's part."""
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema
    from mlflow.types.schema import AnyType, DataType

    anything: Any = AnyType  # its constructor is not typed
    inputs = Schema([ColSpec(anything(), name, required=False) for name in run.feature_names])
    return ModelSignature(inputs, Schema([ColSpec(DataType.double, "score")]))

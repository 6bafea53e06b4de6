"""Saves the pipeline as an MLflow model with a signature: ``python -m benchmarks.peers.mlflow_model FOLDER CUSTOMERS.json``."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import infer_signature

from benchmarks.peers.pipeline import load_pipeline


def main(folder: Path, customers: Path) -> None:
    """Write the model to ``folder``; the signature is learned from the customers."""
    pipeline = load_pipeline()
    frame = pd.DataFrame(json.loads(customers.read_text(encoding="utf-8"))).drop(columns="id")
    shutil.rmtree(folder, ignore_errors=True)
    mlflow.sklearn.save_model(
        pipeline,
        str(folder),
        signature=infer_signature(frame, pipeline.predict_proba(frame)),
        pyfunc_predict_fn="predict_proba",
        serialization_format="cloudpickle",  # the default, skops, does not know XGBoost
        pip_requirements=["scikit-learn", "xgboost"],
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

"""The model as a scikit-learn user has it: an encoder and an XGBClassifier in one pipeline."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import xgboost as xgb
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OrdinalEncoder

from benchmarks.peers.names import MODEL_FOLDER


def model_folder() -> Path:
    """Where `benchmarks.package.write_for_peers` put the model."""
    return Path(os.environ[MODEL_FOLDER])


def encoding() -> dict[str, Any]:
    """Categories in order of rank, numeric columns, their ranges."""
    read: dict[str, Any] = json.loads((model_folder() / "encoding.json").read_text(encoding="utf-8"))
    return read


def load_pipeline() -> Any:
    """A fitted pipeline: ordinal encoding in the order of the model's ranks, then the very trees."""
    known = encoding()
    categories: dict[str, list[Any]] = known["categories"]
    numeric: list[str] = known["numeric"]
    encoder = ColumnTransformer(
        [
            ("category", OrdinalEncoder(categories=list(categories.values())), list(categories)),
            ("number", "passthrough", numeric),
        ]
    )
    # The categories are given: one row is enough to call it fitted.
    encoder.fit(pd.DataFrame({**{name: values[:1] for name, values in categories.items()}, **{name: [0.0] for name in numeric}}))
    classifier = xgb.XGBClassifier(n_jobs=1)
    classifier.load_model(model_folder() / "booster.json")
    return Pipeline([("encode", encoder), ("model", classifier)])

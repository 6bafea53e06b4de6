"""A model package as an MLflow pyfunc: the same validation and the same scores, to the bit, as everywhere else. No pickle."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign, Categorical, Feature
from propensity.campaigns import campaign
from propensity.errors import ModelDamaged, RowsInvalid
from propensity.model import Manifest, Model, open_package
from propensity.schema import check_rows

if TYPE_CHECKING:
    import pandas as pd

Rows = list[Mapping[str, object]]
FILES = ("manifest.json", "model.json")
NAMED_ISSUES = 10


class PackageModel:
    """What `mlflow.pyfunc.load_model` wraps."""

    def __init__(self, model: Model) -> None:
        self.model = model

    def predict(self, model_input: pd.DataFrame | Rows, params: Mapping[str, Any] | None = None) -> npt.NDArray[np.float64]:  # noqa: ARG002
        """Probability of the positive label per row, float64, shape (n,).

        Parameters
        ----------
        model_input : DataFrame, or list of dicts
            The campaign's feature columns in any order; others are not looked at. NaN, NA and None mean missing.
        params : None
            There are none; MLflow hands this over to every model.

        Raises
        ------
        RowsInvalid
            A row has a value that the campaign does not allow; names the rows (from 1) and what is allowed. No row is scored then.
        """
        declared = self.model.campaign
        columns, n = _columns(declared, model_input)
        checked = check_rows(declared, columns, None, n, text=False)
        if checked.issues:
            named = "; ".join(str(issue) for issue in checked.issues[:NAMED_ISSUES])
            raise RowsInvalid(f"{checked.refused} of {n} rows cannot be scored: {named}", checked.issues)
        return self.model.score(checked.table)


def _load_pyfunc(data_path: str) -> PackageModel:
    """Open the package in a folder, under the name that MLflow looks for.

    Raises ModelDamaged where it is not sound, NotFound where its campaign is not declared here.
    """
    folder = Path(data_path)
    try:
        manifest, model_json = ((folder / name).read_bytes() for name in FILES)
    except OSError as exc:
        raise ModelDamaged(f"the model package lacks one of its files: {', '.join(FILES)}") from exc
    return PackageModel(open_package(campaign(Manifest.from_bytes(manifest).campaign), manifest, model_json, None))


def _columns(declared: Campaign, rows: pd.DataFrame | Rows) -> tuple[dict[str, list[object]], int]:
    if isinstance(rows, list):
        raw = {name: [row.get(name) for row in rows] for name in declared.feature_names}
    else:
        raw = {name: rows[name].tolist() for name in declared.feature_names if name in rows.columns}
    return {name: _plain(declared.feature(name), values) for name, values in raw.items()}, len(rows)


def _plain(feature: Feature, values: list[object]) -> list[object]:
    """Undo what pandas does to a column with gaps: NaN and NA stand for missing, and whole numbers have become floats."""
    import pandas as pd

    gaps = pd.isna(pd.Series(values, dtype=object)).tolist()
    coded = isinstance(feature, Categorical) and any(isinstance(value, int) for value in feature.values)
    plain = [None if gap else value for value, gap in zip(values, gaps, strict=True)]
    return [int(value) if coded and isinstance(value, float) and value.is_integer() else value for value in plain]

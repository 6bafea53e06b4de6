"""Customers that can be posted, and small real models, all drawn from a seed."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
import xgboost as xgb

from propensity.booster import load_booster
from propensity.campaign import Campaign, Categorical
from propensity.features import fit_encoding
from propensity.model import FORMAT, Manifest, Model, canary, categories_of
from propensity.schema import Table, check_rows

Row = dict[str, Any]


def make_rows(campaign: Campaign, n: int, seed: int = 0, *, head: str = "c") -> list[Row]:
    """Random rows that the campaign accepts, with ids ``c1`` onwards."""
    random = np.random.default_rng(seed)
    rows: list[Row] = [{campaign.id_column or "id": f"{head}{at + 1}"} for at in range(n)]
    for feature in campaign.features:
        if isinstance(feature, Categorical):
            drawn: list[Any] = [feature.values[at] for at in random.integers(0, len(feature.values), n)]
        elif feature.integer:
            drawn = random.integers(int(feature.low), int(feature.high) + 1, n).tolist()
        else:
            drawn = random.uniform(feature.low, feature.high, n).tolist()
        for row, value in zip(rows, drawn, strict=True):
            row[feature.name] = value
    return rows


def as_table(campaign: Campaign, rows: list[Row]) -> Table:
    """Rows as a table; they must all be sound."""
    columns = {name: [row[name] for row in rows] for name in campaign.feature_names}
    checked = check_rows(campaign, columns, [row[campaign.id_column or "id"] for row in rows], len(rows), text=False)
    assert not checked.issues, "rows drawn from the declaration fit it"
    return checked.table


def make_model(campaign: Campaign, *, seed: int = 0, trees: int = 20, depth: int = 4) -> Model:
    """A model trained on 500 random rows with a signal in the first feature; another seed gives other scores."""
    table = as_table(campaign, make_rows(campaign, 500, seed))
    first = table.columns[campaign.feature_names[0]].astype(np.float64)
    positive = (first + np.random.default_rng(seed).normal(0, first.std(), 500)) > np.quantile(first, 0.7)
    encoding = fit_encoding(table, positive)
    params = {"objective": "binary:logistic", "max_depth": depth, "eta": 0.2, "nthread": 1, "seed": seed}
    trained = xgb.train(params, xgb.DMatrix(encoding.matrix(table), positive), trees)
    model_json = bytes(trained.save_raw("json"))
    manifest = Manifest(
        format=FORMAT,
        campaign=campaign.name,
        declaration_digest=campaign.digest(),
        features=campaign.feature_names,
        categories=categories_of(campaign),
        ranks=encoding.ranks,
        slope=0.9,
        offset=-0.1,
        params=params,
        rounds=trees,
        snapshot_id="0" * 64,
        split="random",
        trained_months=("2008-05", "2009-12"),
        trained_rows=500,
        metrics={"roc_auc": 0.7},
        code_version="sample",
        model_sha256=hashlib.sha256(model_json).hexdigest(),
        canary={},
    )
    model = Model(campaign, manifest, load_booster(model_json), model_json)
    return replace(model, manifest=replace(manifest, canary=canary(table, model.score(table))))

"""The one model that every server of the benchmark scores with, made from drawn customers and packaged as the service wants it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import xgboost as xgb

from propensity.adapters.object_store import FolderStore
from propensity.booster import load_booster
from propensity.campaign import Campaign
from propensity.campaigns import campaign as campaign_of
from propensity.errors import DataError, ModelDamaged, NoLiveModel
from propensity.features import fit_encoding
from propensity.model import FORMAT, Manifest, Model, canary, categories_of, load_package, save_package
from propensity.schema import Table, check_rows
from propensity.synthetic import generate
from propensity.version import code_version

CAMPAIGNS = Path(__file__).resolve().parent / "campaigns"
NAME = "speed"
TREES, DEPTH = 400, 6
TRAINING_SEED, CUSTOMERS_SEED = 1, 2
# Full trees: the shape that SPEED.md speaks of, not the best model of these customers.
PARAMS: dict[str, Any] = {
    "objective": "binary:logistic",
    "tree_method": "hist",
    "max_depth": DEPTH,
    "eta": 0.05,
    "min_child_weight": 1,
    "reg_lambda": 1,
    "seed": TRAINING_SEED,
    "nthread": 1,
}


@dataclass(frozen=True)
class Customers:
    """Drawn customers, as posted and as validated."""

    rows: Sequence[dict[str, Any]]
    table: Table


def benchmark_campaign() -> Campaign:
    """The campaign ``speed``. The variable PROPENSITY_CAMPAIGNS_DIR must name the folder `CAMPAIGNS`."""
    return campaign_of(NAME)


def draw(campaign: Campaign, n: int, seed: int) -> tuple[Customers, np.ndarray[Any, np.dtype[np.bool_]]]:
    """``n`` customers with ids ``c1`` onwards, and the label of each. Raises DataError where the campaign refuses one."""
    raw = generate(campaign, n, seed)
    columns = {name: list(raw.columns[name]) for name in campaign.feature_names}
    ids = [f"c{number}" for number in range(1, n + 1)]
    checked = check_rows(campaign, columns, ids, n, text=False)
    if checked.issues:
        raise DataError(f"the campaign refuses {checked.refused} of its own drawn customers: {checked.issues[0]}")
    names = ("id", *campaign.feature_names)
    rows = [dict(zip(names, row, strict=True)) for row in zip(ids, *columns.values(), strict=True)]
    positive = np.array([value == campaign.label.positive for value in raw.columns[campaign.label.column]])
    return Customers(rows, checked.table), positive


def train(campaign: Campaign, *, rows: int | None = None, trees: int = TREES) -> Model:
    """A model of ``trees`` trees whose score is the plain sigmoid of its margin: the calibration does nothing, as peers have none."""
    n = rows or (campaign.recipe.rows if campaign.recipe else 0)
    customers, positive = draw(campaign, n, TRAINING_SEED)
    encoding = fit_encoding(customers.table, positive)
    trained = xgb.train(PARAMS, xgb.DMatrix(encoding.matrix(customers.table), positive, nthread=1), trees)
    model_json = bytes(trained.save_raw("json"))
    manifest = Manifest(
        format=FORMAT,
        campaign=campaign.name,
        declaration_digest=campaign.digest(),
        features=campaign.feature_names,
        categories=categories_of(campaign),
        ranks=encoding.ranks,
        slope=1.0,
        offset=0.0,
        params=PARAMS,
        rounds=trees,
        snapshot_id=hashlib.sha256(f"{campaign.digest()} {n} {TRAINING_SEED}".encode()).hexdigest(),
        split="none",
        trained_months=None,
        trained_rows=n,
        metrics={},
        code_version=code_version(),
        model_sha256=hashlib.sha256(model_json).hexdigest(),
        canary={},
    )
    model = Model(campaign, manifest, load_booster(model_json), model_json)
    return replace(model, manifest=replace(manifest, canary=canary(customers.table, model.score(customers.table))))


def kept_model(campaign: Campaign, folder: Path) -> Model:
    """The model of this declaration and these parameters, from ``folder`` or made anew and kept there."""
    store = FolderStore(folder)
    what = json.dumps([campaign.digest(), PARAMS, TREES, xgb.__version__])
    note = folder / f"{hashlib.sha256(what.encode()).hexdigest()[:16]}.digest"
    if note.exists():
        try:
            return load_package(store, campaign, note.read_text(encoding="ascii").strip())
        except (ModelDamaged, NoLiveModel):
            # Packages of an earlier state of the code are of no use: the benchmark makes its own again.
            shutil.rmtree(folder)
    model = train(campaign)
    digest = save_package(store, model)
    note.write_text(digest, encoding="ascii")
    return model


def write_for_peers(model: Model, folder: Path) -> None:
    """``booster.json`` and ``encoding.json``: the same trees, and for each category its values in order of rank, as
    scikit-learn's OrdinalEncoder wants them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "booster.json").write_bytes(model.model_json)
    ordered = {
        feature.name: [value for _, value in sorted(zip(model.manifest.ranks[feature.name], feature.values, strict=True))]
        for feature in model.campaign.categorical
    }
    encoding = {
        "categories": ordered,
        "numeric": [feature.name for feature in model.campaign.numeric],
        "ranges": {feature.name: [feature.low, feature.high, feature.integer] for feature in model.campaign.numeric},
    }
    (folder / "encoding.json").write_text(json.dumps(encoding, indent=1), encoding="utf-8")

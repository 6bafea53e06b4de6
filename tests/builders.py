"""Small things that many tests need: a campaign, rows that fit it, a snapshot of them, a trained model, a store in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import pytest

from propensity import training
from propensity.campaign import Campaign, Categorical, Dates, Economics, Label, Numeric
from propensity.errors import NotFound, RowIssue
from propensity.id_columns import date_name, id_name
from propensity.ingest import sort_columns, with_derived_ids
from propensity.linear import CategoricalTerm, Linear, NumericTerm
from propensity.manifest import FORMAT_2
from propensity.model import Model, canary
from propensity.raw import RawData
from propensity.schema import Table, check_rows
from propensity.snapshot import Manifest, SnapshotData
from propensity.training import Training
from propensity.zoo import Zoo

Columns = dict[str, list[Any]]
Labels = npt.NDArray[np.bool_]


def tiny_campaign(**changes: Any) -> Campaign:
    """A campaign with every kind of feature: whole and other numbers, texts and whole numbers as categories, nullable or not."""
    declared = Campaign(
        name="tiny",
        title="Tiny",
        question="Will this customer accept if we ask?",
        label=Label("accepted", positive="yes", negative="no"),
        id_column="customer",
        calendar=Dates("asked_on"),
        features=(
            Numeric("age", low=18, high=100, unit="years", integer=True),
            Numeric("income", low=0, high=1_000_000, unit="EUR", nullable=True),
            Numeric("rate", low=-5, high=5, unit="percent"),
            Categorical("job", ("clerk", "farmer", "nurse", "pilot")),
            Categorical("region", (10, 20, 30), nullable=True),
        ),
        excluded=(("duration", "known only once the call is over"),),
        economics=Economics(contact_cost=Decimal("5"), conversion_value=Decimal("20"), currency="EUR"),
        # Trees, so that their tests have some: of these rows a straight line knows more.
        zoo=Zoo(candidates=("xgboost",)),
    )
    return replace(declared, **changes)


def tiny_columns(n: int, seed: int = 0) -> Columns:
    """Values as a JSON body could hold them; every fifth income and every seventh region is missing."""
    rng = np.random.default_rng(seed)
    return {
        "age": rng.integers(18, 101, n).tolist(),
        "income": [None if at % 5 == 4 else float(v) for at, v in enumerate(rng.uniform(0, 90_000, n))],
        "rate": rng.normal(0, 1, n).clip(-5, 5).tolist(),
        "job": rng.choice(["clerk", "farmer", "nurse", "pilot"], n).tolist(),
        "region": [None if at % 7 == 6 else int(v) for at, v in enumerate(rng.choice([10, 20, 30], n))],
    }


def tiny_table(n: int, seed: int = 0, campaign: Campaign | None = None) -> Table:
    """A validated table of ``n`` rows with the ids k1, k2, ..."""
    return table_of(campaign or tiny_campaign(), tiny_columns(n, seed), n)


def table_of(campaign: Campaign, columns: Mapping[str, Sequence[object]], n: int) -> Table:
    checked = check_rows(campaign, columns, [f"k{at}" for at in range(1, n + 1)], n, text=False)
    assert not checked.issues, checked.issues[:3]
    return checked.table


def one_row(**changes: object) -> dict[str, object]:
    """A row of the tiny campaign that fits."""
    return {"age": 40, "income": 20_000.5, "rate": 1.25, "job": "nurse", "region": 20} | changes


def tiny_labels(table: Table, seed: int = 0) -> Labels:
    """Outcomes with a known signal: pilots, a high rate and a known income accept more often."""
    jobs = np.array([{"clerk": -0.6, "farmer": 0.0, "nurse": 0.3, "pilot": 1.6}[str(v)] for v in table.values("job")])
    income = np.array([0.0 if v is None else 0.5 for v in table.values("income")])
    log_odds = -1.6 + jobs + 0.9 * np.asarray(table.columns["rate"], dtype=np.float64) + income
    chance = np.random.default_rng(seed + 1_000).random(len(table))
    labels: Labels = chance < 1 / (1 + np.exp(-log_odds))
    return labels


def snapshot_of(table: Table, label: Labels, months: int = 6) -> SnapshotData:
    """A snapshot in memory whose rows are spread evenly over ``months`` months; 0: no calendar."""
    each = np.arange(len(table)) * months // max(1, len(table))
    stamps = (np.datetime64("2024-01", "M") + each.astype("timedelta64[M]")) if months else None
    manifest = Manifest(
        snapshot_id="s-0123456789abcdef",
        campaign=table.campaign.name,
        declaration_digest=table.campaign.digest(),
        content_sha256="0123456789abcdef" * 4,
        rows=len(table),
        positives=int(label.sum()),
        first_month=None if stamps is None else str(stamps.min()),
        last_month=None if stamps is None else str(stamps.max()),
        schema=[],
        source={},
        created_at="2024-07-01T00:00:00+00:00",
    )
    return SnapshotData(table, label, stamps, manifest)


def tiny_snapshot(n: int = 1_500, seed: int = 0, months: int = 6) -> SnapshotData:
    table = tiny_table(n, seed)
    return snapshot_of(table, tiny_labels(table, seed), months)


@dataclass(frozen=True)
class WholeList:
    """A list that was checked whole, at once."""

    table: Table
    issues: tuple[RowIssue, ...]
    refused: int
    ignored: tuple[str, ...]


def read_rows(campaign: Campaign, raw: RawData) -> WholeList:
    """Check a whole list that is to be scored: what `propensity.lists` must find chunk by chunk."""
    _, ignored = sort_columns(campaign, raw.columns, needed=campaign.feature_names)
    ids, dates = (raw.columns.get(name or "") for name in (id_name(campaign), date_name(campaign)))
    checked = check_rows(campaign, raw.columns, ids, raw.n, text=raw.text)
    table = checked.table if ids is not None else with_derived_ids(checked.table, dates)
    return WholeList(table, checked.issues, checked.refused, ignored)


def train_fast(data: SnapshotData, campaign: Campaign | None = None, seed: int = 0, rounds: int = 40) -> Training:
    """`training.train` itself with fewer rounds, folds and seeds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "MAX_ROUNDS", rounds)
        patch.setattr(training, "FOLDS", 3)
        patch.setattr(training, "SEEDS", (42,))
        patch.setattr(training, "PARAMS", {**training.PARAMS, "eta": 0.15})
        return training.train(campaign or data.table.campaign, data, seed=seed)


def tiny_model() -> Model:
    """A model of the tiny campaign."""
    return train_fast(tiny_snapshot()).model


class MemoryStore:
    """An `ObjectStore` in a dictionary; ``puts`` says in which order keys were written."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.puts: list[str] = []

    def put(self, key: str, data: bytes) -> None:
        self.objects[key] = data
        self.puts.append(key)

    def create(self, key: str, data: bytes) -> bool:
        if key in self.objects:
            return False
        self.put(key, data)
        return True

    def fetch(self, key: str, path: Path, version: str | None = None) -> None:
        path.write_bytes(self.get(key if version is None else f"{key}?version={version}"))

    def get(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError as exc:
            raise NotFound(f"no object {key}") from exc

    def pieces(self, key: str) -> Iterator[bytes]:
        yield self.get(key)

    def open_at(self, key: str, version: str | None = None) -> BinaryIO:
        return BytesIO(self.get(key if version is None else f"{key}?version={version}"))

    def put_file(self, key: str, path: Path) -> None:
        self.put(key, path.read_bytes())

    def exists(self, key: str) -> bool:
        return key in self.objects

    def keys(self, prefix: str) -> Iterator[str]:
        return iter(sorted(key for key in self.objects if key.startswith(prefix)))

    def uri(self, key: str) -> str:
        return f"memory:///{key}"


def tiny_linear(seed: int = 0) -> Linear:
    """A linear member of the tiny campaign with drawn coefficients."""
    rng = np.random.default_rng(seed)
    numeric = {
        "age": NumericTerm(18.0, 100.0, 47.3, 21.7, float(rng.normal()), 0.0, 0.01),
        "income": NumericTerm(50.0, 80_000.0, 45_000.0, 26_000.1, float(rng.normal()), float(rng.normal()), 0.07),
        "rate": NumericTerm(-3.0, 3.0, 0.02, 0.97, 0.9, 0.0, -0.003),
    }
    categorical = {
        "job": CategoricalTerm(tuple(rng.normal(size=4).tolist()), 0.0, 0.11),
        "region": CategoricalTerm(tuple(rng.normal(size=3).tolist()), float(rng.normal()), -0.2),
    }
    return Linear(-0.7, numeric, categorical)


def with_linear(model: Model, weight_trees: float = 0.55, weight_linear: float = 0.45, **changes: Any) -> Model:
    """The same trees with a linear member beside them, as a package that opens."""
    members: dict[str, Any] = {"linear": tiny_linear(), "weight_trees": weight_trees, "weight_linear": weight_linear} | changes
    manifest = replace(model.manifest, format=FORMAT_2, families=("xgboost", "logistic"), **members)
    made = replace(model, manifest=manifest)
    scored = made.score(tiny_table(60, seed=99))
    return replace(model, manifest=replace(manifest, canary=canary(tiny_table(60, seed=99), scored)))

"""The model package: XGBoost JSON and a manifest that says everything needed to score, explain and audit. Never pickle.

A package is two objects. ``model.json`` is the booster; ``manifest.json`` holds its SHA-256, the encoding, the calibration, where it
came from, and canary rows with the scores they had at training. The package digest is the SHA-256 of the manifest and is the model
version that every prediction is logged with: whatever could change a score changes it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import xgboost as xgb

from propensity.booster import load_booster, read_booster
from propensity.calibration import Calibration
from propensity.campaign import Campaign
from propensity.engine import Engine
from propensity.errors import ModelDamaged, NoLiveModel, NotFound
from propensity.features import Encoding, Matrix
from propensity.ports import ObjectStore
from propensity.schema import Table, check_rows

FloatArray = npt.NDArray[np.float64]
FORMAT = 1
CANARY_ROWS = 32


@dataclass(frozen=True)
class Manifest:
    """What a model package says of itself.

    Attributes
    ----------
    categories : mapping of categorical feature to its values, as declared at training
        ``ranks`` and the log go by position: another order would be another meaning.
    ranks : mapping of categorical feature to rank per declared value
    slope, offset : float
        Calibration of the margin.
    trained_months : (first, last) as YYYY-MM, or None where the data has no calendar
        With ``snapshot_id`` this names the training rows, which are also the reference of drift.
    canary : {"columns": {feature: values}, "scores": [...]}
        Rows as they could be posted, and their exact scores.
    """

    format: int
    campaign: str
    declaration_digest: str
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str | int, ...]]
    ranks: Mapping[str, tuple[int, ...]]
    slope: float
    offset: float
    params: Mapping[str, Any]
    rounds: int
    snapshot_id: str
    split: str
    trained_months: tuple[str, str] | None
    trained_rows: int
    metrics: Mapping[str, float]
    code_version: str
    model_sha256: str
    canary: Mapping[str, Any]

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same manifest is always the same bytes."""
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Raises ModelDamaged where the bytes are not a manifest of this format."""
        try:
            raw = json.loads(data)
            if raw["format"] != FORMAT:
                raise ModelDamaged(f"the model package has format {raw['format']}; this version reads format {FORMAT}")
            raw["features"] = tuple(raw["features"])
            raw["categories"] = {name: tuple(values) for name, values in raw["categories"].items()}
            raw["ranks"] = {name: tuple(ranks) for name, ranks in raw["ranks"].items()}
            raw["trained_months"] = tuple(raw["trained_months"]) if raw["trained_months"] else None
            manifest = Manifest(**raw)
            canonical = manifest.to_bytes() == data
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise ModelDamaged("the manifest of the model package cannot be read") from exc
        if not canonical:
            # The digest is taken over the canonical bytes: other bytes would be logged as another model than the one promoted.
            raise ModelDamaged("the manifest of the model package is not written as this version writes it")
        return manifest


@dataclass(frozen=True)
class Model:
    """A model that is ready to score rows of its campaign. Safe to share between threads."""

    campaign: Campaign
    manifest: Manifest
    booster: xgb.Booster
    model_json: bytes

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the manifest, hexadecimal: the model version."""
        return hashlib.sha256(self.manifest.to_bytes()).hexdigest()

    @property
    def version(self) -> str:
        """The first twelve characters of the digest, for people."""
        return self.digest[:12]

    @cached_property
    def _encoding(self) -> Encoding:
        return Encoding(self.manifest.ranks)

    @cached_property
    def _calibration(self) -> Calibration:
        return Calibration(self.manifest.slope, self.manifest.offset)

    @cached_property
    def engine(self) -> Engine:
        """What computes margins and contributions; ``engine.notes`` says where XGBoost does what flat trees could not."""
        return Engine(self.booster, self.model_json)

    def encode(self, table: Table) -> Matrix:
        """The matrix that the trees see, float32, shape (n, features)."""
        return self._encoding.matrix(table)

    def score(self, table: Table, threads: int = 1) -> FloatArray:
        """Probability of the positive label per row, shape (n,). A row has one score, alone or in any list, by however many threads."""
        return self.score_matrix(self.encode(table), threads)

    def score_matrix(self, matrix: Matrix, threads: int = 1) -> FloatArray:
        """The same for rows that are encoded already, as `encode` does it."""
        if not len(matrix):
            return np.empty(0)
        return self._calibration.probability(self.engine.margin(matrix, threads))

    def contributions(self, table: Table) -> FloatArray:
        """What each feature adds to the calibrated log-odds, shape (n, features + 1); the last column is the base value.

        A row sums to its calibrated log-odds. Exact TreeSHAP as XGBoost computes it: Lundberg et al., "From local explanations to
        global understanding with explainable AI for trees", 2020, algorithm 2. `fast_contributions` is meant for whole lists.
        """
        if not len(table):
            return np.empty((0, len(self.manifest.features) + 1))
        return self._calibrated(self.engine.contributions_by_xgboost(self.encode(table)))

    def fast_contributions(self, matrix: Matrix) -> FloatArray:
        """As `contributions`, for encoded rows and from tables (propensity.shapley): equal up to XGBoost's float32 rounding."""
        if not len(matrix):
            return np.empty((0, len(self.manifest.features) + 1))
        return self._calibrated(self.engine.contributions(matrix))

    def _calibrated(self, contributions: FloatArray) -> FloatArray:
        scaled: FloatArray = contributions * self.manifest.slope
        scaled[:, -1] += self.manifest.offset
        return scaled

    def prepare(self) -> None:
        """Do now what the first score and the first explanation would else wait for."""
        _ = self.engine.tables

    def importance(self) -> dict[str, float]:
        """Share of the total gain per feature, largest first; sums to one."""
        gains = self.booster.get_score(importance_type="total_gain")
        named = {self.manifest.features[int(key[1:])]: float(np.sum(gain)) for key, gain in gains.items()}
        whole = sum(named.values()) or 1.0
        return {name: gain / whole for name, gain in sorted(named.items(), key=lambda item: -item[1])}


@dataclass(frozen=True)
class SealedPackage:
    """A package whose digests hold and that belongs to its campaign as it is declared today. Its booster was not parsed."""

    campaign: Campaign
    manifest: Manifest
    model_json: bytes
    digest: str

    def canary_bytes(self) -> tuple[int, int, bytes]:
        """The encoded canary rows: how many, how many columns, and their values as little-endian float32. Raises ModelDamaged."""
        table, _ = self._canary()
        with _canary_fits():
            matrix = Encoding(self.manifest.ranks).matrix(table)
        return (*matrix.shape, np.ascontiguousarray(matrix, dtype="<f4").tobytes())

    def check_margins(self, margins: bytes) -> None:
        """Raises ModelDamaged unless these margins, as little-endian float32, give the canary rows the scores they had at training."""
        _, scores = self._canary()
        with _canary_fits():
            got = Calibration(self.manifest.slope, self.manifest.offset).probability(np.frombuffer(margins, dtype="<f4"))
        _check_scores(got, scores)

    def open(self, *, looked_at: bool = False) -> Model:
        """The model, ready to score. Raises ModelDamaged where the booster cannot be read or the canary rows get other scores.

        ``looked_at``: these bytes passed a first parse elsewhere, so that their trees need not be walked again.
        """
        load = read_booster if looked_at else load_booster
        model = Model(self.campaign, self.manifest, load(self.model_json), self.model_json)
        table, scores = self._canary()
        with _canary_fits():
            model.engine.check(model.encode(table))
            got = model.score(table)
        _check_scores(got, scores)
        return model

    def _canary(self) -> tuple[Table, FloatArray]:
        with _canary_fits():
            scores = np.array(self.manifest.canary["scores"], dtype=np.float64)
            columns: Mapping[str, Sequence[object]] = self.manifest.canary["columns"]
            checked = check_rows(self.campaign, columns, None, len(scores), text=False)
        if checked.issues or not len(scores):
            raise ModelDamaged("the canary rows of the model package do not fit the campaign's declaration: train again")
        return checked.table, scores


def seal_package(campaign: Campaign, manifest_bytes: bytes, model_json: bytes, digest: str | None) -> SealedPackage:
    """Verify everything about a package that can be verified without parsing its booster.

    Checked in this order, each failure a ModelDamaged: the digest of the manifest, that of the booster, that the campaign still
    declares what the model was trained on.
    """
    found = hashlib.sha256(manifest_bytes).hexdigest()
    if digest is not None and found != digest:
        raise ModelDamaged("the manifest of the model package does not have the digest that it was promoted with")
    manifest = Manifest.from_bytes(manifest_bytes)
    if hashlib.sha256(model_json).hexdigest() != manifest.model_sha256:
        raise ModelDamaged("the booster of the model package does not have the digest that its manifest names")
    if manifest.campaign != campaign.name:
        raise ModelDamaged(f"the model package belongs to the campaign {manifest.campaign!r}, not to {campaign.name!r}")
    if manifest.features != campaign.feature_names or manifest.categories != categories_of(campaign):
        raise ModelDamaged(f"the features that campaign {campaign.name!r} declares are not those the model was trained on: train again")
    return SealedPackage(campaign, manifest, model_json, found)


def open_package(campaign: Campaign, manifest_bytes: bytes, model_json: bytes, digest: str | None) -> Model:
    """Verify a package and make it ready: `seal_package`, then `SealedPackage.open`. Raises ModelDamaged."""
    return seal_package(campaign, manifest_bytes, model_json, digest).open()


def categories_of(campaign: Campaign) -> dict[str, tuple[str | int, ...]]:
    """The declared values of each categorical feature, for a manifest."""
    return {feature.name: tuple(feature.values) for feature in campaign.categorical}


@contextmanager
def _canary_fits() -> Iterator[None]:
    """Whatever a manifest may hold in the place of canary rows, ranks and calibration is one refusal."""
    try:
        yield
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError, xgb.core.XGBoostError) as exc:
        raise ModelDamaged("the canary rows of the model package cannot be scored: train again") from exc


def _check_scores(got: FloatArray, scores: FloatArray) -> None:
    if not np.array_equal(got, scores):
        raise ModelDamaged("the canary rows do not get the scores that they had at training")


def canary(table: Table, scores: FloatArray) -> dict[str, Any]:
    """Canary rows for a manifest: spread evenly over the scores, so that every region of the model is touched."""
    order = np.argsort(scores, kind="stable")
    picked = order[np.linspace(0, len(order) - 1, min(CANARY_ROWS, len(order))).astype(int)]
    rows = table.take(picked)
    return {"columns": {name: rows.values(name) for name in table.campaign.feature_names}, "scores": scores[picked].tolist()}


def package_key(campaign: str, digest: str, name: str) -> str:
    """Where an object of a package lies in object storage."""
    return f"models/{campaign}/{digest}/{name}"


def save_package(store: ObjectStore, model: Model) -> str:
    """Write a package to its immutable place, manifest last; return its digest. Writing it twice changes nothing."""
    name = model.campaign.name
    if not store.exists(package_key(name, model.digest, "manifest.json")):
        store.put(package_key(name, model.digest, "model.json"), model.model_json)
        store.put(package_key(name, model.digest, "manifest.json"), model.manifest.to_bytes())
    return model.digest


def fetch_package(store: ObjectStore, campaign: Campaign, digest: str) -> SealedPackage:
    """Read a package and verify it as far as that goes without parsing its booster.

    Raises NoLiveModel where there is none of that digest, ModelDamaged where it is not sound.
    """
    try:
        manifest = store.get(package_key(campaign.name, digest, "manifest.json"))
        model_json = store.get(package_key(campaign.name, digest, "model.json"))
    except NotFound as exc:
        raise NoLiveModel(f"campaign {campaign.name!r} has no model package {digest[:12]} in object storage") from exc
    return seal_package(campaign, manifest, model_json, digest)


def load_package(store: ObjectStore, campaign: Campaign, digest: str) -> Model:
    """Read and verify a package. Raises NoLiveModel where there is none of that digest, ModelDamaged where it is not sound."""
    return fetch_package(store, campaign, digest).open()

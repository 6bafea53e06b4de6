"""The model package: XGBoost JSON and a manifest that says everything needed to score, explain and audit. Never pickle.

A package is two objects. ``model.json`` is the booster; ``manifest.json`` holds its SHA-256, the encoding, the linear member where there
is one, the calibration, where it came from, and canary rows with the scores they had at training. The package digest is the SHA-256 of
the manifest and is the model version that every prediction is logged with: whatever could change a score changes it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from propensity.linear import LinearScorer
from propensity.manifest import FORMAT, FORMAT_2, Manifest, Recalibration
from propensity.ports import ObjectStore
from propensity.schema import Table, check_rows

__all__ = [
    "CANARY_ROWS",
    "FORMAT",
    "Manifest",
    "Model",
    "SealedPackage",
    "canary",
    "categories_of",
    "fetch_package",
    "load_package",
    "open_package",
    "package_key",
    "recalibrated",
    "save_package",
    "seal_package",
]
FloatArray = npt.NDArray[np.float64]
CANARY_ROWS = 32


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
    def _linear(self) -> LinearScorer | None:
        return _linear_scorer(self.manifest)

    @cached_property
    def engine(self) -> Engine:
        """What computes the booster's margins and contributions; ``engine.notes`` says where XGBoost does what flat trees could not."""
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
        return self._calibration.probability(self._margin(matrix, threads))

    def log_odds(self, matrix: Matrix) -> FloatArray:
        """Calibrated log-odds of encoded rows, shape (n,): the scores are their sigmoid."""
        return self._calibration.log_odds(self._margin(matrix, 1))

    def _margin(self, matrix: Matrix, threads: int) -> npt.NDArray[np.floating]:
        if self._linear is None:
            return self.engine.margin(matrix, threads)
        trees = self.engine.margin(matrix, threads) if self.manifest.weight_trees else None
        return _weighted(self.manifest, trees, self._linear.margin(matrix))

    def contributions(self, table: Table) -> FloatArray:
        """What each feature adds to the calibrated log-odds, shape (n, features + 1); the last column is the base value.

        A row sums to its calibrated log-odds. Exact TreeSHAP as XGBoost computes it: Lundberg et al., "From local explanations to
        global understanding with explainable AI for trees", 2020, algorithm 2. `fast_contributions` is meant for whole lists.
        """
        if not len(table):
            return np.empty((0, len(self.manifest.features) + 1))
        matrix = self.encode(table)
        return self._calibrated(matrix, self.engine.contributions_by_xgboost)

    def fast_contributions(self, matrix: Matrix) -> FloatArray:
        """As `contributions`, for encoded rows and from tables (propensity.shapley): equal up to XGBoost's float32 rounding."""
        if not len(matrix):
            return np.empty((0, len(self.manifest.features) + 1))
        return self._calibrated(matrix, self.engine.contributions)

    def _calibrated(self, matrix: Matrix, of_trees: Callable[[Matrix], FloatArray]) -> FloatArray:
        if self._linear is None:
            contributions = of_trees(matrix)
        else:
            trees = of_trees(matrix) if self.manifest.weight_trees else None
            contributions = _weighted(self.manifest, trees, self._linear.contributions(matrix))
        scaled: FloatArray = contributions * self.manifest.slope
        scaled[:, -1] += self.manifest.offset
        return scaled

    def prepare(self) -> None:
        """Do now what the first score and the first explanation would else wait for."""
        _ = self._linear
        if self.manifest.weight_trees:
            _ = self.engine.tables

    def importance(self) -> dict[str, float]:
        """Share of the total gain of the trees' splits per feature, largest first; sums to one. Empty where no tree splits."""
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
        table, _ = self.canary_rows()
        with _canary_fits():
            matrix = Encoding(self.manifest.ranks).matrix(table)
        return (*matrix.shape, np.ascontiguousarray(matrix, dtype="<f4").tobytes())

    def check_margins(self, margins: bytes) -> None:
        """Raises ModelDamaged unless these margins, as little-endian float32, give the canary rows the scores they had at training."""
        table, scores = self.canary_rows()
        with _canary_fits():
            margin: npt.NDArray[np.floating] = np.frombuffer(margins, dtype="<f4")
            linear = _linear_scorer(self.manifest)
            if linear is not None:
                of_linear = linear.margin(Encoding(self.manifest.ranks).matrix(table))
                margin = _weighted(self.manifest, margin if self.manifest.weight_trees else None, of_linear)
            got = Calibration(self.manifest.slope, self.manifest.offset).probability(margin)
        _check_scores(got, scores)

    def open(self, *, looked_at: bool = False) -> Model:
        """The model, ready to score. Raises ModelDamaged where the booster cannot be read or the canary rows get other scores.

        ``looked_at``: these bytes passed a first parse elsewhere, so that their trees need not be walked again.
        """
        load = read_booster if looked_at else load_booster
        model = Model(self.campaign, self.manifest, load(self.model_json), self.model_json)
        table, scores = self.canary_rows()
        with _canary_fits():
            model.engine.check(model.encode(table))
            got = model.score(table)
        _check_scores(got, scores)
        return model

    def canary_rows(self) -> tuple[Table, FloatArray]:
        """The canary rows and the scores they had at training. Raises ModelDamaged where they do not fit the declaration."""
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


def recalibrated(model: Model, offset: float, *, rate: float, rows: int, first: str, last: str) -> Model:
    """The same model with another offset, as a package of its own: nothing else that was trained changes.

    Parameters
    ----------
    offset : float
        Replaces the offset of the calibration, in log-odds.
    rate, rows, first, last
        Where it comes from: see `propensity.manifest.Recalibration`. The offset of the training is kept beside them, however often a
        model is recalibrated.

    Raises
    ------
    ValueError
        A number or the span cannot be.
    """
    known = model.manifest.recalibration
    base = model.manifest.offset if known is None else known.base_offset
    recalibration = Recalibration(float(rate), int(rows), first, last, base)
    problem = recalibration.problem() if np.isfinite(offset) else "the offset of a recalibration must be a finite number"
    if problem is not None:
        raise ValueError(problem)
    manifest = replace(model.manifest, format=FORMAT_2, offset=float(offset), recalibration=recalibration)
    changed = _sharing_engine(model, manifest)
    table, _ = SealedPackage(model.campaign, manifest, model.model_json, "").canary_rows()
    return _sharing_engine(model, replace(manifest, canary={**manifest.canary, "scores": changed.score(table).tolist()}))


def _sharing_engine(model: Model, manifest: Manifest) -> Model:
    """The engine does not know the manifest: what it has prepared serves on."""
    changed = Model(model.campaign, manifest, model.booster, model.model_json)
    changed.__dict__["engine"] = model.engine
    return changed


def _linear_scorer(manifest: Manifest) -> LinearScorer | None:
    """Raises ModelDamaged where the ranks of the encoding are none."""
    if manifest.linear is None:
        return None
    try:
        return LinearScorer(manifest.linear, manifest.features, manifest.ranks)
    except (ValueError, TypeError, KeyError) as exc:
        raise ModelDamaged("the ranks of the model package do not fit its linear member") from exc


def _weighted(manifest: Manifest, trees: npt.NDArray[np.floating] | None, linear: FloatArray) -> FloatArray:
    """The members' sum, in this order for every path; a member without weight is left out."""
    if trees is None:
        return manifest.weight_linear * linear
    summed: FloatArray = manifest.weight_trees * trees.astype(np.float64)
    return summed + manifest.weight_linear * linear if manifest.weight_linear else summed


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

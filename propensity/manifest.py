"""What a model package says of itself, as canonical JSON.

Format 1: a booster alone. Format 2 adds a linear member (`propensity.linear`), the weights of both, the families that the model was made
of, and what a recalibration changed. A package is written in the oldest format that can say what it is, so that the release before can
read it as well.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from propensity.errors import ModelDamaged
from propensity.linear import LARGEST, Linear

FORMAT = 1
"""Of a package whose booster is all there is."""
FORMAT_2 = 2
FORMATS = (FORMAT, FORMAT_2)
TREES_ALONE = ("xgboost",)
_SECOND = ("families", "linear", "recalibration", "weight_linear", "weight_trees")


@dataclass(frozen=True)
class Recalibration:
    """That the offset is not the one of the training, and why.

    Attributes
    ----------
    rate : float
        The response rate that the offset was set by, between 0 and 1, neither included.
    rows : int
        How many contacts with a known outcome it comes from.
    first, last : str
        The span of those contacts, UTC, RFC 3339 dates or times.
    base_offset : float
        The offset that the training had found.
    """

    rate: float
    rows: int
    first: str
    last: str
    base_offset: float

    def problem(self) -> str | None:
        """What cannot be; None where all is sound."""
        if not (_is_number(self.rate) and 0 < self.rate < 1 and _is_number(self.base_offset)):
            return "the response rate of a recalibration must lie between 0 and 1, and its base offset must be a number"
        if type(self.rows) is not int or self.rows < 1:
            return "a recalibration needs at least one contact with a known outcome"
        if not (_is_text(self.first) and _is_text(self.last)):
            return "a recalibration must say which span its response rate comes from"
        return None


@dataclass(frozen=True)
class Manifest:
    """What a model package says of itself.

    The log-odds of a row are ``slope * (weight_trees * margin of the booster + weight_linear * margin of the linear member) + offset``.

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
    families : tuple of str
        What the model was made of (`propensity.families`).
    linear : Linear or None
        None: the booster alone, with the weights 1 and 0.
    recalibration : Recalibration or None
        None: the offset is that of the training.
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
    families: tuple[str, ...] = TREES_ALONE
    linear: Linear | None = None
    weight_trees: float = 1.0
    weight_linear: float = 0.0
    recalibration: Recalibration | None = None

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same manifest is always the same bytes. Raises ValueError where its format cannot say what it holds."""
        raw = asdict(self)
        if self.format == FORMAT:
            if needed_format(self.families, self.linear, self.recalibration) != FORMAT:
                raise ValueError(f"a manifest of format {FORMAT} has no linear member, no recalibration and no other family")
            raw = {name: value for name, value in raw.items() if name not in _SECOND}
        return json.dumps(raw, sort_keys=True, ensure_ascii=True, separators=(",", ":"), allow_nan=False).encode()

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Raises ModelDamaged where the bytes are not a manifest of these formats."""
        try:
            raw = json.loads(data)
            if raw["format"] not in FORMATS:
                known = " and ".join(map(str, FORMATS))
                raise ModelDamaged(f"the model package has format {raw['format']}; this version reads the formats {known}")
            raw["features"] = tuple(raw["features"])
            raw["categories"] = {name: tuple(values) for name, values in raw["categories"].items()}
            raw["ranks"] = {name: tuple(ranks) for name, ranks in raw["ranks"].items()}
            raw["trained_months"] = tuple(raw["trained_months"]) if raw["trained_months"] else None
            if raw["format"] == FORMAT_2:
                _read_second(raw)
            manifest = Manifest(**raw)
            canonical = manifest.to_bytes() == data
            problem = manifest.problem() if canonical else None
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
            raise ModelDamaged("the manifest of the model package cannot be read") from exc
        if not canonical:
            # The digest is taken over the canonical bytes: other bytes would be logged as another model than the one promoted.
            raise ModelDamaged("the manifest of the model package is not written as this version writes it")
        if problem is not None:
            raise ModelDamaged(f"the manifest of the model package cannot be used: {problem}")
        return manifest

    def problem(self) -> str | None:
        """What the second format's parts contradict; None where they are sound."""
        if not self.families or not all(map(_is_text, self.families)):
            return "no family is named"
        weights = (self.weight_trees, self.weight_linear)
        if not all(_is_number(weight) and 0 <= weight <= LARGEST for weight in weights) or not any(weights):
            return "the weights of the members must be numbers from 0, not both of them 0"
        if self.linear is None and weights != (1.0, 0.0):
            return "the booster is the only member, and must have the weight 1"
        if self.linear is not None and (found := self.linear.problem(self.features, self.categories)):
            return found
        return self.recalibration.problem() if self.recalibration is not None else None


def needed_format(families: tuple[str, ...], linear: Linear | None, recalibration: Recalibration | None) -> int:
    """The oldest format that can say this."""
    return FORMAT if families == TREES_ALONE and linear is None and recalibration is None else FORMAT_2


def _is_number(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _read_second(raw: dict[str, Any]) -> None:
    raw["families"] = tuple(raw["families"])
    raw["linear"] = None if raw["linear"] is None else Linear.read(raw["linear"])
    raw["recalibration"] = None if raw["recalibration"] is None else Recalibration(**raw["recalibration"])

"""Two policies, or two models, against each other: customers divided by a keyed hash, and what either half brought.

The same means as a control group: who belongs where depends on the secret, the trial's name and the customer alone. One half is posted with
the one policy or model, the other half with the other; the log says which request was decided how. Intention to treat: everybody who was
drawn into a half counts there, contacted or not.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity import lift
from propensity.campaign import POLICY_VALUES, Economics
from propensity.customer_key import customer_keys
from propensity.errors import Malformed
from propensity.gate_ports import ArmsOfRequest
from propensity.holdout import draws
from propensity.ports import LabelledRequest

HALVES = ("a", "b")
_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_DIGEST = re.compile(r"[0-9a-f]{12,64}")
Hashes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Decider:
    """What decides one half: a policy, a model, or both; what is None may be any."""

    policy: dict[str, Any] | None = None
    model: str | None = None

    def fits(self, request: ArmsOfRequest) -> bool:
        """Whether a request was decided so."""
        if self.model is not None and not request.model_digest.startswith(self.model):
            return False
        return (
            self.policy is None
            or {name: value for name, value in json.loads(request.policy).items() if name in ("kind", "value")} == self.policy
        )


def parse_decider(text: str) -> Decider:
    """``policy=top_share:0.2``, ``model=0123456789ab`` or both with a comma between. Raises Malformed."""
    parts = dict(part.partition("=")[::2] for part in text.split(","))
    if not parts or set(parts) - {"policy", "model"}:
        raise Malformed("a half is named as policy=KIND[:VALUE], model=VERSION or both with a comma between, as in policy=top_share:0.2")
    kind, _, value = parts.get("policy", "").partition(":")
    tops = {str(known): top for known, top in POLICY_VALUES.items()}
    if "policy" in parts and (kind not in tops or (tops[kind] is None) == bool(value)):
        raise Malformed(f"policies are {', '.join(POLICY_VALUES)}; a value belongs to every one but profit, as in policy=top_share:0.2")
    if "model" in parts and not _DIGEST.fullmatch(parts["model"]):
        raise Malformed("a model is named by its version, 12 hexadecimal digits or more")
    try:
        policy = {"kind": kind, **({"value": float(value)} if value else {})} if kind else None
    except ValueError as exc:
        raise Malformed("the value of a policy is a number, as in policy=top_share:0.2") from exc
    return Decider(policy, parts.get("model"))


def halves(secret: bytes, campaign: str, trial: str, customers: Sequence[str], share: float) -> npt.NDArray[np.bool_]:
    """Whether each customer (by id) is in half b. Raises Malformed for a trial without a name."""
    if not _NAME.fullmatch(trial):
        raise Malformed("a trial is named by lower-case words and digits joined by hyphens, as in spring-2026")
    # The name is part of what is hashed: trials are drawn apart from each other and from the control group.
    return np.array(draws(secret, f"{campaign}/{trial}", customer_keys(customers))) < share


@dataclass(frozen=True)
class Half:
    """What one half brought. ``profit``: per customer, and its variance."""

    customers: int
    known: int
    conversions: int
    contacts: int
    profit: float
    variance: float

    def as_json(self) -> dict[str, Any]:
        """For reports; money per customer."""
        profit = None if math.isnan(self.profit) else self.profit
        return {
            "customers": self.customers,
            "known": self.known,
            "conversions": self.conversions,
            "contacts": self.contacts,
            "profit": profit,
        }


def compare(
    requests: Iterable[tuple[ArmsOfRequest, LabelledRequest]],
    deciders: tuple[Decider, Decider],
    economics: Economics,
    mature_until: datetime,
    drawn: tuple[bytes, str, str, float],
) -> dict[str, Any]:
    """Half b less half a: share of conversions with its score interval, profit per customer with its normal interval (Welch).

    Parameters
    ----------
    drawn : (secret, campaign, trial, share of b)
        Customers whose request was decided the other way than their draw says belong to no half; they are counted as ``misplaced``.
    """
    rows = [_rows(number, *pair, deciders, drawn) for number, pair in enumerate(requests) if pair[0].received_at < mature_until]
    hashes, numbers, b, wrong, contact, days, known, hits = (
        np.concatenate(column) if rows else np.empty(0, dtype=np.int64) for column in (zip(*rows, strict=True) if rows else [()] * 8)
    )
    mine = (b >= 0) & (wrong == 0)
    customers, first = np.unique(hashes[mine], return_index=True)
    half = b[mine][first]
    at = np.minimum(np.searchsorted(customers, hashes), max(len(customers) - 1, 0))
    theirs = (customers[at] == hashes) & (numbers >= numbers[mine][first][at]) if len(customers) else np.zeros(len(hashes), dtype=np.bool_)
    is_known, converted = (np.isin(customers, hashes[theirs & (flag > 0)]) for flag in (known, hits))
    called = theirs & mine & (contact > 0)
    pairs = np.unique(np.stack([at[called], days[called]]), axis=1)[0] if called.any() else np.empty(0, dtype=np.int64)
    contacts = np.bincount(pairs, minlength=len(customers))
    found = [_half(half == which, is_known, converted, contacts, economics) for which in (0, 1)]
    misplaced = len(np.unique(hashes[(b >= 0) & (wrong == 1)]))
    one, other = found
    return {
        "halves": {name: one.as_json() for name, one in zip(HALVES, found, strict=True)},
        "misplaced": misplaced,
        "conversions": lift.as_json(lift.difference(other.conversions, other.known, one.conversions, one.known)),
        "profit": lift.as_json(_profit(one, other)),
        "currency": economics.currency,
    }


def _rows(
    number: int, arms: ArmsOfRequest, labels: LabelledRequest, deciders: tuple[Decider, Decider], drawn: tuple[bytes, str, str, float]
) -> Any:
    """One request by column: hash, number, half (-1: neither), misplaced, contact, day, known, converted."""
    n = len(arms.customer_ids)
    hashes = np.fromiter(map(hash, customer_keys(arms.customer_ids)), np.int64, n)
    half = next((at for at, decider in enumerate(deciders) if decider.fits(arms)), -1)
    secret, campaign, trial, share = drawn
    wrong = (
        np.zeros(n, dtype=np.int64)
        if half < 0
        else (halves(secret, campaign, trial, arms.customer_ids, share) != bool(half)).astype(np.int64)
    )
    whole = [np.full(n, value) for value in (number, half, arms.received_at.toordinal())]
    flags = [flag.astype(np.int64) for flag in (arms.contact, labels.known, labels.known & labels.labels)]
    return hashes, whole[0], whole[1], wrong, flags[0], whole[2], flags[1], flags[2]


def _half(
    chosen: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_], converted: npt.NDArray[np.bool_], contacts: Hashes, economics: Economics
) -> Half:
    counted = chosen & known
    profit = converted[counted] * float(economics.conversion_value) - contacts[counted] * float(economics.contact_cost)
    n = int(counted.sum())
    mean = float(profit.mean()) if n else math.nan
    variance = float(profit.var(ddof=1)) if n > 1 else math.nan
    return Half(int(chosen.sum()), n, int((counted & converted).sum()), int(contacts[chosen].sum()), mean, variance)


def _profit(one: Half, other: Half) -> lift.Difference:
    if one.known < 2 or other.known < 2:
        return lift.Difference(math.nan, math.nan, math.nan)
    error = NormalDist().inv_cdf(0.5 + lift.CONFIDENCE / 2) * math.sqrt(one.variance / one.known + other.variance / other.known)
    value = other.profit - one.profit
    return lift.Difference(value, value - error, value + error)

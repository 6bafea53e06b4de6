"""The measured lift of a campaign: customers who were randomised, what became of them, and what contacting brought.

Intention to treat: a customer belongs to the arm that he was first randomised to, whether or not he was reached, and counts once. He has
converted where an outcome of this campaign that counts says so, of that prediction or of a later one. Only mature predictions count.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity import lift
from propensity.campaign import Campaign
from propensity.customer_key import customer_keys
from propensity.gate_ports import ArmsOfRequest, ArmStore
from propensity.holdout import CONTACT_ARM, HOLDOUT_ARM
from propensity.ports import LabelledRequest, OutcomeStore

Hashes = npt.NDArray[np.int64]
CENT = Decimal("0.01")
# A control group that chance alone gives less often is not the one that was declared.
SUSPICIOUS = 0.001


@dataclass(frozen=True)
class Arm:
    """One arm: its customers, those of them of whom it is known whether they converted, and those who did."""

    customers: int
    known: int
    conversions: int

    @property
    def rate(self) -> float | None:
        """Conversions of those who are known; None where nobody is."""
        return self.conversions / self.known if self.known else None

    def as_json(self) -> dict[str, Any]:
        """For replies."""
        return {"customers": self.customers, "known": self.known, "conversions": self.conversions, "rate": self.rate}


@dataclass(frozen=True)
class Measured:
    """What was measured of one holdout.

    Attributes
    ----------
    contacts : int
        Days on which a customer of the contact arm was to be contacted: what was paid for.
    young : int
        Customers who were randomised too recently to count.
    """

    contact: Arm
    holdout: Arm
    contacts: int
    young: int
    difference: lift.Difference

    @property
    def verdict(self) -> str:
        """As `propensity.lift.Difference.verdict`."""
        return self.difference.verdict


@dataclass
class _Rows:
    """Rows of many requests, by column, put together at the end."""

    parts: list[tuple[Hashes, npt.NDArray[Any]]] = field(default_factory=list)

    def add(self, hashes: Hashes, beside: npt.NDArray[Any]) -> None:
        if len(hashes):
            self.parts.append((hashes, beside))

    def whole(self) -> tuple[Hashes, npt.NDArray[Any]]:
        if not self.parts:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        return np.concatenate([hashes for hashes, _ in self.parts]), np.concatenate([beside for _, beside in self.parts])


def measure(requests: Iterable[tuple[ArmsOfRequest, LabelledRequest]], key: str, mature_until: datetime) -> Measured:
    """What the requests of one campaign, oldest first, say of the holdout with this key.

    About 30 bytes are held for each randomised prediction and each label.
    """
    randomised, known, positive, contacted = _Rows(), _Rows(), _Rows(), _Rows()
    young: set[int] = set()
    for number, (arms, labels) in enumerate(requests):
        hashes = np.fromiter(map(hash, customer_keys(arms.customer_ids)), np.int64, len(arms.customer_ids))
        chosen = arms.contact | arms.held_out if arms.holdout_key == key else np.zeros(len(hashes), dtype=np.bool_)
        if arms.received_at >= mature_until:
            young.update(hashes[chosen].tolist())
            continue
        at = np.flatnonzero(chosen)
        randomised.add(hashes[at], number * 2 + arms.held_out[at].astype(np.int64))
        contacted.add(hashes[chosen & arms.contact], np.full(int((chosen & arms.contact).sum()), arms.received_at.toordinal()))
        known.add(hashes[labels.known], np.full(int(labels.known.sum()), number))
        hits = labels.known & labels.labels
        positive.add(hashes[hits], np.full(int(hits.sum()), number))
    return _measured(randomised, known, positive, contacted, young)


def _measured(randomised: _Rows, known: _Rows, positive: _Rows, contacted: _Rows, young: set[int]) -> Measured:
    hashes, codes = randomised.whole()
    # The first of each customer: codes grow with the number of the request.
    order = np.lexsort((codes, hashes))
    customers, first = np.unique(hashes[order], return_index=True)
    codes = codes[order][first]
    held, since = (codes % 2).astype(np.bool_), codes // 2
    is_known, converted = (_since_first(customers, since, rows) for rows in (known, positive))
    arms = [_arm(chosen, is_known, converted) for chosen in (~held, held)]
    found = lift.difference(arms[0].conversions, arms[0].known, arms[1].conversions, arms[1].known)
    called, days = contacted.whole()
    in_arm = np.isin(called, customers[~held])
    contacts = len(np.unique(np.stack([called[in_arm], days[in_arm]]), axis=1).T) if in_arm.any() else 0
    return Measured(arms[0], arms[1], contacts, len(young - set(customers.tolist())), found)


def _arm(chosen: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_], converted: npt.NDArray[np.bool_]) -> Arm:
    return Arm(int(chosen.sum()), int((chosen & known).sum()), int((chosen & known & converted).sum()))


def _since_first(customers: Hashes, since: npt.NDArray[np.int64], rows: _Rows) -> npt.NDArray[np.bool_]:
    """Which customers have such a row in the request of their first randomisation or in a later one."""
    found = np.zeros(len(customers), dtype=np.bool_)
    hashes, numbers = rows.whole()
    if len(customers) and len(hashes):
        at = np.minimum(np.searchsorted(customers, hashes), len(customers) - 1)
        fits = (customers[at] == hashes) & (numbers >= since[at])
        found[at[fits]] = True
    return found


def paired(arms: Iterator[ArmsOfRequest], labels: Iterator[LabelledRequest]) -> Iterator[tuple[ArmsOfRequest, LabelledRequest]]:
    """Requests that both tell of, both being in the order of time and id. One of them may know a request that came meanwhile."""
    one, other = next(arms, None), next(labels, None)
    while one is not None and other is not None:
        mine, theirs = (one.received_at, one.request_id), (other.received_at, other.request_id)
        if mine == theirs:
            yield one, other
        if mine <= theirs:
            one = next(arms, None)
        if theirs <= mine:
            other = next(labels, None)


def lift_of(
    campaign: Campaign, arms: ArmStore, outcomes: OutcomeStore, since: datetime, until: datetime, now: datetime, key: str | None = None
) -> dict[str, Any]:
    """The measured lift of a campaign's predictions of [since, until), ready for a reply.

    Parameters
    ----------
    key : str or None
        The holdout's; that which the campaign declares where None.
    """
    declared = campaign.holdout
    key = key or (None if declared is None else declared.key)
    rules = campaign.label.rules
    mature_until = rules.mature_until(now)
    pairs = paired(arms.arms(campaign.name, since, until), outcomes.requests(campaign.name, since, until, rules=rules))
    found = measure(pairs, key or "", mature_until)
    return {
        "campaign": campaign.name,
        "since": since.isoformat(),
        "until": until.isoformat(),
        "mature_before": mature_until.isoformat(),
        "holdout": None if declared is None else {"key": declared.key, "share": declared.share},
        "key": key,
        "verdict": found.verdict,
        "arms": {CONTACT_ARM: found.contact.as_json(), HOLDOUT_ARM: found.holdout.as_json()},
        "not_yet_mature": found.young,
        "share": _share(found, None if declared is None or declared.key != key else declared.share),
        "difference": lift.as_json(found.difference),
        "incremental": incremental(found, campaign),
        "excluded": arms.excluded(campaign.name, since, until),
    }


def _share(found: Measured, declared: float | None) -> dict[str, Any]:
    """Whether the control group is as large as declared: a group that is not was not drawn as declared."""
    n = found.contact.customers + found.holdout.customers
    told: dict[str, Any] = {
        "observed": found.holdout.customers / n if n else None,
        "declared": declared,
        "suspicious": None,
        "bounds": None,
    }
    if declared is not None and n:
        told["suspicious"] = lift.share_p_value(found.holdout.customers, n, declared) < SUSPICIOUS
        told["bounds"] = [bound / n for bound in lift.share_bounds(n, declared)]
    return told


def incremental(found: Measured, campaign: Campaign) -> dict[str, Any]:
    """Conversions and money that contacting brought, with the ends of the interval; None where there is no data.

    As many conversions more as the contact arm's known customers times the difference; each is worth the declared value, and every contact
    costs the declared cost.
    """
    economics, d = campaign.economics, found.difference
    n = found.contact.known
    cost = Decimal(economics.contact_cost) * found.contacts
    if d.verdict == "no_data":
        return {"conversions": None, "money": None}
    numbers = {"estimate": d.value * n, "low": d.low * n, "high": d.high * n}
    money = {name: str((Decimal(number) * Decimal(economics.conversion_value) - cost).quantize(CENT)) for name, number in numbers.items()}
    return {
        "conversions": numbers,
        "money": {**money, "currency": economics.currency, "contacts": found.contacts, "cost": str(cost.quantize(CENT))},
    }

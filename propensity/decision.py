"""From scores to contacts and money."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from propensity.campaign import LARGEST_BUDGET, Economics, Policy, PolicyKind
from propensity.errors import Malformed

FloatArray = npt.NDArray[np.float64]
BANDS = ("high", "medium", "low")
CONTACT, LEAVE = "contact", "leave"


@dataclass(frozen=True)
class Decision:
    """What a policy decided about one list.

    Attributes
    ----------
    contact : bool array, shape (n,)
    rank : int64 array, shape (n,)
        1 is the best of the list; equal scores keep the order in which they were sent.
    expected_profit : float64 array, shape (n,)
        score * conversion value - contact cost, in the campaign's currency.
    """

    contact: npt.NDArray[np.bool_]
    rank: npt.NDArray[np.int64]
    expected_profit: FloatArray

    @property
    def total_expected_profit(self) -> float:
        """Summed over the customers to contact."""
        return float(self.expected_profit[self.contact].sum())


def decide(scores: FloatArray, policy: Policy, economics: Economics) -> Decision:
    """Choose whom to contact.

    Parameters
    ----------
    scores : float64 array, shape (n,)
        Probabilities in [0, 1].
    """
    n = len(scores)
    order = np.argsort(-scores, kind="stable")
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(1, n + 1)
    profit = expected_profit(scores, economics)
    return Decision(contacts(scores, profit, rank, n, policy, economics), rank, profit)


def expected_profit(scores: FloatArray, economics: Economics) -> FloatArray:
    """score * conversion value - contact cost, in the campaign's currency."""
    return scores * float(economics.conversion_value) - float(economics.contact_cost)


def by_row(policy: Policy) -> bool:
    """Whether a policy decides each row by its own score, whatever the others are."""
    return policy.kind in ("profit", "threshold")


def contacts(
    scores: FloatArray, profit: FloatArray, rank: npt.NDArray[np.int64] | None, n: int, policy: Policy, economics: Economics
) -> npt.NDArray[np.bool_]:
    """Whom to contact among some rows of a list of ``n``. Their ranks in it may be None where the policy decides by row."""
    given = policy.value or 0.0
    if policy.kind == "profit":
        return profit > 0
    if policy.kind == "threshold":
        return scores >= given
    assert rank is not None, "this policy decides by rank"
    if policy.kind == "top_share":
        return rank <= int(np.floor(given * n + 1e-9))
    return (rank <= int(np.floor(given / float(economics.contact_cost) + 1e-9))) & (profit > 0)


def bands(scores: FloatArray, economics: Economics) -> list[str]:
    """A word per row: ``high`` from twice the break-even score, ``medium`` from the break-even score, else ``low``."""
    return [BANDS[at] for at in band_positions(scores, economics).tolist()]


def band_positions(scores: FloatArray, economics: Economics) -> npt.NDArray[np.int8]:
    """The same as positions in `BANDS`."""
    edge = economics.break_even
    missed: npt.NDArray[np.int8] = 2 - (scores >= edge).view(np.int8) - (scores >= 2 * edge)
    return missed


def parse_policy(sent: object, default: Policy) -> Policy:
    """The policy that a request asks for; the campaign's own where it asks for none.

    Raises Malformed with what is allowed.
    """
    if sent is None:
        return default
    kinds = get_args(PolicyKind)
    if not isinstance(sent, dict) or sent.get("kind") not in kinds or set(sent) - {"kind", "value"}:
        raise Malformed(f'policy must look like {{"kind": "top_share", "value": 0.3}}; kinds are {", ".join(kinds)}')
    kind, value = sent["kind"], sent.get("value")
    if kind == "profit":
        if value is not None:
            raise Malformed("the policy profit takes no value")
        return Policy("profit")
    top = LARGEST_BUDGET if kind == "budget" else 1.0
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= top:
        unit = "an amount of money from 0" if kind == "budget" else "a number from 0 to 1"
        raise Malformed(f"the policy {kind} needs a value: {unit}")
    return Policy(kind, float(value))


def as_json(policy: Policy) -> dict[str, Any]:
    """A policy as it is logged and replied."""
    return {"kind": policy.kind} if policy.value is None else {"kind": policy.kind, "value": policy.value}

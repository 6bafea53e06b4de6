"""From scores to contacts and money."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import POLICY_VALUES, Economics, Policy, value_allowed, value_fits
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
    limit = None if by_row(policy) else rank_limit(policy, economics, n, lambda: scores[order])
    return Decision(contacts(scores, profit, rank, limit, policy), rank, profit)


def expected_profit(scores: FloatArray, economics: Economics) -> FloatArray:
    """score * conversion value - contact cost, in the campaign's currency."""
    return scores * float(economics.conversion_value) - float(economics.contact_cost)


def by_row(policy: Policy) -> bool:
    """Whether a policy decides each row by its own score, whatever the others are."""
    return policy.kind in ("profit", "threshold")


def rank_limit(policy: Policy, economics: Economics, n: int, best_first: Callable[[], FloatArray]) -> int:
    """The last rank that a policy which ranks may contact.

    Parameters
    ----------
    n : int
        Scored rows of the list.
    best_first : callable
        Gives all their scores in descending order, shape (n,); asked for by those policies alone that need them.
    """
    given = policy.value or 0.0
    if policy.kind == "top_share":
        return int(np.floor(given * n + 1e-9))
    if policy.kind == "recall":
        return _recall_rows(best_first(), given)
    return int(given) if policy.kind == "calls" else int(np.floor(given / float(economics.contact_cost) + 1e-9))


def _recall_rows(best_first: FloatArray, target: float) -> int:
    """How many of the best hold the share ``target`` of all expected conversions. Right only where scores are calibrated."""
    if not len(best_first) or target <= 0:
        return 0
    reached = np.cumsum(best_first)
    # The last sum is the total: rounding must not ask for more rows than there are.
    return int(np.searchsorted(reached, min(target * reached[-1], reached[-1]))) + 1


def contacts(
    scores: FloatArray, profit: FloatArray, rank: npt.NDArray[np.int64] | None, limit: int | None, policy: Policy
) -> npt.NDArray[np.bool_]:
    """Whom to contact among some rows of a list. Their ranks in it, and the last of them that may be contacted (`rank_limit`), are None
    where the policy decides by row.
    """
    if policy.kind == "profit":
        return profit > 0
    if policy.kind == "threshold":
        return scores >= (policy.value or 0.0)
    assert rank is not None, "this policy decides by rank"
    assert limit is not None, "and up to one"
    best = rank <= limit
    return best if policy.kind in ("top_share", "recall") else best & (profit > 0)


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
    named = sent.get("kind") if isinstance(sent, dict) else None
    kind = next((kind for kind in POLICY_VALUES if kind == named), None)
    if kind is None or not isinstance(sent, dict) or set(sent) - {"kind", "value"}:
        raise Malformed(f'policy must look like {{"kind": "top_share", "value": 0.3}}; kinds are {", ".join(POLICY_VALUES)}')
    value = sent.get("value")
    if POLICY_VALUES[kind] is None:
        if value is not None:
            raise Malformed(f"the policy {kind} takes no value")
        return Policy(kind)
    if not isinstance(value, int | float) or isinstance(value, bool) or not value_fits(kind, value):
        raise Malformed(f"the policy {kind} needs a value: {value_allowed(kind)}")
    return Policy(kind, float(value))


def as_json(policy: Policy) -> dict[str, Any]:
    """A policy as it is logged and replied."""
    return {"kind": policy.kind} if policy.value is None else {"kind": policy.kind, "value": policy.value}

"""The control group of a campaign: declared, and drawn by a keyed hash. Standard library only.

A customer's arm depends on the secret, the campaign and the customer alone: it is the same in every retry, process and machine, and nobody
without the secret can tell or choose it. Only customers whom the policy would contact are randomised (intention to treat).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

CONTACT_ARM, HOLDOUT_ARM = "contact", "holdout"
ARMS = (CONTACT_ARM, HOLDOUT_ARM)
# The secret that trials of two policies or models are drawn with, by its name in the settings.
TRIALS_KEY = "trials"
KEY_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
SHORTEST_SECRET = 16
_RANGE = 2**64


@dataclass(frozen=True, slots=True, kw_only=True)
class Holdout:
    """Customers whom the policy would contact and who are left alone, so that what contacting brings can be measured.

    Attributes
    ----------
    share : float
        Of those whom the policy would contact, above 0 and at most 0.5.
    key : str
        Name of the secret in the settings (``PROPENSITY_HOLDOUT_KEYS``); another name draws anew.
    """

    share: float
    key: str

    def problems(self) -> Iterator[str]:
        """Sentences about what is declared wrongly."""
        if not 0 < self.share <= 0.5:
            yield "the holdout's share must be above 0 and at most 0.5"
        if not KEY_NAME.fullmatch(self.key):
            yield "the holdout's key is a name of lower-case words and digits joined by hyphens, as in 'spring-2026'"


def draws(secret: bytes, campaign: str, customers: Iterable[str]) -> list[float]:
    """A number in [0, 1) per customer key (`propensity.customer_key`), uniform over secrets.

    The first 64 bits of HMAC-SHA-256 (RFC 2104, FIPS 198-1) of campaign and customer, which no control character stands in.
    """
    begin = campaign.encode() + b"\x00"
    digest = hmac.digest
    return [int.from_bytes(digest(secret, begin + customer.encode(), "sha256")[:8]) / _RANGE for customer in customers]


def held_out(secret: bytes, campaign: str, customers: Iterable[str], share: float) -> list[bool]:
    """Whether each customer is in the control group."""
    return [drawn < share for drawn in draws(secret, campaign, customers)]

"""What the contact gate asks of its stores, and what the prediction log is told of it. Every method raises a `StoreError` where a store
does not answer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

Stage = Literal["answer", "export"]


@dataclass(frozen=True)
class GateRecord:
    """What the gate did with one request, kept with it.

    Attributes
    ----------
    version : int or None
        The newest suppression that was looked at: the log refuses the request where a newer one is stored. None: it does not look.
    excluded, reasons : positions (from 1) of those who are left alone whatever their score says, and a code for each
    holdout_key, holdout_share : the declared holdout; None where the campaign has none
    held_out : positions of those whom the policy would contact and who are in the control group
    contacts : keys of the customers to contact, where contacts are counted
    """

    version: int | None = None
    excluded: Sequence[int] = ()
    reasons: Sequence[str] = ()
    holdout_key: str | None = None
    holdout_share: float | None = None
    held_out: Sequence[int] = ()
    contacts: Sequence[str] = ()

    @property
    def is_kept(self) -> bool:
        """Whether there is anything to keep with the request."""
        return bool(self.excluded or self.contacts or self.holdout_key is not None)


@dataclass(frozen=True)
class Suppression:
    """One entry of a do-not-contact list, or its lifting. ``campaign`` None: every campaign. ``customer_id`` None: erased since."""

    id: int
    customer_key: str
    customer_id: str | None
    campaign: str | None
    action: Literal["add", "lift"]
    reason: str
    note: str | None
    actor: str
    created_at: datetime


class SuppressionStore(Protocol):
    """Append-only lists of customers whom nobody may contact."""

    def version(self) -> int:
        """The id of the newest entry; 0 where there is none."""

    def since(self, version: int) -> Iterator[Sequence[tuple[int, str, str | None, str, str]]]:
        """What holds by now of whatever changed after ``version``, in pages: (id, customer key, campaign, action, reason), one row per
        customer and campaign, as of one moment."""

    def salt(self) -> bytes:
        """What the hashes of erased customers are made with."""

    def add(
        self,
        customer_ids: Sequence[str],
        *,
        campaign: str | None,
        action: Literal["add", "lift"],
        reason: str,
        note: str | None,
        actor: str,
    ) -> int:
        """Append one row per customer, all or none; the id of the newest."""

    def listed(self, *, customer_id: str | None, campaign: str | None, limit: int, before: int | None) -> list[Suppression]:
        """Rows that hold now, the newest first."""

    def history(self, customer_id: str) -> list[Suppression]:
        """Every row of one customer, the newest first."""


@dataclass(frozen=True)
class Contacted:
    """Contacts of some customers, one element per customer.

    Attributes
    ----------
    own_days_ago : int64 array
        Days since the last contact by the campaign itself, of an earlier day; a large number where there was none.
    others : int64 array
        Contacts within the days of the cap: days of campaigns, without this campaign's today.
    """

    own_days_ago: npt.NDArray[np.int64]
    others: npt.NDArray[np.int64]


class ContactStore(Protocol):
    """Append-only record of whom replies and call sheets said to contact."""

    def contacted(self, campaign: str, customer_keys: Sequence[str], *, within_days: int, longest_days: int) -> Contacted:
        """What is known of these customers, by Postgres' day (UTC)."""

    def export(self, request_id: str, campaign: str, record: GateRecord) -> None:
        """Keep what was found at the export of a logged request: late exclusions and the contacts. Doing it again adds no contact day."""


@dataclass(frozen=True)
class ArmsOfRequest:
    """One request of a campaign with who was randomised; arrays have one element per prediction.

    Attributes
    ----------
    customer_ids : as logged
    contact : bool array
        To be contacted.
    held_out : bool array
        Would have been contacted, and is in the control group.
    holdout_key : name of the key; None where no holdout was declared at that time
    """

    request_id: str
    received_at: datetime
    customer_ids: Sequence[str]
    contact: npt.NDArray[np.bool_]
    held_out: npt.NDArray[np.bool_]
    holdout_key: str | None
    holdout_share: float | None
    model_digest: str
    policy: str


class ArmStore(Protocol):
    """Who was randomised to what, as the log has it."""

    def arms(self, campaign: str, since: datetime, until: datetime) -> Iterator[ArmsOfRequest]:
        """Every request answered in [since, until), oldest first, as `OutcomeStore.requests` gives them."""

    def excluded(self, campaign: str, since: datetime, until: datetime) -> dict[str, dict[str, int]]:
        """Customers that were excluded, by stage and code."""


@dataclass(frozen=True)
class Erased:
    """A receipt: what was erased of one customer. ``complete`` False: the log was not looked through to its end yet."""

    erasure_id: str
    requests: int
    predictions: int
    replies: int
    outcomes: int
    suppressions: int
    contacts: int
    complete: bool
    created_at: datetime | None


class ErasureStore(Protocol):
    """Makes what is kept of one customer unreadable, and keeps a receipt."""

    def erase(self, erasure_id: str, customer_id: str, *, actor: str, reason: str, deadline_s: float) -> Erased:
        """Erase what is there; what is done when the time is over stays done, and the same call goes on."""

    def receipt(self, erasure_id: str) -> Erased | None:
        """What an erasure did; None where there is none of that id."""

"""The contact gate: who may not be contacted whatever the score says, and who is left alone to measure what contacting brings.

Looked at before anybody is scored, and again where a decision leaves the platform: by the log, which takes no request that was decided
without the newest suppression, and by the export of a list. Where a store does not answer, nobody is decided on.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.campaign import Campaign
from propensity.contact_policy import COOLING_OFF, EXCLUSIONS, FREQUENCY_CAP
from propensity.customer_key import customer_keys
from propensity.decision import Decision
from propensity.errors import SettingsInvalid
from propensity.gate_ports import ContactStore, GateRecord, SuppressionStore
from propensity.holdout import SHORTEST_SECRET, Holdout, held_out
from propensity.suppressed import Suppressed

Codes = npt.NDArray[np.int8]
Flags = npt.NDArray[np.bool_]
_COOLING, _CAPPED = EXCLUSIONS.index(COOLING_OFF) + 1, EXCLUSIONS.index(FREQUENCY_CAP) + 1


@dataclass(frozen=True)
class Gated:
    """What became of a list at the gate; arrays have one element per row.

    Attributes
    ----------
    version : int or None
        The newest suppression that was looked at; None where the log is not to look whether there is a newer one.
    codes : int8 array or None
        Why each row is excluded, as a position in `propensity.contact_policy.EXCLUSIONS` from 1; 0 where it is not. None: nobody is.
    held_out : bool array or None
        Whom the policy would contact and who is in the control group; None where the campaign declares no holdout.
    contacts : keys of the customers to contact, where contacts are counted
    """

    version: int | None = None
    codes: Codes | None = None
    held_out: Flags | None = None
    holdout: Holdout | None = None
    contacts: Sequence[str] = ()

    def record(self) -> GateRecord | None:
        """What is kept with the request; None where there is nothing."""
        if self.version is None and self.codes is None and self.holdout is None:
            return None
        return GateRecord(
            version=self.version,
            **reasons_of(self.codes),
            holdout_key=None if self.holdout is None else self.holdout.key,
            holdout_share=None if self.holdout is None else self.holdout.share,
            held_out=() if self.held_out is None else (np.flatnonzero(self.held_out) + 1).tolist(),
            contacts=self.contacts,
        )

    def counts(self) -> dict[str, int]:
        """Excluded rows by code; those codes alone that there are."""
        return counted(self.codes)


UNGATED = Gated()


def reasons_of(codes: Codes | None) -> dict[str, Any]:
    """Positions from 1 and reasons of those that are excluded, as `GateRecord` has them."""
    if codes is None:
        return {"excluded": (), "reasons": ()}
    at = np.flatnonzero(codes)
    return {"excluded": (at + 1).tolist(), "reasons": [EXCLUSIONS[code - 1] for code in codes[at].tolist()]}


def counted(codes: Codes | None) -> dict[str, int]:
    """How many rows each code excludes."""
    if codes is None:
        return {}
    numbers = np.bincount(codes, minlength=len(EXCLUSIONS) + 1)[1:].tolist()
    return {code: n for code, n in zip(EXCLUSIONS, numbers, strict=True) if n}


@dataclass(frozen=True)
class Looked:
    """Some customers of a campaign after the look at them, before they are scored."""

    gate: ContactGate
    campaign: Campaign
    ids: Sequence[str]
    version: int
    codes: Codes | None
    keys: Sequence[str] | None = None

    @property
    def eligible(self) -> Flags | None:
        """Who may be contacted; None: everybody."""
        return None if self.codes is None else self.codes == 0

    def decide(self, decide: Callable[[Flags | None], Decision]) -> tuple[Decision, Gated]:
        """The decision on these rows, and what the gate did to it.

        Parameters
        ----------
        decide : callable
            Decides on the rows of a mask, all of them where it is None. Asked twice: for those who may be contacted, so that nobody else
            uses up a budget or a share; and for the ranks of the others, who come behind.
        """
        decision = decide(None) if self.eligible is None else _apart(self.eligible, decide)
        held = self.held_out(decision.contact)
        if held is not None and held.any():
            decision = replace(decision, contact=decision.contact & ~held)
        contacts = self.chosen_keys(decision.contact) if self.gate.counting else ()
        return decision, Gated(self.version, self.codes, held, self.campaign.holdout, contacts)

    def held_out(self, would_contact: Flags) -> Flags | None:
        """Who of those whom the policy would contact is in the control group; None where the campaign declares none."""
        holdout = self.campaign.holdout
        if holdout is None:
            return None
        held = np.zeros(len(would_contact), dtype=np.bool_)
        at = np.flatnonzero(would_contact)
        held[at] = held_out(self.gate.secret(holdout), self.campaign.name, self.chosen_keys(would_contact), holdout.share)
        return held

    def chosen_keys(self, chosen: Flags) -> list[str]:
        """Keys of some of the customers."""
        at = np.flatnonzero(chosen).tolist()
        return customer_keys([self.ids[i] for i in at]) if self.keys is None else [self.keys[i] for i in at]


def _apart(eligible: Flags, decide: Callable[[Flags | None], Decision]) -> Decision:
    mine, theirs = decide(eligible), decide(~eligible)
    contact = np.zeros(len(eligible), dtype=np.bool_)
    rank, profit = np.empty(len(eligible), dtype=np.int64), np.empty(len(eligible))
    contact[eligible] = mine.contact
    rank[eligible], rank[~eligible] = mine.rank, theirs.rank + len(mine.rank)
    profit[eligible], profit[~eligible] = mine.expected_profit, theirs.expected_profit
    return Decision(contact, rank, profit)


class ContactGate:
    """Looks at customers before they are scored.

    Suppressions are kept in memory and brought up to date whenever somebody finds that there is a newer one: nothing is asked of Postgres
    for it while nothing changes. Contacts of the past are asked for by list, and only for campaigns that limit them.

    Parameters
    ----------
    secrets : mapping of key name to secret
        What control groups are drawn with.
    counting : bool
        Whether any campaign of this installation limits contacts, so that every campaign's are kept.
    """

    def __init__(self, suppressions: SuppressionStore, contacts: ContactStore, secrets: Mapping[str, bytes], *, counting: bool) -> None:
        self._store = suppressions
        self.contacts = contacts
        self._secrets = secrets
        self.counting = counting
        self._lock = threading.Lock()
        self._suppressed: Suppressed | None = None

    def look(self, campaign: Campaign, ids: Sequence[str]) -> Looked:
        """Who of these may not be contacted. Raises StoreError where that cannot be known."""
        suppressed = self._suppressed or self.refresh()
        policy = campaign.contact_policy
        limited = policy is not None and policy.counts
        if not limited and suppressed.is_empty:
            return Looked(self, campaign, ids, suppressed.version, None)
        keys = customer_keys(ids)
        codes = suppressed.codes(campaign.name, keys)
        if limited:
            codes = self._limited(campaign, keys, codes)
        return Looked(self, campaign, ids, suppressed.version, codes, keys)

    def asks(self, campaign: Campaign) -> bool:
        """Whether a look has to ask a store."""
        return self._suppressed is None or (campaign.contact_policy is not None and campaign.contact_policy.counts)

    def newest(self) -> Suppressed:
        """Every suppression that holds at this moment. Raises StoreError."""
        known = self._suppressed
        return known if known is not None and self.is_newest(known.version) else self.refresh()

    def refresh(self) -> Suppressed:
        """Bring what is known of suppressions up to date. Raises StoreError."""
        with self._lock:
            known = self._suppressed or Suppressed(salt=self._store.salt())
            self._suppressed = found = known.after(self._store.since(known.version), known.salt)
        return found

    def is_newest(self, version: int) -> bool:
        """Whether no suppression is newer than this one. Raises StoreError."""
        return self._store.version() <= version

    def secret(self, holdout: Holdout) -> bytes:
        """The secret of a holdout. Raises SettingsInvalid where the settings hold none of its name."""
        found = self._secrets.get(holdout.key, b"")
        if len(found) < SHORTEST_SECRET:
            raise SettingsInvalid(missing_secret(holdout))
        return found

    def _limited(self, campaign: Campaign, keys: Sequence[str], codes: Codes | None) -> Codes | None:
        policy = campaign.contact_policy
        assert policy is not None, "only campaigns with a policy limit contacts"
        known = self.contacts.contacted(campaign.name, keys, within_days=policy.within_days, longest_days=policy.longest_days)
        found = np.zeros(len(keys), dtype=np.int8)
        if policy.most_contacts is not None:
            found[known.others >= policy.most_contacts] = _CAPPED
        found[known.own_days_ago <= policy.cooling_off_days] = _COOLING
        if codes is not None:
            # A suppression is the stronger reason.
            found = np.where(codes > 0, codes, found)
        return found if found.any() else None


def missing_secret(holdout: Holdout) -> str:
    """What is wrong where a holdout's secret is not there."""
    return (
        f"PROPENSITY_HOLDOUT_KEYS holds no secret of at least {SHORTEST_SECRET} characters under {holdout.key!r}, with which a campaign's "
        'control group is drawn; it looks like {"name": "secret"}'
    )


def open_gate(
    campaigns: Mapping[str, Campaign], suppressions: SuppressionStore, contacts: ContactStore, secrets: Mapping[str, bytes]
) -> ContactGate:
    """The gate of an installation. Raises SettingsInvalid where the secret of a declared holdout is missing."""
    gate = ContactGate(suppressions, contacts, secrets, counting=counts_contacts(campaigns))
    for campaign in campaigns.values():
        if campaign.holdout is not None:
            gate.secret(campaign.holdout)
    return gate


def counts_contacts(campaigns: Mapping[str, Campaign]) -> bool:
    """Whether any campaign limits contacts."""
    return any(c.contact_policy is not None and c.contact_policy.counts for c in campaigns.values())

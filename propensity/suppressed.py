"""Who is suppressed, in memory: two small numbers a customer, looked up for a whole list at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from propensity.contact_policy import SUPPRESSED

Hashes = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int8]
Change = tuple[int, str, str | None, str, str]
ERASED = "sha256:"
_NOBODY: tuple[Hashes, Codes] = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int8))


@dataclass(frozen=True)
class Suppressed:
    """Every suppression that holds, up to and including the entry ``version``.

    Customers are known by 64 bits of a hash that is drawn anew with every process: a million of them take 9 MB. Two customers of a list of
    a million and a million suppressed ones share a hash in one of 20 million cases; then one too many is left alone, never one too few.

    Attributes
    ----------
    lists : mapping of campaign (None: every campaign) to (sorted hashes, codes)
        Codes are positions in `propensity.contact_policy.EXCLUSIONS`, from 1.
    has_erased : bool
        Whether somebody is known by the salted hash of his key alone.
    """

    version: int = 0
    lists: Mapping[str | None, tuple[Hashes, Codes]] = field(default_factory=dict)
    has_erased: bool = False
    salt: bytes = b""

    @property
    def is_empty(self) -> bool:
        """Whether nobody is suppressed."""
        return not any(len(hashes) for hashes, _ in self.lists.values())

    def after(self, changes: Iterable[Sequence[Change]], salt: bytes) -> Suppressed:
        """With what changed since: pages of the newest entry per customer and campaign."""
        version, erased, lists = self.version, self.has_erased, dict(self.lists)
        for page in changes:
            by_list: dict[str | None, dict[int, int]] = {}
            for number, key, campaign, action, reason in page:
                version = max(version, number)
                erased = erased or key.startswith(ERASED)
                by_list.setdefault(campaign, {})[hash(key)] = _code(reason) if action == "add" else 0
            for campaign, changed in by_list.items():
                lists[campaign] = _merged(lists.get(campaign, _NOBODY), changed)
        return Suppressed(version, lists, erased, salt)

    def codes(self, campaign: str, keys: Sequence[str]) -> Codes | None:
        """A code per customer, 0 for those who are not suppressed; None where nobody is."""
        found = np.zeros(len(keys), dtype=np.int8)
        for name in (campaign, None):
            if len(self.lists.get(name, _NOBODY)[0]):
                self._find(name, keys, found)
                if self.has_erased:
                    self._find(name, self._hashed(keys), found)
        return found if found.any() else None

    def _find(self, name: str | None, keys: Sequence[str], found: Codes) -> None:
        hashes, codes = self.lists[name]
        asked = np.fromiter(map(hash, keys), np.int64, len(keys))
        at = np.searchsorted(hashes, asked)
        at[at == len(hashes)] = 0
        hit = hashes[at] == asked
        found[hit] = codes[at[hit]]

    def _hashed(self, keys: Sequence[str]) -> list[str]:
        begun = hashlib.sha256(self.salt)
        hashed = []
        for key in keys:
            one = begun.copy()
            one.update(key.encode("utf-8", "replace"))
            hashed.append(ERASED + one.hexdigest())
        return hashed


def _code(reason: str) -> int:
    # A reason that a newer program knows is a reason all the same.
    return SUPPRESSED.index(reason) + 1 if reason in SUPPRESSED else 1


def _merged(known: tuple[Hashes, Codes], changed: Mapping[int, int]) -> tuple[Hashes, Codes]:
    """Sorted hashes with some of them added, replaced or (code 0) taken out."""
    hashes, codes = known
    new = np.fromiter(changed, np.int64, len(changed))
    kept = ~np.isin(hashes, new)
    together = np.concatenate([hashes[kept], new])
    their = np.concatenate([codes[kept], np.fromiter(changed.values(), np.int8, len(changed))])
    order = np.argsort(together, kind="stable")
    order = order[their[order] > 0]
    return together[order], their[order]

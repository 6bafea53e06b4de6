"""The live model of every campaign, kept up to date beside the requests: none ever waits for a reload."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from api.packages import FirstParse, Packages
from propensity.campaign import Campaign
from propensity.errors import NoLiveModel, PropensityError
from propensity.model import Model
from propensity.ports import ObjectStore, Promotion, PromotionLedger
from propensity.promotion import ALIASES, CHAMPION, aliases, choose, parse_choice

logger = logging.getLogger("propensity.api.models")
LEDGER = "promotions"
# How long one look waits for packages; what takes longer is swapped in by a later look, and no other campaign waits for it.
LOAD_WAIT_S = 2.0
# A request that names another model than the live one waits so long for its first load, one for a logged prediction so long.
CHOICE_WAIT_S = 5.0
RECORD_WAIT_S = 20.0


@dataclass(frozen=True)
class Live:
    """A model that can answer and the decision in the ledger by which it does: the live one, or another that a request chose."""

    model: Model
    promotion: Promotion


@dataclass(frozen=True)
class Choice:
    """A model that requests can choose: the newest decision on it, and the aliases that name it at present."""

    promotion: Promotion
    aliases: tuple[str, ...]


class LiveModels:
    """The last good model of each campaign, and on demand any other that stands in its promotion ledger.

    A daemon thread looks at the ledger every ``reload_s`` seconds, loads what is new and swaps it in by replacing one reference.
    Whatever goes wrong, the last good model stays; `problems` says why.

    Parameters
    ----------
    first_parse : callable
        Tries a package in a process to throw away. Raises where it must not be parsed in this one.
    """

    def __init__(
        self,
        campaigns: Mapping[str, Campaign],
        store: ObjectStore,
        ledger: PromotionLedger,
        first_parse: FirstParse,
        *,
        reload_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._campaigns = campaigns
        self._ledger = ledger
        self._packages = Packages(store, first_parse, monotonic=monotonic)
        self._reload_s = reload_s
        self._monotonic = monotonic
        self._live: Mapping[str, Live] = MappingProxyType({})
        self._marks: Mapping[str, Hashable] = {}
        self._history: Mapping[str, Sequence[Promotion]] = MappingProxyType({})
        self._problems: Mapping[str, str] = MappingProxyType({LEDGER: "not looked at yet"})
        self._looked_at: float | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to look, at once and then every ``reload_s`` seconds. Does not wait for the first look."""
        self._thread = threading.Thread(target=self._watch, name="live-models", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended or after a few seconds."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def live(self, campaign: str) -> Live:
        """The live model at this moment; use the one reference throughout a request. Raises NoLiveModel."""
        found = self._live.get(campaign)
        if found is None:
            raise NoLiveModel(f"campaign {campaign!r} has no live model yet: train and promote one, or try again shortly")
        return found

    def get(self, campaign: str) -> Live | None:
        """The live model, None where there is none."""
        return self._live.get(campaign)

    def choose(self, campaign: str, wanted: object = None) -> Live:
        """The model that a request asks for: an alias, a version or a digest; None or ``champion`` is the live one and costs nothing.

        Asks no store but for the package itself, and that once: what stands in the ledger is known from the last look.
        Raises Malformed, NotFound where the ledger has no such model, ModelLoading where it is not loaded yet, and as `live`.
        """
        choice = parse_choice(wanted)
        live = self._live.get(campaign)
        if choice == CHAMPION:
            return self.live(campaign)
        self._was_read()
        promotion = choose(self._history.get(campaign, ()), None if live is None else live.model.digest, choice)
        if live is not None and live.model.digest == promotion.model_digest:
            return live
        return Live(self._packages.get(self._campaigns[campaign], promotion.model_digest, CHOICE_WAIT_S), promotion)

    def choices(self, campaign: str) -> list[Choice]:
        """Every model that requests can choose, the one decided on last first. Raises NoLiveModel before the first look."""
        self._was_read()
        live, history = self._live.get(campaign), self._history.get(campaign, ())
        named = aliases(history, None if live is None else live.model.digest)
        newest = {row.model_digest: row for row in history}
        rows = sorted(newest.values(), key=lambda row: -row.sequence)
        return [
            Choice(row, tuple(alias for alias in ALIASES if alias in named and named[alias].model_digest == row.model_digest))
            for row in rows
        ]

    @property
    def problems(self) -> Mapping[str, str]:
        """Why what is live may not be what was promoted, by campaign or ``promotions``; empty where all is well."""
        return self._problems

    @property
    def looked_at(self) -> float | None:
        """When the ledger last answered (monotonic seconds); None where it never did."""
        return self._looked_at

    @property
    def ledger_age_s(self) -> float | None:
        """Seconds since the ledger last answered: what is live may be so much older than what was promoted."""
        return None if self._looked_at is None else self._monotonic() - self._looked_at

    def awaited(self, campaign: str) -> Promotion | None:
        """The newest promotion where it is not the one that is live: still loading, or refused, which `problems` tells; else None."""
        newest, live = _newest(self._history.get(campaign, ())), self._live.get(campaign)
        return None if newest is None or (live is not None and live.model.digest == newest.model_digest) else newest

    def package(self, campaign: Campaign, digest: str) -> Model:
        """Any model ever promoted, by digest: the live one or one from object storage, of which the last few are kept.

        Raises NoLiveModel, ModelDamaged, ModelLoading, StoreError.
        """
        found = self._live.get(campaign.name)
        if found is not None and found.model.digest == digest:
            return found.model
        return self._packages.get(campaign, digest, RECORD_WAIT_S)

    @property
    def ledger(self) -> PromotionLedger:
        """Where decisions are recorded."""
        return self._ledger

    def history(self, campaign: str) -> Sequence[Promotion]:
        """Every decision, oldest first, as of the last look. Raises NoLiveModel before the first."""
        self._was_read()
        return self._history.get(campaign, ())

    def verify(self, campaign: Campaign, digest: str) -> None:
        """Make sure that a package in object storage is sound. Raises NoLiveModel, ModelDamaged, ModelLoading, StoreError."""
        self._packages.verify(campaign, digest, RECORD_WAIT_S)

    def refresh(self, wait_s: float | None = None) -> None:
        """Look once: load every model that was promoted since. Raises nothing for a store or a package that fails.

        ``wait_s``: how long to wait for packages; None waits until each was taken or refused.
        """
        problems: dict[str, str] = {}
        try:
            self._look()
        except PropensityError as exc:
            problems[LEDGER] = str(exc)
        awaited = {name: row for name in self._campaigns if (row := self._renew(name)) is not None}
        # All are begun before any is waited for.
        problems |= {name: reason for name, row in awaited.items() if (reason := self._begin(name, row)) is not None}
        until = None if wait_s is None else self._monotonic() + wait_s
        for name, row in awaited.items():
            if name not in problems and (reason := self._take(name, row, until)) is not None:
                problems[name] = reason
        self._report(problems)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh(LOAD_WAIT_S)
            except Exception:
                # The edge of this thread: were it to end, no promotion would ever reach this process again.
                logger.exception("looking for a new live model failed")
                self._problems = MappingProxyType({**self._problems, LEDGER: "the last look failed unexpectedly; see the log"})
            self._stop.wait(self._reload_s)

    def _was_read(self) -> None:
        if self._looked_at is None:
            raise NoLiveModel("the promotion ledger was not read yet: try again shortly")

    def _look(self) -> None:
        """Bring what is known of the ledger up to date: one small query, and one more per campaign that was decided on since."""
        marks = self._ledger.marks()
        changed = [name for name, mark in marks.items() if name in self._campaigns and mark != self._marks.get(name)]
        for name in changed:
            self._history = MappingProxyType({**self._history, name: tuple(self._ledger.history(name))})
            # Whoever mends a package and promotes it once more does not wait until it would be looked at again.
            self._packages.forgive(name)
            # What was read may be newer than the mark: then the next look reads it once more.
            self._marks = {**self._marks, name: marks[name]}
        self._looked_at = self._monotonic()

    def _renew(self, name: str) -> Promotion | None:
        """The promotion that waits to be taken, None where it is live; a model promoted once more gets its new date."""
        newest, live = _newest(self._history.get(name, ())), self._live.get(name)
        if newest is None or live is None or live.model.digest != newest.model_digest:
            return newest
        if live.promotion.sequence != newest.sequence:
            self._swap(name, Live(live.model, newest))
        return None

    def _begin(self, name: str, promotion: Promotion) -> str | None:
        try:
            self._packages.begin(self._campaigns[name], promotion.model_digest)
        except PropensityError as exc:
            return _not_taken(promotion, exc)
        return None

    def _take(self, name: str, promotion: Promotion, until: float | None) -> str | None:
        """Put a package live once it is loaded. Returns the reason where it was not."""
        wait_s = None if until is None else max(0.0, until - self._monotonic())
        try:
            model = self._packages.get(self._campaigns[name], promotion.model_digest, wait_s)
        except PropensityError as exc:
            return _not_taken(promotion, exc)
        self._swap(name, Live(model, promotion))
        return None

    def _swap(self, name: str, live: Live) -> None:
        self._live = MappingProxyType({**self._live, name: live})
        logger.info("model live", extra={"fields": {"event": "model_live", "campaign": name, "model": live.model.version}})

    def _report(self, problems: Mapping[str, str]) -> None:
        for what, reason in problems.items():
            if self._problems.get(what) != reason:
                logger.warning(reason, extra={"fields": {"event": "reload_problem", "about": what}})
        self._problems = MappingProxyType(dict(problems))


def _newest(history: Sequence[Promotion]) -> Promotion | None:
    """The decision that should be live."""
    standing = [row for row in history if row.action != "refuse"]
    return standing[-1] if standing else None


def _not_taken(promotion: Promotion, why: PropensityError) -> str:
    return f"model {promotion.model_digest[:12]} was not taken: {why}"

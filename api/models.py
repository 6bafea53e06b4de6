"""The live model of every campaign, kept up to date beside the requests: none ever waits for a reload."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from propensity.campaign import Campaign
from propensity.errors import NoLiveModel, PropensityError, StoreError
from propensity.model import Model, load_package
from propensity.ports import ObjectStore, Promotion, PromotionLedger

logger = logging.getLogger("propensity.api.models")
RETRY_S = 30.0
KEPT_PACKAGES = 4
LEDGER = "promotions"


@dataclass(frozen=True)
class Live:
    """A model and the promotion that put it live."""

    model: Model
    promotion: Promotion


@dataclass(frozen=True)
class _Refused:
    """A promoted package that could not be used, and when to look at it again (monotonic seconds)."""

    digest: str
    reason: str
    retry_at: float


class LiveModels:
    """The last good model of each campaign.

    A daemon thread looks at the promotion ledger every ``reload_s`` seconds, loads what is new and swaps it in by replacing one
    reference. Whatever goes wrong, the last good model stays; `problems` says why.
    """

    def __init__(
        self,
        campaigns: Mapping[str, Campaign],
        store: ObjectStore,
        ledger: PromotionLedger,
        *,
        reload_s: float = 1.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._campaigns = campaigns
        self._store = store
        self._ledger = ledger
        self._reload_s = reload_s
        self._monotonic = monotonic
        self._live: Mapping[str, Live] = MappingProxyType({})
        self._refused: dict[str, _Refused] = {}
        self._problems: Mapping[str, str] = MappingProxyType({LEDGER: "not looked at yet"})
        self._packages: dict[tuple[str, str], Model] = {}
        self._packages_lock = threading.Lock()
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

    @property
    def problems(self) -> Mapping[str, str]:
        """Why what is live may not be what was promoted, by campaign or ``promotions``; empty where all is well."""
        return self._problems

    def seconds_since_look(self) -> float | None:
        """How long ago the ledger last told what is promoted; None where it never did."""
        return None if self._looked_at is None else self._monotonic() - self._looked_at

    def package(self, campaign: Campaign, digest: str) -> Model:
        """Any model ever promoted, by digest: the live one or one from object storage, of which the last few are kept.

        Raises NoLiveModel, ModelDamaged, StoreError.
        """
        found = self._live.get(campaign.name)
        if found is not None and found.model.digest == digest:
            return found.model
        key = (campaign.name, digest)
        with self._packages_lock:
            if key in self._packages:
                return self._packages[key]
        model = load_package(self._store, campaign, digest)
        with self._packages_lock:
            self._packages[key] = model
            while len(self._packages) > KEPT_PACKAGES:
                self._packages.pop(next(iter(self._packages)))
        return model

    def refresh(self) -> None:
        """Look once: load every model that was promoted since. Raises nothing for a store or a package that fails."""
        problems: dict[str, str] = {}
        try:
            digests = self._ledger.live_digests()
            self._looked_at = self._monotonic()
        except PropensityError as exc:
            problems[LEDGER] = str(exc)
            digests = {}
        for name, digest in digests.items():
            if name in self._campaigns and not self._is_live(name, digest):
                reason = self._take(name, digest)
                if reason is not None:
                    problems[name] = reason
        self._report(problems)

    def _watch(self) -> None:
        while not self._stop.is_set():
            try:
                self.refresh()
            except Exception:
                # The edge of this thread: were it to end, no promotion would ever reach this process again.
                logger.exception("looking for a new live model failed")
                self._problems = MappingProxyType({**self._problems, LEDGER: "the last look failed unexpectedly; see the log"})
            self._stop.wait(self._reload_s)

    def _is_live(self, name: str, digest: str) -> bool:
        found = self._live.get(name)
        return found is not None and found.model.digest == digest

    def _take(self, name: str, digest: str) -> str | None:
        """Load a package and put it live. Returns the reason where that failed."""
        refused = self._refused.get(name)
        if refused is not None and refused.digest == digest and self._monotonic() < refused.retry_at:
            return refused.reason
        try:
            promotion = self._ledger.live(name)
            if promotion is None or promotion.model_digest != digest:
                return None  # promoted anew between the two looks: the next one sees it
            model = load_package(self._store, self._campaigns[name], digest)
        except PropensityError as exc:
            # A store may be back at the next look; a package does not mend itself that soon.
            wait_s = 0.0 if isinstance(exc, StoreError) else RETRY_S
            self._refused[name] = _Refused(digest, f"model {digest[:12]} was not taken: {exc}", self._monotonic() + wait_s)
            return self._refused[name].reason
        self._refused.pop(name, None)
        self._live = MappingProxyType({**self._live, name: Live(model, promotion)})
        logger.info("model live", extra={"fields": {"event": "model_live", "campaign": name, "model": model.version}})
        return None

    def _report(self, problems: Mapping[str, str]) -> None:
        for what, reason in problems.items():
            if self._problems.get(what) != reason:
                logger.warning(reason, extra={"fields": {"event": "reload_problem", "about": what}})
        self._problems = MappingProxyType(dict(problems))

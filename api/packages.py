"""Model packages by digest: each is loaded once, whoever asks, and by a thread of its own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass

from propensity.campaign import Campaign
from propensity.errors import ModelLoading, PropensityError, StoreError
from propensity.model import Model, SealedPackage, fetch_package
from propensity.ports import ObjectStore

FirstParse = Callable[[SealedPackage], None]
KEPT = 4
RETRY_S = 30.0
LONGEST_RETRY_S = 1800.0
Key = tuple[str, str]


@dataclass(frozen=True)
class _Refusal:
    """Why a package could not be used, and when it is looked at again (monotonic seconds), ``wait_s`` after the last time."""

    error: PropensityError
    retry_at: float
    wait_s: float


class Packages:
    """Loads packages and keeps the last few.

    A package is fetched, its digests are checked, ``first_parse`` tries it in a process to throw away, and only then it is parsed
    here and its canary rows scored. One that was refused is not looked at again for a while, which doubles each time.
    """

    def __init__(
        self, store: ObjectStore, first_parse: FirstParse, *, kept: int = KEPT, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._store = store
        self._first_parse = first_parse
        self._kept = kept
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._models: dict[Key, Model] = {}
        self._loading: dict[Key, Future[Model]] = {}
        self._refused: dict[Key, _Refusal] = {}

    def get(self, campaign: Campaign, digest: str, wait_s: float | None = None) -> Model:
        """The model of that digest.

        Raises NoLiveModel where there is no such package, ModelDamaged where it is not sound, StoreError where object storage does not
        answer, ModelLoading where it is not there after ``wait_s`` (None: as long as it takes). The load goes on then.
        """
        found = self._begin(campaign, digest)
        if isinstance(found, Model):
            return found
        try:
            return found.result(wait_s)
        except NotYet:
            raise ModelLoading(f"the model {digest[:12]} of campaign {campaign.name!r} is being loaded: try again in a moment") from None
        except PropensityError as exc:
            # A fresh one: an exception that many threads raise grows with each.
            raise type(exc)(str(exc)) from exc

    def verify(self, campaign: Campaign, digest: str, wait_s: float | None = None) -> None:
        """Make sure that a package could be loaded from object storage now, whatever is kept of it here. Raises what `get` raises."""
        fetch_package(self._store, campaign, digest)
        self.get(campaign, digest, wait_s)

    def begin(self, campaign: Campaign, digest: str) -> None:
        """Begin to load what is not there yet, without waiting for it. Raises what `get` raises for a package refused lately."""
        self._begin(campaign, digest)

    def _begin(self, campaign: Campaign, digest: str) -> Model | Future[Model]:
        key = (campaign.name, digest)
        with self._lock:
            if key in self._models:
                self._models[key] = self._models.pop(key)  # the one used last goes last
                return self._models[key]
            refused = self._refused.get(key)
            if refused is not None and self._monotonic() < refused.retry_at:
                raise type(refused.error)(str(refused.error))
            if key not in self._loading:
                loading: Future[Model] = Future()
                threading.Thread(target=self._load, args=(campaign, key, loading), name="load-model", daemon=True).start()
                self._loading[key] = loading  # the thread waits for this lock before it takes it out again
            return self._loading[key]

    def forgive(self, campaign: str) -> None:
        """Look again at once, when next asked, at the packages of this campaign that were refused."""
        with self._lock:
            self._refused = {key: refusal for key, refusal in self._refused.items() if key[0] != campaign}

    def clear(self) -> None:
        """Forget every package that is kept."""
        with self._lock:
            self._models.clear()

    def _load(self, campaign: Campaign, key: Key, loading: Future[Model]) -> None:
        try:
            package = fetch_package(self._store, campaign, key[1])
            self._first_parse(package)
            model = package.open(looked_at=True)
            # Not in the time of the first request that asks for reasons.
            model.prepare()
        except Exception as exc:  # noqa: BLE001 - handed on to whoever waits
            self._done(key, None, exc)
            loading.set_exception(exc)
        else:
            self._done(key, model, None)
            loading.set_result(model)

    def _done(self, key: Key, model: Model | None, error: Exception | None) -> None:
        with self._lock:
            del self._loading[key]
            before = self._refused.pop(key, None)
            if model is not None:
                self._models[key] = model
                while len(self._models) > self._kept:
                    self._models.pop(next(iter(self._models)))
            # A store may be back at the next moment; a package does not mend itself that soon.
            elif isinstance(error, PropensityError) and not isinstance(error, StoreError):
                wait_s = RETRY_S if before is None else min(2 * before.wait_s, LONGEST_RETRY_S)
                self._refused[key] = _Refusal(error, self._monotonic() + wait_s, wait_s)

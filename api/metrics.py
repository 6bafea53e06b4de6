"""What the service counts, for Prometheus. One registry per application; no label ever holds an id, a key or a customer's value.

Every label has few values: routes are templates (all unknown addresses share one), methods are the known ones or ``_OTHER``, a campaign
is a declared one, a refusal has the ``code`` of its problem. The children of a labelled metric are looked up once and then kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from api.models import LiveModels

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
BYTES = (256, 1024, 4096, 16_384, 65_536, 262_144, 1_048_576, 4_194_304, 10_485_760)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
OTHER = "_OTHER"
UNMATCHED = "unmatched"
_LABELS = ("route", "method", "status")


class _Request(NamedTuple):
    """The children of one route, method and status class."""

    seconds: Histogram
    received: Histogram
    sent: Histogram


class Metrics:
    """The counts of one application.

    Attributes
    ----------
    registry : CollectorRegistry
        Its own: the library's default registry is shared by the whole process and stays empty of these.
    """

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # a second series for each counter, which nobody reads
        self.registry = registry = CollectorRegistry()
        self._seconds = Histogram(
            "propensity_http_request_seconds",
            "From reading the request's header to the reply's.",
            _LABELS,
            buckets=SECONDS,
            registry=registry,
        )
        self._received = Histogram("propensity_http_request_bytes", "Size of the body as sent.", _LABELS, buckets=BYTES, registry=registry)
        self._sent = Histogram("propensity_http_response_bytes", "Size of the reply's body.", _LABELS, buckets=BYTES, registry=registry)
        self._refusals = Counter("propensity_refusals", "Requests answered with a problem, by its code.", ("code",), registry=registry)
        self._scored = Counter("propensity_rows_scored", "Rows that were scored and logged.", ("campaign",), registry=registry)
        self._rows_refused = Counter(
            "propensity_rows_refused", "Rows of accepted lists that could not be used.", ("campaign",), registry=registry
        )
        self._excluded = Counter(
            "propensity_rows_excluded", "Rows of which nobody may be contacted, by the reason.", ("campaign", "reason"), registry=registry
        )
        self._replays = Counter(
            "propensity_replays", "Requests answered with the stored reply of their key.", ("campaign",), registry=registry
        )
        self._outcomes = Counter(
            "propensity_outcomes", "Outcomes that were posted, by what became of them.", ("campaign", "status"), registry=registry
        )
        self._commits = Histogram(
            "propensity_log_commit_seconds", "Until the prediction log had committed.", buckets=SECONDS, registry=registry
        )
        self._requests: dict[tuple[str, str, int], _Request] = {}
        self._codes: dict[str, Counter] = {}
        self._rows: dict[str, tuple[Counter, Counter, Counter]] = {}
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self._watched = _Watched()
        registry.register(self._watched)

    def request(self, route: str | None, method: str, status: int, *, seconds: float, received: int, sent: int) -> None:
        """Count a request that was answered. ``route`` is its template; None where no route matched."""
        key = (route or UNMATCHED, method if method in METHODS else OTHER, status // 100)
        found = self._requests.get(key) or self._resolve(key)
        found.seconds.observe(seconds)
        found.received.observe(received)
        found.sent.observe(sent)

    def refused(self, code: str) -> None:
        """Count a reply with the problem ``code``: one of the codes that this project names, never a text from a caller."""
        counter = self._codes.get(code)
        if counter is None:
            counter = self._codes[code] = self._refusals.labels(code)
        counter.inc()

    def scored(self, campaign: str, rows: int, refused: int) -> None:
        """Count the rows of a request that was scored and logged, and those of it that were refused."""
        scored, not_used, _ = self._of(campaign)
        scored.inc(rows)
        if refused:
            not_used.inc(refused)

    def excluded(self, campaign: str, counts: Mapping[str, int]) -> None:
        """Count rows whose customers may not be contacted, by the codes of `propensity.contact_policy.EXCLUSIONS`."""
        for reason, n in counts.items():
            self._excluded.labels(campaign, reason).inc(n)

    def replayed(self, campaign: str) -> None:
        """Count a request that was answered with the stored reply of its Idempotency-Key."""
        self._of(campaign)[2].inc()

    def outcomes(self, campaign: str, counts: Mapping[str, int]) -> None:
        """Count posted outcomes by what became of them; the statuses are those of `propensity.outcomes`, and ``refused``."""
        for status, n in counts.items():
            self._outcomes.labels(campaign, status).inc(n)

    def committed(self, seconds: float) -> None:
        """Record how long the prediction log took to commit."""
        self._commits.observe(seconds)

    def watch_models(self, campaigns: Iterable[str], models: LiveModels, clock: Callable[[], datetime]) -> None:
        """Show the live models at every scrape, and every declared campaign's counters from zero."""
        names = tuple(campaigns)
        for name in names:
            self._of(name)
        self._watched.models = lambda: _models(names, models, clock)

    def watch_server(self, *, queued: Callable[[], int], in_flight: Callable[[], int]) -> None:
        """Show at every scrape how many requests wait for a thread and how many are worked on. Both are called by any thread."""
        self._watched.server = lambda: _server(queued(), in_flight())

    def watch_logs(self, dropped: Callable[[], int]) -> None:
        """Show at every scrape how many lines of the process' log were dropped."""
        self._watched.logs = lambda: _logs(dropped())

    def render(self) -> bytes:
        """Everything in Prometheus' text format (`CONTENT_TYPE`)."""
        return generate_latest(self.registry)

    def _resolve(self, key: tuple[str, str, int]) -> _Request:
        labels = (key[0], key[1], f"{key[2]}xx")
        children = _Request(self._seconds.labels(*labels), self._received.labels(*labels), self._sent.labels(*labels))
        return self._requests.setdefault(key, children)

    def _of(self, campaign: str) -> tuple[Counter, Counter, Counter]:
        found = self._rows.get(campaign)
        if found is None:
            children = (self._scored.labels(campaign), self._rows_refused.labels(campaign), self._replays.labels(campaign))
            found = self._rows.setdefault(campaign, children)
        return found


class _Watched(Collector):
    """What is not counted but looked at, when somebody asks."""

    models: Callable[[], Iterator[Metric]] | None = None
    server: Callable[[], Iterator[Metric]] | None = None
    logs: Callable[[], Iterator[Metric]] | None = None

    def collect(self) -> Iterator[Metric]:
        for read in (self.models, self.server, self.logs):
            if read is not None:
                yield from read()


def _models(campaigns: Iterable[str], models: LiveModels, clock: Callable[[], datetime]) -> Iterator[Metric]:
    info = GaugeMetricFamily("propensity_model_info", "The live model; always 1.", labels=("campaign", "version"))
    age = GaugeMetricFamily("propensity_model_age_seconds", "Since the live model was promoted.", labels=("campaign",))
    refused = GaugeMetricFamily(
        "propensity_newest_promotion_refused", "1 where the newest promotion is not what is live: see /readyz.", labels=("campaign",)
    )
    looked = GaugeMetricFamily("propensity_ledger_staleness_seconds", "Since the promotions were last read; absent until they were.")
    problems = models.problems
    for name in campaigns:
        live = models.get(name)
        refused.add_metric((name,), float(name in problems))
        if live is None:
            continue
        info.add_metric((name, live.model.version), 1.0)
        if live.promotion.created_at is not None:
            age.add_metric((name,), max(0.0, (clock() - live.promotion.created_at).total_seconds()))
    since = models.ledger_age_s
    if since is not None:
        looked.add_metric((), since)
    yield from (info, age, refused, looked)


def _server(queued: int, in_flight: int) -> Iterator[Metric]:
    yield GaugeMetricFamily("propensity_admission_queue_depth", "Requests that wait for a thread.", value=queued)
    yield GaugeMetricFamily("propensity_requests_in_flight", "Requests that are worked on.", value=in_flight)


def _logs(dropped: int) -> Iterator[Metric]:
    yield CounterMetricFamily("propensity_log_lines_dropped", "Log lines that nobody took in time.", value=dropped)

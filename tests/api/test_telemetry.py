"""What a process counted reaches the tables once, whole, and whatever happened to Postgres meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from api.metrics import SECONDS, Metrics
from api.telemetry import Telemetry, kind_of
from propensity.errors import DatabaseUnavailable
from propensity.panels.boards.traffic import DURATIONS
from propensity.ports import ServiceSample, ServiceTraffic


class Keeper:
    """`propensity.ports.PanelKeeper` in memory."""

    def __init__(self, days: int = 0) -> None:
        self.down = False
        self.days = days
        self.added: list[tuple[Sequence[ServiceTraffic], ServiceSample]] = []
        self.calls: list[str] = []
        self.came = threading.Event()

    def add(self, process: str, traffic: Sequence[ServiceTraffic], sample: ServiceSample) -> None:
        assert len(process) == 36
        if self.down:
            raise DatabaseUnavailable("Postgres did not answer")
        self.added.append((traffic, sample))

    def count_ahead(self) -> bool:
        self.calls.append("count")
        self.days -= 1
        if self.days <= 0:
            self.came.set()
        return self.days > 0

    def recount(self) -> bool:
        self.calls.append("recount")
        return False

    def forget(self) -> None:
        self.calls.append("forget")


def answered(metrics: Metrics, route: str, status: int, *seconds: float, method: str = "POST") -> None:
    for took in seconds:
        metrics.request(route, method, status, seconds=took, received=1, sent=1)


LIST = "/v1/campaigns/<campaign>/predictions"


def test_every_request_is_written_once_by_kind_status_and_duration() -> None:
    metrics, keeper = Metrics(), Keeper()
    telemetry = Telemetry(metrics.registry, keeper)
    answered(metrics, LIST, 200, 0.0004, 0.02, 30.0)
    answered(metrics, LIST, 422, 0.02)
    answered(metrics, "/livez", 200, 0.0001, method="GET")
    metrics.committed(0.003)
    telemetry.write()
    answered(metrics, LIST, 200, 0.02)
    telemetry.write()
    telemetry.write()
    first, second, third = keeper.added
    told = {(row.kind, row.status): (row.requests, [at for at, n in enumerate(row.slower_than) for _ in range(n)]) for row in first[0]}
    assert told == {
        ("predictions", 2): (3, [0, 5, len(SECONDS)]),
        ("predictions", 4): (1, [5]),
        ("operations", 2): (1, [0]),
    }
    assert [(row.kind, row.requests) for row in second[0]] == [("predictions", 1)]
    assert second[0][0].seconds == pytest.approx(0.02)
    assert (first[1].commits, second[1].commits, list(third[0])) == (1, 0, [])
    assert first[1].resident_bytes > 1_000_000
    assert first[1].started_at > 1e9


def test_what_could_not_be_written_is_written_later() -> None:
    metrics, keeper = Metrics(), Keeper()
    telemetry = Telemetry(metrics.registry, keeper)
    answered(metrics, LIST, 200, 0.02)
    keeper.down = True
    with pytest.raises(DatabaseUnavailable):
        telemetry.write()
    answered(metrics, LIST, 503, 0.02)
    keeper.down = False
    telemetry.write()
    ((rows, _),) = keeper.added
    assert {(row.status, row.requests) for row in rows} == {(2, 1), (5, 1)}


def test_the_thread_goes_on_and_ends_with_what_is_left() -> None:
    metrics, keeper = Metrics(), Keeper(days=3)
    keeper.down = True
    telemetry = Telemetry(metrics.registry, keeper, every_s=0.02)
    telemetry.start()
    keeper.down = False
    assert keeper.came.wait(10)
    answered(metrics, LIST, 200, 0.02)
    telemetry.stop()
    assert sum(row.requests for rows, _ in keeper.added for row in rows) == 1
    assert {"count", "recount", "forget"} <= set(keeper.calls) or "count" in keeper.calls


def test_panels_and_metrics_have_the_same_bins() -> None:
    assert DURATIONS == SECONDS


@pytest.mark.parametrize(
    ("route", "method", "kind"),
    [
        (LIST, "POST", "predictions"),
        ("/v1/campaigns/<campaign>/outcomes", "POST", "outcomes"),
        ("/v1/predictions/<wanted>", "GET", "records"),
        ("/monitoring", "GET", "pages"),
        ("/metrics", "GET", "operations"),
        ("unmatched", "GET", "operations"),
    ],
)
def test_a_request_has_a_kind(route: str, method: str, kind: str) -> None:
    assert kind_of(route, method) == kind

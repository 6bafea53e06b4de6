"""What /metrics shows: counts that are right, few labels, one registry per application."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from api.app import ROUTES, create_app
from api.metrics import Metrics
from propensity.model import Model
from tests.api.conftest import World
from tests.fakes import NOW


def samples(metrics: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """Every sample as a scraper reads it: by name, then by labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(metrics.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def value(metrics: Metrics, name: str, **labels: str) -> float:
    return samples(metrics)[name][tuple(sorted(labels.items()))]


def test_a_request_is_counted_once_with_its_time_and_sizes(world: World, rows: list[dict[str, Any]]) -> None:
    reply = world.predict(rows)
    metrics = world.services.metrics
    labels = {"route": "/v1/campaigns/<campaign>/predictions", "method": "POST", "status": "2xx"}
    assert value(metrics, "propensity_http_request_seconds_count", **labels) == 1
    assert 0 < value(metrics, "propensity_http_request_seconds_sum", **labels) < 60
    assert value(metrics, "propensity_http_response_bytes_sum", **labels) == len(reply.data)
    assert value(metrics, "propensity_http_request_bytes_sum", **labels) == reply.request.content_length > 1000


def test_the_latency_buckets_reach_from_half_a_millisecond_to_ten_seconds() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.02, 9.9, 60.0):
        metrics.request("/livez", "GET", 200, seconds=seconds, received=0, sent=20)
    counts = {dict(labels)["le"]: count for labels, count in samples(metrics)["propensity_http_request_seconds_bucket"].items()}
    assert (counts["0.0005"], counts["0.025"], counts["10.0"], counts["+Inf"]) == (1, 2, 3, 4)


def test_a_refusal_is_counted_by_the_code_of_its_problem(world: World, rows: list[dict[str, Any]]) -> None:
    world.predict([7])
    world.predict(rows, "small")
    world.client.get("/nope")
    world.client.delete("/livez")
    refusals = {dict(labels)["code"]: count for labels, count in samples(world.services.metrics)["propensity_refusals_total"].items()}
    assert refusals == {"rows_invalid": 1, "no_live_model": 1, "not_found": 1, "method_not_allowed": 1}


def test_rows_replays_and_commits_are_counted() -> None:
    metrics = Metrics()
    metrics.scored("term-deposit", 90, 10)
    metrics.scored("term-deposit", 5, 0)
    metrics.replayed("term-deposit")
    metrics.committed(0.003)
    assert value(metrics, "propensity_rows_scored_total", campaign="term-deposit") == 95
    assert value(metrics, "propensity_rows_refused_total", campaign="term-deposit") == 10
    assert value(metrics, "propensity_replays_total", campaign="term-deposit") == 1
    assert value(metrics, "propensity_log_commit_seconds_count") == 1
    assert value(metrics, "propensity_log_commit_seconds_bucket", le="0.005") == 1
    assert value(metrics, "propensity_log_commit_seconds_bucket", le="0.0025") == 0


def test_a_declared_campaign_starts_at_zero_and_without_a_model(make_world: Callable[..., World]) -> None:
    metrics = make_world().services.metrics
    for name in ("propensity_rows_scored_total", "propensity_rows_refused_total", "propensity_replays_total"):
        assert value(metrics, name, campaign="term-deposit") == 0
    assert not samples(metrics).get("propensity_model_info")
    assert "propensity_ledger_staleness_seconds" not in samples(metrics)


def test_the_live_model_its_age_and_a_refused_promotion_show(world: World, deposit: Model, rival: Model) -> None:
    metrics = world.services.metrics
    assert samples(metrics)["propensity_model_info"] == {(("campaign", "term-deposit"), ("version", deposit.version)): 1}
    assert value(metrics, "propensity_model_age_seconds", campaign="term-deposit") == 0
    world.store.down = True
    world.database.now = NOW - timedelta(hours=1)
    with pytest.raises(Exception, match="object storage"):
        world.promote(rival)
    world.store.down = False
    world.promote(rival, refresh=False)
    world.store.down = True
    world.models.refresh()
    assert value(metrics, "propensity_newest_promotion_refused", campaign="term-deposit") == 1
    assert samples(metrics)["propensity_model_info"] == {(("campaign", "term-deposit"), ("version", deposit.version)): 1}
    world.store.down = False
    world.models.refresh()
    assert value(metrics, "propensity_newest_promotion_refused", campaign="term-deposit") == 0
    assert samples(metrics)["propensity_model_info"] == {(("campaign", "term-deposit"), ("version", rival.version)): 1}
    assert value(metrics, "propensity_model_age_seconds", campaign="term-deposit") == 3600


def test_the_look_at_the_promotions_grows_old_while_the_ledger_is_down(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(world.models, "_monotonic", lambda: now[0])
    world.models.refresh()
    world.database.down = True
    now[0] = 1042.0
    world.models.refresh()
    assert value(world.services.metrics, "propensity_ledger_staleness_seconds") == 42
    world.database.down = False
    world.models.refresh()
    assert value(world.services.metrics, "propensity_ledger_staleness_seconds") == 0


def test_what_the_server_and_the_log_tell_is_read_at_each_scrape() -> None:
    metrics, told = Metrics(), {"queued": 3, "in_flight": 8, "dropped": 5}
    assert "propensity_requests_in_flight" not in samples(metrics)
    metrics.watch_server(queued=lambda: told["queued"], in_flight=lambda: told["in_flight"])
    metrics.watch_logs(lambda: told["dropped"])
    assert value(metrics, "propensity_admission_queue_depth") == 3
    assert value(metrics, "propensity_requests_in_flight") == 8
    assert value(metrics, "propensity_log_lines_dropped_total") == 5
    told["queued"] = 0
    assert value(metrics, "propensity_admission_queue_depth") == 0


def test_the_process_shows_its_memory_time_files_and_start() -> None:
    found = samples(Metrics())
    assert found["process_resident_memory_bytes"][()] > 1e7
    assert found["process_open_fds"][()] >= 3
    assert found["process_cpu_seconds_total"][()] > 0
    assert found["process_start_time_seconds"][()] > 1e9


def test_the_route_answers_in_prometheus_text_format(world: World) -> None:
    reply = world.client.get("/metrics")
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert {family.name for family in text_string_to_metric_families(reply.text)} >= {
        "propensity_http_request_seconds",
        "process_cpu_seconds",
    }


def test_no_caller_can_add_a_label(world: World) -> None:
    client = world.client
    for at in range(20):
        client.get(f"/v1/predictions/x{at}")
        client.get(f"/nope/{at}")
        client.get(f"/v1/campaigns/nope{at}")
        client.post(f"/v1/campaigns/nope{at}/predictions", json=[{}])
        client.open("/livez", method=f"VERB{at}")
    found = samples(world.services.metrics)
    labels = {dict(labels)["route"] for labels in found["propensity_http_request_seconds_count"]}
    assert labels <= {path for _, path, _ in ROUTES} | {"unmatched"}
    assert "unmatched" in labels
    assert {dict(labels)["method"] for labels in found["propensity_http_request_seconds_count"]} == {"GET", "POST", "_OTHER"}
    assert {dict(labels)["campaign"] for labels in found["propensity_rows_scored_total"]} == set(world.campaigns)
    assert not re.search(r"nope|VERB|x1\d", world.services.metrics.render().decode())


def test_two_applications_in_one_process_count_for_themselves(make_world: Callable[..., World]) -> None:
    one, other = make_world(), make_world()
    one.client.get("/livez")
    assert "propensity_http_request_seconds_count" in samples(one.services.metrics)
    assert "propensity_http_request_seconds_count" not in samples(other.services.metrics)
    assert not [name for name in REGISTRY._names_to_collectors if name.startswith("propensity")]


def test_services_may_be_made_anew_over_the_same_metrics(world: World) -> None:
    again = replace(world.services, clock=lambda: NOW + timedelta(seconds=5))
    create_app(again).test_client().get("/livez")
    assert value(world.services.metrics, "propensity_model_age_seconds", campaign="term-deposit") == 5


def test_counts_are_exact_under_threads() -> None:
    metrics = Metrics()

    def work() -> None:
        for at in range(500):
            metrics.request("/livez", "GET", 200 + 100 * (at % 4), seconds=0.001, received=0, sent=1)
            metrics.refused(f"code-{at % 3}")
            metrics.scored("small", 2, 1)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = samples(metrics)
    assert sum(found["propensity_http_request_seconds_count"].values()) == 4000
    assert sum(found["propensity_refusals_total"].values()) == 4000
    assert value(metrics, "propensity_rows_scored_total", campaign="small") == 8000

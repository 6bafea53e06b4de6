"""A Postgres that the platform itself filled: trained, promoted, scored over HTTP, outcomes posted, monitored, compared, told, counted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from api.app import create_app
from api.auth import ApiKeys
from api.models import LiveModels
from api.pages.session import Sessions
from api.services import Services
from api.telemetry import Telemetry
from local.postgres_urls import DatabaseUrls
from monitoring.job import monitor, performance
from monitoring.window import log_rows
from propensity.access import Role, new_key
from propensity.adapters.alert_store import PostgresAlertStore
from propensity.adapters.api_keys import PostgresApiKeyStore, open_key_store
from propensity.adapters.database import Database
from propensity.adapters.flow_heartbeats import PostgresHeartbeatStore
from propensity.adapters.migrate import migrate
from propensity.adapters.monitor_runs import PostgresMonitorStore
from propensity.adapters.object_store import FolderStore
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.panels import PostgresPanels
from propensity.adapters.periods import PostgresPeriodStore
from propensity.adapters.platform import Platform
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.campaign import Campaign, Economics
from propensity.challenge import Challenge
from propensity.model import Model, save_package
from propensity.ports import Promotion
from propensity.snapshot import read_snapshot, write_snapshot
from tests.api.conftest import FIRST_PARSE
from tests.api.contract import watched
from tests.builders import tiny_campaign, tiny_columns, tiny_snapshot, train_fast
from tests.gates import gate_services
from tests.panels.following import follow_on

SECRET = "a secret that is long enough for any session"
DAYS = 12
# So that a few hundred outcomes give a figure.
RULES = Challenge(min_rows=100, approval="human")


def campaigns() -> dict[str, Campaign]:
    """Two that differ in nothing but money and name, one whose customers grew old, and one that nobody ever used."""
    dollars = Economics(contact_cost=Decimal("2.50"), conversion_value=Decimal("12.25"), currency="USD")
    declared = (
        tiny_campaign(challenge=RULES),
        tiny_campaign(name="second", title="Second", economics=dollars, challenge=RULES),
        tiny_campaign(name="moved", title="Moved"),
        tiny_campaign(name="unused", title="Unused"),
    )
    return {campaign.name: campaign for campaign in declared}


@dataclass
class Filled:
    """The platform and what was asked of it. ``replies`` and ``labels`` by campaign: what the service answered and was told."""

    urls: DatabaseUrls
    campaigns: Mapping[str, Campaign]
    services: Services
    app: Any
    key: str
    replies: dict[str, list[Any]] = field(default_factory=dict)
    labels: dict[str, list[bool]] = field(default_factory=dict)
    installation: Platform | None = None

    def client(self, *, signed: bool = True) -> Any:
        """A client with the operator's key."""
        client = self.app.test_client()
        if signed:
            client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {self.key}"
        return client


@contextmanager
def filled(urls: DatabaseUrls, folder: Path, *, days: int = DAYS, rows: int = 60) -> Iterator[Filled]:
    """The platform over this database, filled for so many days, today the last, with ``rows`` rows in each list."""
    migrate(urls.owner_url)
    database = Database(urls.app_url, pool_size=6, timeout_s=10.0)
    store = FolderStore(folder)
    platform = _platform(urls, database, store)
    try:
        _train(platform, database, store)
        _score(platform, days, rows)
        _backdate(urls, days)
        _watch(platform, database, store, days)
        platform.installation = follow_on(urls, folder, platform.campaigns, days)
        yield platform
    finally:
        platform.services.models.stop()
        platform.services.keys.stop()
        database.close()
        if platform.installation is not None:
            platform.installation.database.close()


def _platform(urls: DatabaseUrls, database: Database, store: FolderStore) -> Filled:
    text, new = new_key("operator", Role.OPERATOR, by="tester", rate_per_s=1e6)
    keys_of_owner, connections = open_key_store(urls.owner_url)
    keys_of_owner.add(new)
    connections.close()
    declared = campaigns()
    keys = ApiKeys(PostgresApiKeyStore(database), rate_per_s=1e6, reload_s=0.5)
    keys.refresh()
    services = Services(
        declared,
        LiveModels(declared, store, PostgresPromotionLedger(database), FIRST_PARSE, reload_s=0.5),
        PostgresPredictionLog(database),
        PostgresOutcomeStore(database),
        database,
        keys,
        PostgresAlertStore(database),
        PostgresHeartbeatStore(database),
        gate_services(database, declared),
        panels=PostgresPanels(database),
        sessions=Sessions(SECRET),
    )
    return Filled(urls, declared, services, watched(create_app(services), declared), text)


def _train(platform: Filled, database: Database, store: FolderStore) -> None:
    """A model for each campaign but the unused one, which its gates then refused, and for two a challenger."""
    ledger, periods = PostgresPromotionLedger(database), PostgresPeriodStore(database)
    for name in ("tiny", "second", "moved"):
        campaign = platform.campaigns[name]
        data = tiny_snapshot(3_000)
        table = replace(data.table, campaign=campaign)
        manifest = write_snapshot(store, table, data.label, data.months, {})
        snapshot = read_snapshot(store, campaign, manifest.snapshot_id)
        model = train_fast(snapshot, campaign, rounds=15).model
        save_package(store, model)
        ledger.append(_decision(name, 1, "promote", model, ["passed: roc_auc 0.8, at least 0.5 needed"]))
        ledger.append(_decision(name, 2, "refuse", model, ["failed: roc_auc", "it is the same model"]))
        if name != "moved":
            challenger = train_fast(snapshot, campaign, rounds=5).model
            save_package(store, challenger)
            waits = _decision(name, 3, "refuse", challenger, ["passed: roc_auc 0.7, at least 0.5 needed"])
            ledger.append(replace(waits, replaces=model.digest, step="pending" if name == "tiny" else "trial"))
        periods.finish("train", name, "2024-06", {"rows": len(table)})
    platform.services.models.refresh()


def _decision(name: str, sequence: int, action: str, model: Model, reasons: list[str]) -> Promotion:
    return Promotion(name, sequence, action, model.digest, model.version, None, reasons, {}, "tester")


def _score(platform: Filled, days: int, rows: int) -> None:
    """A list a day and campaign, some of its rows spoilt; then outcomes, of which some repeat, contradict or belong to nobody."""
    client = platform.client()
    for name in ("tiny", "second"):
        url = f"/v1/campaigns/{name}"
        platform.replies[name] = []
        for day in range(days):
            columns = tiny_columns(rows, seed=day)
            sent: list[Any] = [
                {key: values[at] for key, values in columns.items()} | {"customer": f"{name}-{day}-{at}"} for at in range(rows)
            ]
            for at in range(day % 3):
                sent[at] = {**sent[at], "age": -1}
            reply = client.post(f"{url}/predictions", json={"customers": sent, "reasons": 0})
            assert reply.status_code == 200, reply.text
            platform.replies[name].append(reply.json)
        known = [p for reply in platform.replies[name][: days - 3] for p in reply["predictions"]]
        platform.labels[name] = [p["score"] > 0.3 if at % 4 else at % 8 == 0 for at, p in enumerate(known)]
        answers = [{"prediction_id": p["prediction_id"], "label": label} for p, label in zip(known, platform.labels[name], strict=True)]
        strange = [{**answers[0]}, {**answers[1], "label": not answers[1]["label"]}, {"customer_id": "nobody", "label": True}]
        assert client.post(f"{url}/outcomes", json=[*answers, *strange]).status_code == 200
    for day in range(days):
        columns = tiny_columns(rows, seed=day) | {"age": [70 + at % 30 for at in range(rows)]}
        sent = [{key: values[at] for key, values in columns.items()} | {"customer": f"moved-{day}-{at}"} for at in range(rows)]
        assert client.post("/v1/campaigns/moved/predictions", json={"customers": sent, "reasons": 0}).status_code == 200
    assert (
        client.post(
            "/v1/campaigns/unused/predictions", json=[{"customer": "x", **{k: v[0] for k, v in tiny_columns(1).items()}}]
        ).status_code
        == 503
    )


def _backdate(urls: DatabaseUrls, days: int) -> None:
    """Spread the lists over the days: Postgres gives every row the present time, and a test cannot wait."""
    with psycopg.connect(urls.owner_url) as connection:
        # Row by row through a copy: a changed time may belong to another month's partition.
        connection.execute("select make_prediction_partitions((now() - interval '40 days')::date, 3)")
        connection.execute(
            """
            with ordered as (
                select request_id, received_at, row_number() over (partition by campaign order by received_at) - 1 as day
                from prediction_request
            )
            update prediction_request as r set received_at = date_trunc('day', now(), 'UTC') + interval '30 seconds' - make_interval(days
            => %s - day::integer)
            from ordered where ordered.request_id = r.request_id""",
            (days - 1,),
        )
        # A challenger scores what came after the first decision on it.
        connection.execute("update promotion set created_at = created_at - make_interval(days => %s)", (days,))


def _watch(platform: Filled, database: Database, store: FolderStore, days: int) -> None:
    """Monitor as the daily flow does, let the process write what it counted, and count ahead."""
    log, ledger, monitors = platform.services.log, PostgresPromotionLedger(database), PostgresMonitorStore(database)
    until = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1)
    since = until - timedelta(days=days)
    for name in ("tiny", "second"):
        campaign = platform.campaigns[name]
        monitor(campaign, ledger=ledger, store=store, log=log, monitor_store=monitors, since=since, until=until)
        # Judged when all of them are mature.
        now = until + timedelta(days=campaign.label.window_days + 1)
        performance(
            campaign,
            ledger=ledger,
            store=store,
            outcomes=platform.services.outcomes,
            monitor_store=monitors,
            since=since,
            until=until,
            now=now,
            rows=partial(log_rows, log),
        )
    for name in ("moved", "unused"):
        monitor(platform.campaigns[name], ledger=ledger, store=store, log=log, monitor_store=monitors, since=since, until=until)
    telemetry = Telemetry(platform.services.metrics.registry, PostgresPanels(database), every_s=60.0)
    telemetry.write()
    telemetry.keep(0)

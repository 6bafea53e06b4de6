"""The pages over what a person would have: Postgres, a model that was trained and promoted, and the watch that scores lists."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from api.app import create_app
from api.auth import ApiKeys
from api.lists import ListDesk
from api.models import LiveModels
from api.pages.session import Sessions
from api.services import Services
from api.signed import LocalSigner
from flows.list_job import watch
from local.postgres_urls import DatabaseUrls
from propensity.access import Role, new_key
from propensity.adapters.alert_store import PostgresAlertStore
from propensity.adapters.api_keys import PostgresApiKeyStore, open_key_store
from propensity.adapters.database import Database
from propensity.adapters.flow_heartbeats import PostgresHeartbeatStore
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.panels import PostgresPanels
from propensity.adapters.platform import Platform, open_platform
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.campaigns import all_campaigns
from propensity.model import Model, save_package
from propensity.ports import Promotion
from propensity.settings import Settings
from tests.api.conftest import FIRST_PARSE
from tests.api.contract import watched
from tests.gates import gate_services

NAME = "term-deposit"


@dataclass(frozen=True)
class Stand:
    """The service and what is behind it; ``keys`` by role."""

    services: Services
    app: Any
    keys: dict[str, str]
    platform: Platform

    def promote(self, model: Model, sequence: int, action: str = "promote", step: str = "") -> None:
        """A row in the ledger, with figures."""
        save_package(self.platform.store, model)
        figures = dict(model.manifest.metrics) or {"roc_auc": 0.7 + sequence / 100, "brier": 0.09}
        evidence = {"challenger": figures, "split": "the last months"}
        live = self.platform.ledger.live(NAME)
        replaces = None if live is None else live.model_digest
        row = Promotion(
            NAME,
            sequence,
            action,
            model.digest,
            model.version,
            replaces,
            ["passed: roc_auc 0.8, at least 0.5 needed"],
            evidence,
            "trainer",
            step=step,
        )
        self.platform.ledger.append(row)
        self.services.models.refresh()


@contextmanager
def stand(urls: DatabaseUrls, folder: Path) -> Iterator[Stand]:
    """The service, watched, with nothing live yet; lists are scored by a thread."""
    migrate(urls.owner_url)
    database = Database(urls.app_url, pool_size=8, timeout_s=10.0)
    store, declared = FolderStore(folder / "store"), dict(all_campaigns())
    keys = ApiKeys(PostgresApiKeyStore(database), rate_per_s=1e6, reload_s=0.5)
    texts = _keys(urls, keys)
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
        sessions=Sessions("a secret that is long enough for any session"),
        lists=ListDesk(store, LocalSigner("a secret of this test alone, long enough", lambda: datetime.now(UTC).timestamp())),
    )
    settings = Settings(
        home=folder / "home",
        database_url=SecretStr(urls.app_url),
        mlflow_url=SecretStr(urls.mlflow_url),
        store_url=store.root.as_uri(),
    )
    platform = open_platform(settings)
    stopped = threading.Event()
    thread = threading.Thread(target=watch, args=(platform, stopped), kwargs={"now": lambda: datetime.now(UTC)})
    services.models.refresh()
    thread.start()
    try:
        yield Stand(services, watched(create_app(services), declared), texts, platform)
    finally:
        stopped.set()
        thread.join(30)
        services.models.stop()
        database.close()
        platform.database.close()


def _keys(urls: DatabaseUrls, keys: ApiKeys) -> dict[str, str]:
    owner, connections = open_key_store(urls.owner_url)
    texts = {}
    for role in Role:
        texts[str(role)], new = new_key(f"ann {role}", role, by="tester", rate_per_s=1e6)
        owner.add(new)
    connections.close()
    keys.refresh()
    return texts

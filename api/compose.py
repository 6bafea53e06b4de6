"""Puts the process together: the only place of the service that knows which adapters stand behind the ports."""

from __future__ import annotations

import time

from api.auth import ApiKeys
from api.lists import ListDesk
from api.metrics import Metrics
from api.models import LiveModels
from api.packages import FirstParse
from api.pages.session import Sessions
from api.services import GateServices, Services
from api.signed import LocalSigner
from api.telemetry import Telemetry
from api.tracing import start_tracing
from propensity.adapters.alert_store import PostgresAlertStore
from propensity.adapters.api_keys import PostgresApiKeyStore
from propensity.adapters.contacts import PostgresContactStore
from propensity.adapters.database import Database
from propensity.adapters.erasures import PostgresErasureStore
from propensity.adapters.flow_heartbeats import PostgresHeartbeatStore
from propensity.adapters.object_store import open_store
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.panels import PostgresPanels
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.adapters.suppressions import PostgresSuppressionStore
from propensity.campaigns import all_campaigns
from propensity.errors import SettingsInvalid
from propensity.gate import open_gate
from propensity.settings import Settings

# Postgres refuses or the caller hears 503: no request waits longer for it (seconds).
DATABASE_TIMEOUT_S = 2.0


def compose(settings: Settings, first_parse: FirstParse) -> Services:
    """Services over Postgres and object storage. Contacts neither.

    Raises SettingsInvalid where an address is missing, or the secret of a holdout that a campaign declares.
    """
    address = settings.database_url.get_secret_value()
    if not address:
        raise SettingsInvalid("PROPENSITY_DATABASE_URL is not set; it looks like postgresql://user:password@host:5432/propensity")
    # Three connections more than requests, so that looking for promotions and keys, and what is kept for panels, never wait behind them.
    database = Database(address, pool_size=settings.api_threads + 3, timeout_s=DATABASE_TIMEOUT_S)
    campaigns = all_campaigns()
    suppressions, contacts = PostgresSuppressionStore(database), PostgresContactStore(database)
    gate = open_gate(campaigns, suppressions, contacts, settings.holdout_secrets)
    metrics, panels = Metrics(), PostgresPanels(database)
    store = open_store(settings.store_url, endpoint_url=settings.s3_endpoint_url)
    return Services(
        campaigns=campaigns,
        models=LiveModels(campaigns, store, PostgresPromotionLedger(database), first_parse, reload_s=settings.reload_s),
        log=PostgresPredictionLog(database),
        outcomes=PostgresOutcomeStore(database),
        database=database,
        keys=ApiKeys(PostgresApiKeyStore(database), rate_per_s=settings.api_rate_per_s, reload_s=settings.reload_s),
        gate=GateServices(gate, suppressions, contacts, PostgresErasureStore(database)),
        alerts=PostgresAlertStore(database),
        heartbeats=PostgresHeartbeatStore(database),
        metrics=metrics,
        tracing=start_tracing(settings.otlp_endpoint),
        panels=panels,
        telemetry=Telemetry(metrics.registry, panels),
        sessions=Sessions(settings.session_secret.get_secret_value()),
        # In S3 an event starts the job, and its own addresses take the upload: there lists come by the API's gateway.
        lists=ListDesk(store, LocalSigner(settings.session_secret.get_secret_value(), time.time)),
        notice=settings.notice,
    )

"""All stores of one installation, put together from its settings: what flows, monitoring and the command line work with."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property

from propensity.adapters.alert_store import PostgresAlertStore
from propensity.adapters.comparisons import PostgresComparisonStore
from propensity.adapters.contacts import PostgresContactStore
from propensity.adapters.database import Database
from propensity.adapters.erasures import PostgresErasureStore
from propensity.adapters.flow_heartbeats import PostgresHeartbeatStore
from propensity.adapters.mlflow_registry import MlflowRegistry
from propensity.adapters.monitor_runs import PostgresMonitorStore
from propensity.adapters.object_store import open_store
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.periods import PostgresPeriodStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.adapters.shadow import PostgresShadowStore
from propensity.adapters.suppressions import PostgresSuppressionStore
from propensity.alerting import AlertStore
from propensity.campaigns import all_campaigns
from propensity.comparison import ComparisonStore
from propensity.errors import SettingsInvalid
from propensity.flow_health import HeartbeatStore
from propensity.gate import ContactGate, open_gate
from propensity.gate_ports import ErasureStore, SuppressionStore
from propensity.ports import ModelRegistry, MonitorStore, ObjectStore, OutcomeStore, PeriodStore, PredictionLog, PromotionLedger
from propensity.settings import Settings, read_settings
from propensity.shadow import ShadowStore


@dataclass(frozen=True)
class Platform:
    """The stores behind their ports. Nothing is connected before it is used."""

    settings: Settings
    database: Database
    store: ObjectStore
    log: PredictionLog
    outcomes: OutcomeStore
    ledger: PromotionLedger
    monitors: MonitorStore
    periods: PeriodStore
    registry: ModelRegistry
    shadow: ShadowStore
    comparisons: ComparisonStore
    alerts: AlertStore
    heartbeats: HeartbeatStore
    suppressions: SuppressionStore
    contacts: PostgresContactStore
    erasures: ErasureStore

    @cached_property
    def gate(self) -> ContactGate:
        """The contact gate, with nothing remembered. Raises SettingsInvalid where the secret of a declared holdout is missing."""
        return open_gate(all_campaigns(), self.suppressions, self.contacts, self.settings.holdout_secrets)


def open_platform(settings: Settings) -> Platform:
    """Put the stores together. Raises SettingsInvalid where an address is missing."""
    url = settings.database_url.get_secret_value()
    if not url or not settings.store_url:
        raise SettingsInvalid("PROPENSITY_DATABASE_URL and PROPENSITY_STORE_URL must be set; on one machine the make commands set them")
    database = Database(url)
    return Platform(
        settings=settings,
        database=database,
        store=open_store(settings.store_url, endpoint_url=settings.s3_endpoint_url),
        log=PostgresPredictionLog(database),
        outcomes=PostgresOutcomeStore(database),
        ledger=PostgresPromotionLedger(database),
        monitors=PostgresMonitorStore(database),
        periods=PostgresPeriodStore(database),
        registry=MlflowRegistry(settings.mlflow_url.get_secret_value(), settings.mlflow_artifacts),
        shadow=PostgresShadowStore(database),
        comparisons=PostgresComparisonStore(database),
        alerts=PostgresAlertStore(database),
        heartbeats=PostgresHeartbeatStore(database),
        suppressions=PostgresSuppressionStore(database),
        contacts=PostgresContactStore(database),
        erasures=PostgresErasureStore(database),
    )


@cache
def platform() -> Platform:
    """The installation that the environment describes, one per process."""
    return open_platform(read_settings())

"""The contact gate over a real Postgres."""

from __future__ import annotations

from collections.abc import Mapping

from api.services import GateServices
from propensity.adapters.contacts import PostgresContactStore
from propensity.adapters.database import Database
from propensity.adapters.erasures import PostgresErasureStore
from propensity.adapters.suppressions import PostgresSuppressionStore
from propensity.campaign import Campaign
from propensity.gate import open_gate


def gate_services(database: Database, campaigns: Mapping[str, Campaign]) -> GateServices:
    """What the service is given."""
    suppressions, contacts = PostgresSuppressionStore(database), PostgresContactStore(database)
    return GateServices(open_gate(campaigns, suppressions, contacts, {}), suppressions, contacts, PostgresErasureStore(database))

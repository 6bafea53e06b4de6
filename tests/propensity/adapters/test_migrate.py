from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.migrate import current_revision, migrate
from propensity.errors import DatabaseUnavailable, SettingsInvalid

TABLES = [
    "prediction_request",
    "idempotency_key",
    "outcome",
    "promotion",
    "monitor_run",
    "monitor_metric",
    "flow_period",
    "outcome_batch",
    "alert",
    "alert_event",
    "flow_schedule",
    "flow_heartbeat",
    "suppression",
    "contact",
    "prediction_gate",
]
WITHOUT_CAMPAIGN = {"monitor_metric": "run_id", "alert_event": "alert_id"}


def test_several_at_once_and_again(database: DatabaseUrls) -> None:
    assert current_revision(database.owner_url) is None
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(migrate, [database.owner_url] * 4))
    migrate(database.owner_url)
    assert current_revision(database.app_url) == current_revision(database.owner_url) is not None


def test_a_newer_database_is_left_alone(database: DatabaseUrls) -> None:
    migrate(database.owner_url)
    at = current_revision(database.owner_url)
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("update alembic_version set version_num = 'from-the-future'")
    with pytest.raises(DatabaseUnavailable):
        migrate(database.owner_url)
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("update alembic_version set version_num = %s", (at,))


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("what", ["update {} set campaign = 'x'", "delete from {}", "truncate {} cascade", "drop table {}"])
def test_the_application_can_change_nothing(database: DatabaseUrls, table: str, what: str) -> None:
    migrate(database.owner_url)
    column = WITHOUT_CAMPAIGN.get(table, "campaign")
    with psycopg.connect(database.app_url) as app:
        app.execute(f"select * from {table}")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute(what.format(table).replace("campaign", column))


def test_the_application_makes_no_tables(database: DatabaseUrls) -> None:
    with psycopg.connect(database.app_url) as app, pytest.raises(psycopg.errors.InsufficientPrivilege):
        app.execute("create table public.mine (x int)")


def test_nobody_answers() -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        migrate("postgresql://somebody:secret-word@127.0.0.1:1/propensity")
    assert "secret-word" not in str(caught.value)


def test_no_address() -> None:
    with pytest.raises(SettingsInvalid) as caught:
        migrate("secret-word://:not an address")
    assert "secret-word" not in str(caught.value)

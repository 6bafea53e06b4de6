"""Outcomes that were recorded by the first release, after the migration."""

from __future__ import annotations

import uuid
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
from alembic import command

from local.postgres_urls import DatabaseUrls
from propensity.adapters import migrate as module
from propensity.adapters.database import Database
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.ports import Outcome
from propensity.prediction_id import prediction_id

CAMPAIGN = "old"
ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))
_REQUEST = """
insert into prediction_request (request_id, received_at, campaign, caller, model_digest, model_version, declaration_digest, policy,
    answered, received, refused, source, customer_ids, scores, contact, feature_count, features)
values (%s, '2026-01-05T10:00Z', 'old', '', 'd', '1', 'e', '{}', 3, 3, 0, 't', '{a,b,c}', '{0.1,0.2,0.3}', '{f,t,t}', 0, '')"""
_OUTCOME = """
insert into outcome (campaign, request_id, position, prediction_id, customer_id, label, status, source)
values ('old', %s, %s, %s, %s, %s, %s, 'api')"""


def test_what_counted_still_counts_and_what_waited_still_waits(database: DatabaseUrls, monkeypatch: pytest.MonkeyPatch) -> None:
    upgrade = command.upgrade
    with monkeypatch.context() as patch:
        patch.setattr(command, "upgrade", lambda config, _: upgrade(config, "0003"))
        module.migrate(database.owner_url)
    assert module.current_revision(database.owner_url) == "0003"
    request = str(uuid.uuid4())
    with psycopg.connect(database.app_url) as app:
        app.execute(_REQUEST, (request,))
        for row in (
            (request, 1, prediction_id(request, 1), None, True, "recorded"),
            (request, 1, prediction_id(request, 1), None, True, "duplicate"),
            (request, 2, None, "b", False, "recorded"),
            (request, 2, None, "b", True, "contradicting"),
            (None, None, None, "nobody", True, "unmatched"),
        ):
            app.execute(_OUTCOME, row)
    module.migrate(database.owner_url)
    with closing(Database(database.app_url, timeout_s=10.0)) as opened:
        _look(PostgresOutcomeStore(opened), request)


def _look(store: PostgresOutcomeStore, request: str) -> None:
    assert [(p.prediction_id, p.label) for p in store.labelled(CAMPAIGN, *ALWAYS)] == [
        (prediction_id(request, 1), True),
        (prediction_id(request, 2), False),
    ]
    (cohort,) = store.cohorts(CAMPAIGN, *ALWAYS)
    assert (cohort.predicted, cohort.labelled, cohort.positive) == (3, 2, 1)
    assert {status: n for status, n in cohort.counts.items() if n} == {"recorded": 2, "duplicate": 1, "contradicting": 1}
    again = [Outcome(True, None, customer_id="nobody"), Outcome(False, None, prediction_id(request, 2))]
    assert store.record(CAMPAIGN, again, "test").statuses == ("unmatched", "duplicate")
    assert sum(day["unmatched"] for day in store.arrivals(CAMPAIGN, *ALWAYS).values()) == 1

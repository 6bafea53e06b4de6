"""Every figure of a report against SQL over the log that it reports on: a real Postgres, filled through the real stores."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import psycopg
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.campaign import Campaign, Policy
from propensity.model import Model, save_package
from propensity.ports import Outcome
from propensity.prediction_id import prediction_id
from propensity.report.build import build
from propensity.report.cells import SMALLER
from propensity.report.sums import STEP
from propensity.report.tree import Report
from propensity.schema import check_rows
from propensity.scoring import score_list
from propensity.watch import Watch
from tests.builders import tiny_campaign, tiny_columns
from tests.fakes import FakeObjectStore

CAMPAIGN: Campaign = replace(tiny_campaign(), watch=Watch(segments=("job",), protected=("age", "region"), smallest_group=30))
Filled = tuple[Database, dict[str, str], FakeObjectStore]
# So many rows of which none can be used.
NOBODY = 2
WINDOW = timedelta(days=CAMPAIGN.label.window_days)
# What the report takes a label to be, said in SQL.
LABELLED = """
select p.*, told.label, p.received_at < %(mature)s and told.label is not null as known
from prediction as p left join (
    select distinct on (request_id, position) request_id, position, label from outcome
    where counts and request_id is not null order by request_id, position, id desc
) as told using (request_id, position)
where p.campaign = 'tiny' and p.received_at >= %(since)s and p.received_at < %(until)s"""


def post(log: PostgresPredictionLog, model: Model, n: int, seed: int, policy: Policy, source: str) -> tuple[str, dict[str, str]]:
    """Score and log a list; return its request id and the job of each of its customers."""
    columns = tiny_columns(n, seed)
    if n > 3:
        columns["age"][3] = 7
    if n == NOBODY:
        columns["age"] = [7, 7]
    checked = check_rows(CAMPAIGN, columns, [f"{source}-{seed}-{at}" for at in range(n)], n, text=False)
    scored = score_list(model, checked, policy, top_reasons=0)
    entry = scored.logged(str(uuid.uuid4()), "declared", source=source)
    log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
    return entry.request_id, dict(zip(scored.table.ids, map(str, scored.table.values("job")), strict=True))


@pytest.fixture(scope="module")
def filled(stores: Database, database: DatabaseUrls, model: Model) -> Filled:
    """Two lists of which one took two requests, single customers, a list too young; outcomes of every kind."""
    log, outcomes, store = PostgresPredictionLog(stores), PostgresOutcomeStore(stores), FakeObjectStore()
    save_package(store, model)
    jobs: dict[str, str] = {}
    old: list[str] = []
    for n, policy, source in (
        (400, Policy("top_share", 0.3), "list:one"),
        (300, Policy("top_share", 0.3), "list:one"),
        (250, Policy("profit"), "list:two"),
        *[(1, Policy("profit"), "api")] * 20,
        (NOBODY, Policy("profit"), "api"),
    ):
        name, of_list = post(log, model, n, len(old), policy, source)
        old.append(name)
        jobs |= of_list
    with psycopg.connect(database.owner_url) as owner:
        owner.execute("update prediction_request set received_at = received_at - %s", (WINDOW + timedelta(days=5),))
    young, of_list = post(log, model, 120, 99, Policy("threshold", 0.5), "list:three")
    jobs |= of_list
    rng = np.random.default_rng(0)
    told = [Outcome(bool(rng.random() < 0.3), None, prediction_id(old[at], place)) for at in (0, 1, 2) for place in range(1, 200)]
    past = datetime.now(UTC) - timedelta(days=6)
    outcomes.record("tiny", [replace(one, observed_at=past) for one in told], "test", rules=CAMPAIGN.label.rules)
    again = [replace(one, label=not one.label) for one in told[:30]]
    outcomes.record("tiny", [replace(one, correction=True) for one in again[:10]], "test", rules=CAMPAIGN.label.rules)
    outcomes.record("tiny", [replace(one, correction=True, label=None) for one in again[10:20]], "test", rules=CAMPAIGN.label.rules)
    outcomes.record("tiny", again[20:], "test", rules=CAMPAIGN.label.rules)
    outcomes.record(
        "tiny", [Outcome(True, None, prediction_id(young, place)) for place in range(1, 31)], "test", rules=CAMPAIGN.label.rules
    )
    return stores, jobs, store


@pytest.fixture(scope="module")
def report(filled: Filled) -> Report:
    stores, _, store = filled
    return build(
        CAMPAIGN,
        log=PostgresPredictionLog(stores),
        outcomes=PostgresOutcomeStore(stores),
        store=store,
        now=datetime.now(UTC) + timedelta(seconds=10),
    )


def asked(stores: Database, report: Report, what: str, where: str = "", **values: Any) -> tuple[Any, ...]:
    """The first row that SQL finds over labelled predictions."""
    scope = report.scope
    with stores.transaction(30.0) as cursor:
        row = cursor.execute(
            f"select {what} from ({LABELLED}) as p {where}",
            {"since": scope.since, "until": scope.until, "mature": scope.mature_until, **values},
        ).fetchone()
    assert row is not None
    return row


def cents(amount: float | None) -> Decimal:
    return Decimal(amount or 0).quantize(Decimal("0.01"))


PROFIT = "coalesce(sum(p.score * 20 - 5) filter (where p.contact), 0)"


def test_what_was_decided_is_what_the_log_holds(report: Report, filled: Filled) -> None:
    stores, decided = filled[0], report.decided
    with stores.transaction(30.0) as cursor:
        row = cursor.execute(
            """select count(*), count(distinct source) filter (where source <> 'api'), sum(received), sum(refused), sum(answered)
            from prediction_request where campaign = 'tiny'"""
        ).fetchone()
    assert row == (decided.requests, decided.lists, decided.received, decided.refused, decided.predictions) == (25, 3, 1_092, 6, 1_086)
    contacts, conversions, profit = asked(stores, report, f"count(*) filter (where contact), sum(score) filter (where contact), {PROFIT}")
    assert (contacts, cents(profit)) == (decided.contacts, decided.expected_profit)
    assert decided.expected_conversions == pytest.approx(conversions, rel=1e-12)


def test_only_mature_outcomes_count_and_the_others_are_told(report: Report, filled: Filled) -> None:
    stores, known = filled[0], report.known
    row = asked(
        stores,
        report,
        """count(*) filter (where received_at < %(mature)s), count(*) filter (where received_at < %(mature)s and contact),
        count(*) filter (where known), count(*) filter (where known and contact), count(*) filter (where known and label),
        count(*) filter (where known and label and contact), count(*) filter (where received_at >= %(mature)s),
        count(label) filter (where received_at >= %(mature)s)""",
    )
    assert row == (
        known.mature,
        known.mature_contacts,
        known.known,
        known.known_contacts,
        known.conversions,
        known.contact_conversions,
        known.young,
        known.young_told,
    )
    assert (known.known, known.young, known.young_told, known.told) == (587, 119, 30, 587)
    assert known.coverage == 587 / 967
    expected, realised = asked(
        stores, report, "sum(score * 20 - 5) filter (where known and contact), sum(label::int * 20 - 5) filter (where known and contact)"
    )
    assert (cents(expected), cents(realised)) == (known.expected_profit, known.profit)


def test_every_tenth_is_what_sql_finds_between_its_scores(report: Report, filled: Filled) -> None:
    assert len(report.deciles) == 10
    for one in report.deciles:
        row = asked(
            filled[0],
            report,
            """count(*), count(*) filter (where contact), sum(score * 20 - 5), count(*) filter (where known),
            count(*) filter (where known and label), sum(label::int * 20 - 5) filter (where known)""",
            "where score >= %(low)s and (score < %(high)s or %(high)s = 1)",
            low=one.low,
            high=one.high,
        )
        assert row[:2] == (one.predictions, one.contacts)
        assert (cents(row[2]), row[3], row[4], cents(row[5])) == (one.expected_profit, one.known, one.conversions, one.profit)
        assert abs(one.predictions - 108.6) < 3
    assert sum(one.predictions for one in report.deciles) == report.decided.predictions
    assert report.deciles[-1].captured == 1.0


def test_the_curves_end_with_everybody_and_the_best_point_is_the_best(report: Report, filled: Filled) -> None:
    curves = report.curves
    assert curves is not None
    assert curves.best is not None
    everybody, real, best = asked(
        filled[0],
        report,
        "sum(score * 20 - 5), sum(label::int * 20 - 5) filter (where known), sum(score * 20 - 5) filter (where score * 20 > 5)",
    )
    assert (curves.expected[-1].customers, curves.expected[-1].profit) == (report.decided.predictions, cents(everybody))
    assert (curves.real[-1].customers, curves.real[-1].profit) == (report.known.known, cents(real))
    # Nobody is between a cell's edge and the break-even score but by less than a cell.
    assert float(curves.best.profit) == pytest.approx(float(best), abs=report.decided.predictions * 20 * STEP)
    assert all(later.customers > sooner.customers for sooner, later in pairwise(curves.expected))


def test_policies_models_and_groups_add_up_to_the_whole(report: Report, filled: Filled, model: Model) -> None:
    stores, jobs, _ = filled
    with stores.transaction(30.0) as cursor:
        rows = cursor.execute(
            f"""select policy->>'kind', count(distinct r.request_id), count(p.position), count(*) filter (where p.contact), {PROFIT}
            from prediction_request as r left join prediction as p using (request_id) where r.campaign = 'tiny' group by 1"""
        ).fetchall()
    found = {used.name.split()[0]: (used.requests, used.predictions, used.contacts, used.expected_profit) for used in report.policies}
    assert found == {kind: (n, rows_, contacts, cents(profit)) for kind, n, rows_, contacts, profit in rows}
    assert [(used.name, used.predictions) for used in report.models] == [(model.digest, report.decided.predictions)]
    by_job = {segment.feature: segment for segment in report.segments}["job"]
    with stores.transaction(30.0) as cursor:
        contacted = cursor.execute("select customer_id, contact from prediction where campaign = 'tiny'").fetchall()
    for group in by_job.groups:
        mine = [contact for customer, contact in contacted if jobs[customer] == group.label]
        assert (group.predictions, group.contacts) == (len(mine), sum(mine))
    for segment in report.segments:
        assert sum(group.predictions for group in segment.groups) == report.decided.predictions
        assert sum(group.contacts for group in segment.groups) == report.decided.contacts
        assert sum(group.expected_profit for group in segment.groups) == pytest.approx(report.decided.expected_profit, abs=Decimal("0.05"))
        assert sum(group.known for group in segment.groups) == report.known.known
        assert SMALLER not in [group.label for group in segment.groups]


def test_reliability_holds_every_known_label(report: Report) -> None:
    assert report.reliability is not None
    assert sum(group.known for group in report.reliability.groups) == report.known.known
    assert sum(group.conversions for group in report.reliability.groups) == report.known.conversions
    assert all(group.low <= group.rate <= group.high for group in report.reliability.groups)


def test_drivers_come_from_a_sample_that_is_told(report: Report, model: Model) -> None:
    assert (report.drivers.model, report.drivers.sample, report.drivers.problem) == (model.version, report.decided.predictions, "")
    strongest = {driver.feature for driver in report.drivers.drivers[:2]}
    assert strongest == {"rate", "job"}
    rate = {driver.feature: driver for driver in report.drivers.drivers}["rate"]
    assert rate.says == "The higher it is, the higher the score."
    assert rate.effects[0].effect < 0 < rate.effects[-1].effect
    job = {driver.feature: driver for driver in report.drivers.drivers}["job"]
    assert job.effects[0].label == "pilot"


def test_a_window_without_predictions_is_no_data(filled: Filled) -> None:
    stores, _, store = filled
    now = datetime.now(UTC)
    empty = build(
        CAMPAIGN,
        log=PostgresPredictionLog(stores),
        outcomes=PostgresOutcomeStore(stores),
        store=store,
        now=now,
        since=now - timedelta(days=900),
        until=now - timedelta(days=800),
    )
    assert (empty.decided.predictions, empty.deciles, empty.curves, empty.reliability, empty.segments) == (0, (), None, None, ())
    assert (empty.known.coverage, empty.known.profit, empty.drivers.problem) == (None, None, "Nothing was predicted.")

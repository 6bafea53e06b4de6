"""Outcomes in Postgres: what happened to the customers, matched with what was predicted. Append-only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from propensity.adapters.database import Cursor, Database
from propensity.adapters.pg_arrays import PgArray
from propensity.errors import DataError, NotFound
from propensity.ports import LabelledPrediction, Outcome
from propensity.prediction_id import parse_prediction_id, prediction_id

STATUSES = ("recorded", "duplicate", "contradicting", "unmatched")
Place = tuple[str, int]
_TIMEOUT_S = 30.0
_FIRST_PAGE_ROWS = 50_000
# Later than any prediction: stands for "whenever it was".
_NEVER = datetime(9999, 1, 1, tzinfo=UTC)

_EXISTING = """
select asked.ordinal from unnest(%b::int[], %b::text[], %b::int[]) as asked (ordinal, request_id, position)
join prediction_request as r on r.request_id = asked.request_id::uuid and asked.position <= r.answered
where r.campaign = %b"""
_LABELS = """
select asked.request_id, asked.position, o.label from unnest(%b::text[], %b::int[]) as asked (request_id, position)
join outcome as o on o.request_id = asked.request_id::uuid and o.position = asked.position and o.status = 'recorded'"""
_PAGE_START = """
select min(received_at) from (
    select received_at, sum(answered) over (order by received_at desc, request_id desc) - answered as newer
    from prediction_request where campaign = %(campaign)s and received_at < %(until)s and received_at <= %(latest)s
    order by received_at desc, request_id desc limit %(page_rows)s
) as page where newer < %(page_rows)s"""
_BY_CUSTOMER = """
with asked as (
    select * from unnest(%(ordinals)b::int[], %(customers)b::text[], %(observed)b::timestamptz[]) as a (ordinal, customer_id, observed_at)
), page as (
    select request_id, received_at, p.customer_id, p.position
    from prediction_request cross join lateral unnest(customer_ids) with ordinality as p (customer_id, position)
    where campaign = %(campaign)s and received_at >= %(start)s and received_at < %(until)s and received_at <= %(latest)s
)
select distinct on (asked.ordinal) asked.ordinal, page.request_id::text, page.position::integer
from asked join page on page.customer_id = asked.customer_id and page.received_at <= asked.observed_at
order by asked.ordinal, page.received_at desc, page.request_id desc, page.position desc"""
_COPY = """
copy outcome (campaign, request_id, position, prediction_id, customer_id, label, status, observed_at, source) from stdin"""
# By request, not by the view: the planner cannot know how many rows unnest gives, and unpacks a request once for each of its outcomes.
_LABELLED = """
select r.request_id::text, r.received_at, r.model_digest, r.scores, r.contact, known.positions, known.labels
from prediction_request as r
cross join lateral (
    select array_agg(position order by position) as positions, array_agg(label order by position) as labels
    from outcome where request_id = r.request_id and status = 'recorded'
) as known
where r.campaign = %s and r.received_at >= %s and r.received_at < %s and known.positions is not null
order by r.received_at, r.request_id"""


class PostgresOutcomeStore:
    """`propensity.ports.OutcomeStore`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, campaign: str, outcomes: Sequence[Outcome], source: str) -> dict[str, int]:
        """Store every outcome in one transaction and return counts by status, all four of them.

        An outcome with a prediction id belongs to that prediction. One with a customer id belongs to the customer's latest prediction
        in the campaign that was made not after ``observed_at`` (ever, where that is None). Posts to one campaign take turns.
        Raises DataError where an outcome names neither.
        """
        if any(o.prediction_id is None and o.customer_id is None for o in outcomes):
            raise DataError("every outcome must name a prediction id or a customer id")
        with self._database.transaction(_TIMEOUT_S) as cursor:
            cursor.execute("select pg_advisory_xact_lock(hashtextextended('outcome ' || %s, 0))", (campaign,))
            places = _by_prediction(cursor, campaign, outcomes) | _by_customer(cursor, campaign, outcomes)
            statuses = classify(outcomes, places, _known_labels(cursor, places.values()))
            _copy(cursor, campaign, source, outcomes, places, statuses)
        return {status: statuses.count(status) for status in STATUSES}

    def labelled(self, campaign: str, since: datetime, until: datetime) -> list[LabelledPrediction]:
        """Predictions made in [since, until) with a recorded outcome, by prediction time."""
        with self._database.transaction(_TIMEOUT_S) as cursor:
            rows = cursor.execute(_LABELLED, (campaign, since, until)).fetchall()
        return [labelled for row in rows for labelled in _labelled(row)]


def classify(outcomes: Sequence[Outcome], places: Mapping[int, Place], known: Mapping[Place, bool]) -> list[str]:
    """The status of each outcome, given the place (request id, position) of those that matched and the labels recorded before."""
    labels = dict(known)
    statuses = []
    for ordinal, outcome in enumerate(outcomes):
        place = places.get(ordinal)
        if place is None:
            statuses.append("unmatched")
        elif place not in labels:
            labels[place] = outcome.label
            statuses.append("recorded")
        else:
            statuses.append("duplicate" if labels[place] == outcome.label else "contradicting")
    return statuses


def _by_prediction(cursor: Cursor, campaign: str, outcomes: Sequence[Outcome]) -> dict[int, Place]:
    asked = dict(_parsed(outcomes))
    if not asked:
        return {}
    ids, positions = zip(*asked.values(), strict=True)
    found = cursor.execute(_EXISTING, (_ints(asked), list(ids), _ints(positions), campaign)).fetchall()
    return {ordinal: asked[ordinal] for (ordinal,) in found}


def _parsed(outcomes: Sequence[Outcome]) -> Iterator[tuple[int, Place]]:
    for ordinal, outcome in enumerate(outcomes):
        if outcome.prediction_id is not None:
            try:
                yield ordinal, parse_prediction_id(outcome.prediction_id)
            except NotFound:
                continue  # stays unmatched, and visible as such


def _by_customer(cursor: Cursor, campaign: str, outcomes: Sequence[Outcome]) -> dict[int, Place]:
    """Places of the outcomes that name a customer, searched from the newest predictions back, in pages that grow.

    An index of customers would be paid by every scored list (a GIN index costs more than the rest of the log); outcomes come in
    bulk, later, and mostly concern recent predictions.
    """
    asked = {at: o for at, o in enumerate(outcomes) if o.prediction_id is None}
    found: dict[int, Place] = {}
    until = _NEVER
    page_rows = _FIRST_PAGE_ROWS
    while asked:
        observed = [_NEVER if o.observed_at is None else o.observed_at for o in asked.values()]
        latest = max(observed)
        at: dict[str, Any] = {"campaign": campaign, "until": until, "latest": latest, "page_rows": page_rows}
        row = cursor.execute(_PAGE_START, at).fetchone()
        if row is None or row[0] is None:
            break
        customers = [o.customer_id for o in asked.values()]
        at |= {"start": row[0], "ordinals": _ints(asked), "customers": customers, "observed": observed}
        for ordinal, request_id, position in cursor.execute(_BY_CUSTOMER, at).fetchall():
            found[ordinal] = (request_id, position)
            del asked[ordinal]
        until, page_rows = row[0], page_rows * 4
    return found


def _known_labels(cursor: Cursor, places: Iterable[Place]) -> dict[Place, bool]:
    wanted = list(set(places))
    if not wanted:
        return {}
    ids, positions = zip(*wanted, strict=True)
    found = cursor.execute(_LABELS, (list(ids), _ints(positions))).fetchall()
    return {(request_id, position): label for request_id, position, label in found}


def _copy(
    cursor: Cursor, campaign: str, source: str, outcomes: Sequence[Outcome], places: Mapping[int, Place], statuses: Sequence[str]
) -> None:
    with cursor.copy(_COPY) as copy:
        for ordinal, (outcome, status) in enumerate(zip(outcomes, statuses, strict=True)):
            place = places.get(ordinal, (None, None))
            ids = (outcome.prediction_id, outcome.customer_id)
            copy.write_row((campaign, *place, *ids, outcome.label, status, outcome.observed_at, source))


def _labelled(row: tuple[Any, ...]) -> Iterator[LabelledPrediction]:
    request_id, received_at, digest, scores, contact, positions, labels = row
    for position, label in zip(positions, labels, strict=True):
        at = position - 1
        yield LabelledPrediction(prediction_id(request_id, position), received_at, digest, scores[at], contact[at], label)


def _ints(values: Iterable[int]) -> PgArray:
    return PgArray(np.fromiter(values, dtype=np.int64))

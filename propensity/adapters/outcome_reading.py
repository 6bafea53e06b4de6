"""Outcomes read from Postgres: labels by request, and counts by cohort and by day of arrival."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from propensity.adapters.database import Database
from propensity.outcome_rules import OutcomeRules
from propensity.outcomes import STATUSES
from propensity.ports import Cohort, LabelledPrediction, LabelledRequest
from propensity.prediction_id import prediction_id

Bools = npt.NDArray[np.bool_]
_TIMEOUT_S = 60.0
_PAGE_ROWS = 20_000
# The label that counts is that of the newest row that counts. By request, not by the view: the planner cannot know how many rows unnest
# gives, and would unpack a request once for each of its outcomes.
_PAGE = """
with page as (
    select request_id, received_at from (
        select request_id, received_at, answered, sum(answered) over (order by received_at, request_id) as upto from (
            select request_id, received_at, answered from prediction_request
            where campaign = %(campaign)s and received_at >= %(since)s and received_at < %(until)s
                and (%(after_id)s::uuid is null or (received_at, request_id) > (%(since)s, %(after_id)s::uuid))
            order by received_at, request_id limit 1000
        ) as next
    ) as summed
    where upto <= %(page_rows)s or upto = answered
)
select r.request_id::text, r.received_at, r.model_digest, r.scores, r.contact, told.positions, told.labels, told.times
from page join prediction_request as r on r.request_id = page.request_id and r.received_at = page.received_at
left join lateral (
    select array_agg(position order by position) as positions, array_agg(label order by position) as labels,
        array_agg(at order by position) as times
    from (
        select distinct on (position) position, label, coalesce(observed_at, o.received_at) as at from outcome as o
        where o.request_id = page.request_id and o.request_id is not null and status <> 'duplicate' and counts
        order by position, id desc
    ) as newest
) as told on true
order by r.received_at, r.request_id"""
_PREDICTED = """
select (received_at at time zone 'UTC')::date, sum(answered)::bigint from prediction_request
where campaign = %s and received_at >= %s and received_at < %s and answered > 0 group by 1 order by 1"""
_COHORTS = """
select (predicted_at at time zone 'UTC')::date, status, count(*) from outcome
where campaign = %s and predicted_at >= %s and predicted_at < %s and request_id is not null group by 1, 2"""
_LABELS = """
select (predicted_at at time zone 'UTC')::date, count(label), count(*) filter (where label) from (
    select distinct on (request_id, position) predicted_at, label from outcome
    where campaign = %s and predicted_at >= %s and predicted_at < %s and request_id is not null and counts
    order by request_id, position, id desc
) as newest group by 1"""
_ARRIVALS = """
select (o.received_at at time zone 'UTC')::date, o.status, count(*) from outcome as o
where o.campaign = %s and o.received_at >= %s and o.received_at < %s
    and not (o.request_id is null and exists (select from outcome as next where next.follows = o.id))
group by 1, 2"""


def requests(database: Database, campaign: str, since: datetime, until: datetime, rules: OutcomeRules | None) -> Iterator[LabelledRequest]:
    """As `propensity.ports.OutcomeStore.requests`."""
    at: dict[str, Any] = {"campaign": campaign, "since": since, "until": until, "after_id": None, "page_rows": _PAGE_ROWS}
    while True:
        with database.transaction(_TIMEOUT_S) as cursor:
            page = [_request(row, rules) for row in cursor.execute(_PAGE, at).fetchall()]
        yield from page
        if not page:
            return
        at |= {"since": page[-1].received_at, "after_id": page[-1].request_id}


def _request(row: tuple[Any, ...], rules: OutcomeRules | None) -> LabelledRequest:
    request_id, received_at, digest, scores, contacts, positions, labels, times = row
    contact = np.array(contacts, dtype=np.bool_)
    told, known, values = labels_of(contact, positions, labels, rules)
    outcome_at = np.full(len(scores), np.datetime64("NaT"), dtype="datetime64[us]")
    if positions:
        outcome_at[np.array(positions) - 1] = [np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us") for at in times]
        outcome_at[~told] = np.datetime64("NaT")
    return LabelledRequest(request_id, received_at, digest, np.array(scores, dtype=np.float64), contact, values, known, told, outcome_at)


def labels_of(
    contact: Bools, positions: Sequence[int] | None, labels: Sequence[bool | None] | None, rules: OutcomeRules | None
) -> tuple[Bools, Bools, Bools]:
    """Of the predictions of one request: whether an outcome was told, whether the label is known, and the label, False where it is not.

    ``positions`` from 1 and ``labels`` are the outcomes that count; a None among the labels was withdrawn. Without ``rules`` nothing is
    read from an absence.
    """
    told, known, values = (np.zeros(len(contact), dtype=np.bool_) for _ in range(3))
    if rules is not None and rules.absent_means != "unknown":
        known |= contact if rules.absent_means == "negative_if_contacted" else True
    if positions and labels:
        where = np.array(positions) - 1
        told[where] = [label is not None for label in labels]
        # What was withdrawn is unknown, not absent.
        known[where] = told[where]
        values[where] = [bool(label) for label in labels]
    return told, known, values


def labelled(request: LabelledRequest) -> Iterator[LabelledPrediction]:
    """Those of a request of which something was told, one by one."""
    for at in np.flatnonzero(request.told).tolist():
        yield LabelledPrediction(
            prediction_id(request.request_id, at + 1),
            request.received_at,
            request.model_digest,
            float(request.scores[at]),
            bool(request.contact[at]),
            bool(request.labels[at]),
            request.outcome_at[at].item().replace(tzinfo=UTC),
        )


def cohorts(database: Database, campaign: str, since: datetime, until: datetime) -> list[Cohort]:
    """As `propensity.ports.OutcomeStore.cohorts`."""
    asked = (campaign, since, until)
    with database.transaction(_TIMEOUT_S) as cursor:
        predicted: dict[date, int] = dict(cursor.execute(_PREDICTED, asked).fetchall())
        labels = {day: (n, positive) for day, n, positive in cursor.execute(_LABELS, asked).fetchall()}
        counts: dict[date, dict[str, int]] = {}
        for day, status, n in cursor.execute(_COHORTS, asked).fetchall():
            counts.setdefault(day, dict.fromkeys(STATUSES, 0))[status] = n
    none = dict.fromkeys(STATUSES, 0)
    return [Cohort(day, n, *labels.get(day, (0, 0)), counts.get(day, none)) for day, n in predicted.items()]


def arrivals(database: Database, campaign: str, since: datetime, until: datetime) -> dict[date, dict[str, int]]:
    """As `propensity.ports.OutcomeStore.arrivals`."""
    found: dict[date, dict[str, int]] = {}
    with database.transaction(_TIMEOUT_S) as cursor:
        for day, status, n in cursor.execute(_ARRIVALS, (campaign, since, until)).fetchall():
            found.setdefault(day, dict.fromkeys(STATUSES, 0))[status] = n
    return dict(sorted(found.items()))

"""To which prediction an outcome belongs, found in Postgres."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np

from propensity.adapters.database import Cursor
from propensity.adapters.pg_arrays import PgArray
from propensity.errors import NotFound
from propensity.outcome_rules import WINDOWS_BACK, OutcomeRules
from propensity.ports import Outcome
from propensity.prediction_id import parse_prediction_id

_FIRST_PAGE_ROWS = 50_000

_EXISTING = """
select asked.ordinal, r.received_at from unnest(%b::int[], %b::text[], %b::int[]) as asked (ordinal, request_id, position)
join prediction_request as r on r.request_id = asked.request_id::uuid and asked.position <= r.answered
where r.campaign = %b"""
_PAGE_START = """
select min(received_at) from (
    select received_at, sum(answered) over (order by received_at desc, request_id desc) - answered as newer
    from prediction_request
    where campaign = %(campaign)s and received_at >= %(earliest)s and received_at < %(until)s and received_at <= %(latest)s
    order by received_at desc, request_id desc limit %(page_rows)s
) as page where newer < %(page_rows)s"""
# A customer who stands twice among the newest that fit is one of two predictions, nobody knows which.
_BY_CUSTOMER = """
with asked as (
    select * from unnest(%(ordinals)b::int[], %(customers)b::text[], %(times)b::timestamptz[]) as a (ordinal, customer_id, at)
), page as (
    select request_id, received_at, p.customer_id, p.position
    from prediction_request cross join lateral unnest(customer_ids) with ordinality as p (customer_id, position)
    where campaign = %(campaign)s and received_at >= %(start)s and received_at < %(until)s and received_at <= %(latest)s
), fitting as (
    select asked.ordinal, page.*, rank() over (partition by asked.ordinal order by page.received_at desc) as age
    from asked join page on page.customer_id = asked.customer_id
        and page.received_at <= asked.at and page.received_at >= asked.at - %(lookback)s
)
select ordinal, min(request_id::text), min(position)::integer, min(received_at), count(*) from fitting where age = 1 group by ordinal"""


class Place(NamedTuple):
    """One prediction: its request, its position there, and when it was made."""

    request_id: str
    position: int
    predicted_at: datetime


@dataclass
class Matched:
    """Predictions by the position of their outcome, and the positions of those that could be one of several."""

    places: dict[int, Place] = field(default_factory=dict)
    ambiguous: set[int] = field(default_factory=set)


def match(cursor: Cursor, campaign: str, outcomes: Sequence[Outcome], told_at: Sequence[datetime], rules: OutcomeRules) -> Matched:
    """Find the predictions that outcomes belong to.

    With a prediction id: that one, where it is of this campaign. With a customer id: the newest of this customer in the campaign that was
    made at or before the time of the contact, else of the observation, else of arrival, and not longer ago than `WINDOWS_BACK` windows.

    Parameters
    ----------
    told_at : sequence of datetime
        When each was observed, or came where nobody said.
    """
    found = Matched()
    _by_prediction(cursor, campaign, outcomes, found)
    times = {at: o.contacted_at or told_at[at] for at, o in enumerate(outcomes) if o.prediction_id is None}
    _by_customer(cursor, campaign, {at: outcomes[at].customer_id for at in times}, times, rules, found)
    return found


def _by_prediction(cursor: Cursor, campaign: str, outcomes: Sequence[Outcome], found: Matched) -> None:
    asked = dict(_parsed(outcomes))
    if not asked:
        return
    ids, positions = zip(*asked.values(), strict=True)
    for ordinal, made_at in cursor.execute(_EXISTING, (ints(asked), list(ids), ints(positions), campaign)).fetchall():
        found.places[ordinal] = Place(*asked[ordinal], made_at)


def _parsed(outcomes: Sequence[Outcome]) -> Iterator[tuple[int, tuple[str, int]]]:
    for ordinal, outcome in enumerate(outcomes):
        if outcome.prediction_id is not None:
            try:
                yield ordinal, parse_prediction_id(outcome.prediction_id)
            except NotFound:
                continue  # stays unmatched, and visible as such


def _by_customer(
    cursor: Cursor, campaign: str, asked: Mapping[int, str | None], times: Mapping[int, datetime], rules: OutcomeRules, found: Matched
) -> None:
    """Search from the newest predictions back, in pages that grow.

    An index of customers would be paid by every scored list (a GIN index costs more than the rest of the log); outcomes come in
    bulk, later, and mostly concern recent predictions.
    """
    left = dict(asked)
    lookback = WINDOWS_BACK * rules.window
    page_rows = _FIRST_PAGE_ROWS
    until = None
    while left:
        moments = [times[ordinal] for ordinal in left]
        at: dict[str, Any] = {"campaign": campaign, "latest": max(moments), "earliest": min(moments) - lookback, "page_rows": page_rows}
        at["until"] = "infinity" if until is None else until
        row = cursor.execute(_PAGE_START, at).fetchone()
        if row is None or row[0] is None:
            break
        at |= {"start": row[0], "ordinals": ints(left), "customers": list(left.values()), "times": moments, "lookback": lookback}
        for ordinal, request_id, position, made_at, how_many in cursor.execute(_BY_CUSTOMER, at).fetchall():
            if how_many == 1:
                found.places[ordinal] = Place(request_id, position, made_at)
            else:
                found.ambiguous.add(ordinal)
            del left[ordinal]
        until, page_rows = row[0], page_rows * 4


def ints(values: Iterable[int]) -> PgArray:
    """As ``int4[]``."""
    return PgArray(np.fromiter(values, dtype=np.int64))

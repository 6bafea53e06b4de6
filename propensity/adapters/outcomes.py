"""Outcomes in Postgres: what happened to the customers, matched with what was predicted. Append-only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from psycopg.types.json import Jsonb

from propensity.adapters import outcome_reading as reading
from propensity.adapters.database import Cursor, Database
from propensity.adapters.outcome_matching import Matched, Place, ints, match
from propensity.errors import DataError
from propensity.outcome_rules import OutcomeRules
from propensity.outcomes import AMBIGUOUS, UNMATCHED, WAITING, History, counted, judge, recorded
from propensity.ports import RULES, Cohort, LabelledPrediction, LabelledRequest, Outcome, OutcomeBatch, Recorded

_TIMEOUT_S = 30.0
# Parts of files are larger than what is posted, and nobody waits for a reply.
_BATCH_TIMEOUT_S = 300.0
_PAGE_ROWS = 50_000
_EVER = datetime(1, 1, 1, tzinfo=UTC)

_LOCK = "select pg_advisory_xact_lock(hashtextextended('outcome ' || %s, 0)), now()"
_STORED_BATCH = "select counts from outcome_batch where campaign = %s and sha256 = %s and number = %s"
_STORE_BATCH = "insert into outcome_batch (campaign, sha256, number, source, counts) values (%s, %s, %s, %s, %s)"
_TOLD = """
select o.request_id::text, o.position, o.label, o.observed_at, coalesce(o.observed_at, o.received_at), o.status, o.counts
from (select distinct * from unnest(%b::text[], %b::int[]) as a (request_id, position)) as asked
join outcome as o on o.request_id = asked.request_id::uuid and o.position = asked.position
where o.request_id is not null and o.status <> 'duplicate' order by o.id"""
_SOMETHING_WAITS = "select exists (select from outcome where campaign = %s and request_id is null)"
_NOT_FOLLOWED = "not exists (select from outcome as next where next.follows = w.id)"
_WAITING = f"""
select w.id, w.prediction_id, w.customer_id, w.label, w.observed_at, w.contacted_at, w.correction
from (select distinct * from unnest(%b::text[]) as a (key)) as asked
join outcome as w on w.campaign = %b and coalesce(w.prediction_id, w.customer_id) = asked.key
where w.request_id is null and {_NOT_FOLLOWED}"""
_OPEN = f"""
select w.id, w.received_at, w.source, w.label, w.observed_at, w.prediction_id, w.customer_id, w.contacted_at, w.correction
from outcome as w where w.campaign = %s and w.request_id is null and w.received_at >= %s and w.id > %s and {_NOT_FOLLOWED}
order by w.id limit {_PAGE_ROWS}"""
_STILL_OPEN = f"select w.id from unnest(%b::bigint[]) as a (id) join outcome as w on w.id = a.id where {_NOT_FOLLOWED}"
_IDS = "select nextval(pg_get_serial_sequence('outcome', 'id')) from generate_series(1, %s)"
_COPY = """
copy outcome (id, campaign, request_id, position, predicted_at, prediction_id, customer_id, label, status, counts, observed_at,
    contacted_at, correction, follows, source) from stdin"""
# What makes an outcome that waits the same as one that comes.
_Key = tuple[str | None, str | None, bool | None, datetime | None, datetime | None, bool]


@dataclass(frozen=True)
class _Told:
    """An outcome with its source, and what is known where it waited."""

    outcome: Outcome
    source: str
    came_at: datetime
    follows: int | None = None

    @property
    def at(self) -> datetime:
        """When it was observed, or came where nobody said."""
        return self.outcome.observed_at or self.came_at


class PostgresOutcomeStore:
    """`propensity.ports.OutcomeStore`. Works with a role that may insert and select, never update or delete."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(
        self, campaign: str, outcomes: Sequence[Outcome], source: str, *, rules: OutcomeRules = RULES, batch: OutcomeBatch | None = None
    ) -> Recorded:
        """Store every outcome in one transaction and say what became of each. Writers to one campaign take turns.

        Raises DataError where an outcome names neither a prediction nor a customer.
        """
        if any(o.prediction_id is None and o.customer_id is None for o in outcomes):
            raise DataError("every outcome must name a prediction id or a customer id")
        with self._database.transaction(_TIMEOUT_S if batch is None else _BATCH_TIMEOUT_S) as cursor:
            if batch is not None and (stored := _stored(cursor, campaign, batch)) is not None:
                return stored
            came_at = _now(cursor)
            told = [_Told(outcome, source, came_at) for outcome in outcomes]
            # Before the lock: others may write while the log is searched.
            matched = match(cursor, campaign, outcomes, [one.at for one in told], rules)
            cursor.execute(_LOCK, (campaign,))
            if batch is not None and (stored := _stored(cursor, campaign, batch)) is not None:
                return stored
            found = recorded(_write(cursor, campaign, told, matched, rules))
            if batch is not None:
                cursor.execute(_STORE_BATCH, (campaign, batch.sha256, batch.number, source, Jsonb(dict(found))))
        return found

    def rematch(self, campaign: str, *, rules: OutcomeRules = RULES, since: datetime | None = None) -> Recorded:
        """Look again for the predictions of outcomes that wait, page by page; counts of those that were found.

        Each is written as a new row that follows the one that waits, and is judged as if it had come when that one did.
        """
        statuses: list[str] = []
        after = 0
        while True:
            with self._database.transaction(_BATCH_TIMEOUT_S) as cursor:
                page = cursor.execute(_OPEN, (campaign, since or _EVER, after)).fetchall()
                if not page:
                    return Recorded(counted(statuses))
                statuses += _rematch(cursor, campaign, [_waiting(row) for row in page], rules)
                after = page[-1][0]

    def labelled(self, campaign: str, since: datetime, until: datetime) -> list[LabelledPrediction]:
        """Predictions made in [since, until) with an outcome that was told and counts, by prediction time."""
        return [labelled for request in self.requests(campaign, since, until) for labelled in reading.labelled(request)]

    def requests(self, campaign: str, since: datetime, until: datetime, *, rules: OutcomeRules | None = None) -> Iterator[LabelledRequest]:
        """Every request answered in [since, until) with what is known of its predictions, oldest first.

        About 20,000 predictions are in memory at a time; each page is a short transaction of its own.
        """
        return reading.requests(self._database, campaign, since, until, rules)

    def cohorts(self, campaign: str, since: datetime, until: datetime) -> list[Cohort]:
        """One per day (UTC) with predictions made in [since, until), oldest first."""
        return reading.cohorts(self._database, campaign, since, until)

    def arrivals(self, campaign: str, since: datetime, until: datetime) -> dict[date, dict[str, int]]:
        """Outcomes that came in [since, until) by day (UTC) and status; what waited and was matched since counts as what it became."""
        return reading.arrivals(self._database, campaign, since, until)


def _now(cursor: Cursor) -> datetime:
    row = cursor.execute("select now()").fetchone()
    assert row is not None, "now() gives one row"
    moment: datetime = row[0]
    return moment


def _stored(cursor: Cursor, campaign: str, batch: OutcomeBatch) -> Recorded | None:
    row = cursor.execute(_STORED_BATCH, (campaign, batch.sha256, batch.number)).fetchone()
    return None if row is None else Recorded(row[0])


def _waiting(row: tuple[Any, ...]) -> _Told:
    outcome_id, came_at, source, label, observed_at, prediction_id, customer_id, contacted_at, correction = row
    return _Told(Outcome(label, observed_at, prediction_id, customer_id, contacted_at, correction), source, came_at, outcome_id)


def _rematch(cursor: Cursor, campaign: str, waiting: list[_Told], rules: OutcomeRules) -> list[str]:
    matched = match(cursor, campaign, [one.outcome for one in waiting], [one.at for one in waiting], rules)
    if not matched.places:
        return []
    cursor.execute(_LOCK, (campaign,))
    # Somebody else may have been here between the search and the lock.
    still = {row[0] for row in cursor.execute(_STILL_OPEN, ([waiting[at].follows for at in matched.places],)).fetchall()}
    chosen = [at for at in sorted(matched.places) if waiting[at].follows in still]
    places = Matched({new: matched.places[at] for new, at in enumerate(chosen)})
    return _write(cursor, campaign, [waiting[at] for at in chosen], places, rules) if chosen else []


def _write(cursor: Cursor, campaign: str, told: Sequence[_Told], matched: Matched, rules: OutcomeRules) -> list[str]:
    """Judge outcomes in order and store them; the lock is held."""
    histories = _histories(cursor, matched)
    judged = [_judged(one, matched.places.get(at), at in matched.ambiguous, histories, rules) for at, one in enumerate(told)]
    waits = _waits(cursor, campaign, told)
    ids = [row[0] for row in cursor.execute(_IDS, (len(told),)).fetchall()]
    with cursor.copy(_COPY) as copy:
        for at, (one, (status, counts)) in enumerate(zip(told, judged, strict=True)):
            key, o = _key(one.outcome), one.outcome
            follows = waits.pop(key, None) if one.follows is None else one.follows
            if status in WAITING:
                # The same outcome, come again: here or in a file that is dropped once more.
                waits[key] = ids[at]
            place: Place | tuple[None, None, None] = matched.places.get(at, (None, None, None))
            values = (o.prediction_id, o.customer_id, o.label, status, counts, o.observed_at, o.contacted_at, o.correction)
            copy.write_row((ids[at], campaign, *place, *values, follows, one.source))
    return [status for status, _ in judged]


def _judged(
    told: _Told, place: Place | None, ambiguous: bool, histories: dict[tuple[str, int], History], rules: OutcomeRules
) -> tuple[str, bool]:
    if place is None:
        return (AMBIGUOUS if ambiguous else UNMATCHED), False
    history = histories.setdefault(place[:2], History())
    status, counts = judge(told.outcome, history, place.predicted_at, told.at, rules)
    if status != "duplicate":
        history.add(told.outcome.label, told.outcome.observed_at, told.at, status, counts)
    return status, counts


def _histories(cursor: Cursor, matched: Matched) -> dict[tuple[str, int], History]:
    found: dict[tuple[str, int], History] = {}
    if matched.places:
        ids, positions, _ = zip(*matched.places.values(), strict=True)
        for request_id, position, label, observed_at, at, status, counts in cursor.execute(_TOLD, (list(ids), ints(positions))).fetchall():
            found.setdefault((request_id, position), History()).add(label, observed_at, at, status, counts)
    return found


def _waits(cursor: Cursor, campaign: str, told: Sequence[_Told]) -> dict[_Key, int]:
    """Ids of what waits for its prediction and is told again here."""
    row = cursor.execute(_SOMETHING_WAITS, (campaign,)).fetchone()
    if row is None or not row[0] or not told or told[0].follows is not None:
        return {}
    keys = [one.outcome.prediction_id or one.outcome.customer_id for one in told]
    return {tuple(values): outcome_id for outcome_id, *values in cursor.execute(_WAITING, (keys, campaign)).fetchall()}


def _key(o: Outcome) -> _Key:
    return (o.prediction_id, o.customer_id, o.label, o.observed_at, o.contacted_at, o.correction)

"""POST outcomes: what happened later, by prediction or by customer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Response, g, request

from api.bodies import read_body, read_request
from api.replies import errors_json, json_reply
from api.services import Services
from propensity.campaign import Label
from propensity.errors import NotFound, RowIssue, RowsInvalid
from propensity.ports import Outcome
from propensity.prediction_id import parse_prediction_id
from propensity.schema import ID_LENGTH

FIELDS = frozenset({"prediction_id", "customer_id", "label", "observed_at"})
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
# Clocks differ; an outcome observed later than tomorrow was not observed.
CLOCK_SKEW = timedelta(days=1)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_PRINTABLE_SURROGATE_FREE = re.compile(r"[^\ud800-\udfff]+")


class _Wrong(Exception):
    """One thing wrong with one outcome: column, code, message."""


def post_outcomes(services: Services, campaign: str) -> Response:
    """Record outcomes; the reply counts them by what became of them."""
    declared = services.campaign(campaign)
    posted = read_body(request.mimetype, read_request(request), "outcomes", known=FIELDS)
    if not posted.n:
        raise RowsInvalid("the list is empty: send at least one outcome")
    latest = services.clock() + CLOCK_SKEW
    outcomes: list[Outcome] = []
    issues: list[RowIssue] = []
    for at, row in enumerate(posted.by_row()):
        if at in posted.faults:
            issues.append(posted.faults[at])
            continue
        try:
            outcomes.append(read_outcome(row, declared.label, latest))
        except _Wrong as exc:
            column, code, message = exc.args
            issues.append(RowIssue(at + 1, column, code, message))
    if not outcomes:
        raise RowsInvalid(f"none of the {len(issues):,} outcomes can be used; errors says why, row by row", issues)
    g.rows = len(outcomes)
    # Whoever may post outcomes may post them for any caller's predictions: the feed of results is often another system than the one that
    # asked, and customers are matched across callers anyway. Each outcome keeps who told it.
    counts = services.outcomes.record(campaign, outcomes, f"api:{g.caller.name}")
    totals = {"received": posted.n, "refused": len(issues), **counts}
    return json_reply({"request_id": g.request_id, "campaign": campaign, "counts": totals, **errors_json(issues)})


def read_outcome(row: Mapping[str, Any], label: Label, latest: datetime) -> Outcome:
    """One outcome from a JSON object or a CSV row, whose empty cells count as not sent."""
    given = {name: value for name, value in row.items() if value is not None and value != ""}
    if given.keys() - FIELDS:
        raise _Wrong(None, "unexpected_column", f"an outcome holds {', '.join(sorted(FIELDS))} and nothing else")
    if ("prediction_id" in given) == ("customer_id" in given):
        raise _Wrong(None, "missing", "an outcome names either a prediction_id or a customer_id, not both")
    observed_at = _time(given["observed_at"], latest) if "observed_at" in given else None
    told = _label(given.get("label"), label)
    if "prediction_id" in given:
        return Outcome(told, observed_at, prediction_id=_prediction(given["prediction_id"]))
    return Outcome(told, observed_at, customer_id=_customer(given["customer_id"]))


def _label(value: object, label: Label) -> bool:
    if isinstance(value, bool):
        return value
    known = {label.positive: True, label.negative: False, "true": True, "false": False}
    if isinstance(value, str) and value in known:
        return known[value]
    code = "missing" if value is None else "unknown_category"
    raise _Wrong("label", code, f"must be true, false, {label.positive!r} or {label.negative!r}")


def _prediction(value: object) -> str:
    try:
        parse_prediction_id(value if isinstance(value, str) else "")
    except NotFound as exc:
        raise _Wrong("prediction_id", "bad_id", "must be a prediction id as a reply showed it") from exc
    return str(value)


def _customer(value: object) -> str:
    name = str(value) if type(value) in (int, float, str) else ""
    if not 0 < len(name) <= ID_LENGTH or not name.isprintable() or _PRINTABLE_SURROGATE_FREE.fullmatch(name) is None:
        raise _Wrong("customer_id", "bad_id", f"must be a text or number of 1 to {ID_LENGTH} printable characters")
    return name


def _time(value: object, latest: datetime) -> datetime:
    if not isinstance(value, str) or _RFC3339.fullmatch(value) is None:
        raise _Wrong("observed_at", "not_a_time", "must be a time with its offset, as in 2026-01-31T09:30:00Z")
    try:
        moment = datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as exc:
        raise _Wrong("observed_at", "not_a_time", "is not a time that exists") from exc
    if not EARLIEST <= moment <= latest:
        raise _Wrong("observed_at", "out_of_range", f"must lie between {EARLIEST.year} and now")
    return moment

"""GET lift: what contacting brought, measured against the control group."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from flask import Response, request

from api.replies import json_reply
from api.services import Services
from propensity.errors import Malformed
from propensity.holdout import KEY_NAME
from propensity.measured_lift import lift_of

DEFAULT_DAYS, MOST_DAYS = 365, 1_100


def get_lift(services: Services, campaign: str) -> Response:
    """The measured lift of the predictions of some days."""
    declared = services.campaign(campaign)
    if set(request.args) - {"since", "until", "key"}:
        raise Malformed("only since, until and key can be asked for")
    key = request.args.get("key")
    if key is not None and not KEY_NAME.fullmatch(key):
        raise Malformed("key must be the name of a holdout's key, as in spring-2026")
    now = services.clock()
    last = _day("until", now.astimezone(UTC).date())
    first = _day("since", last - timedelta(days=DEFAULT_DAYS - 1))
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Malformed(f"since must not be after until, nor more than {MOST_DAYS:,} days apart from it")
    since, until = (datetime.combine(day, datetime.min.time(), UTC) for day in (first, last + timedelta(days=1)))
    return json_reply(lift_of(declared, services.gate.arms, services.outcomes, since, until, now, key))


def _day(name: str, default: date) -> date:
    asked = request.args.getlist(name)
    try:
        day = date.fromisoformat(asked[0]) if asked else default
    except ValueError as exc:
        raise Malformed(f"{name} must be a day, as in 2026-01-31") from exc
    if len(asked) > 1 or not 1990 <= day.year <= 9990:
        raise Malformed(f"{name} must be one day from 1990 on")
    return day

"""POST outcomes: what happened later, by prediction or by customer. GET outcomes: what became of them, and how much of it is known."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from flask import Response, g, request

from api.bodies import read_body, read_request
from api.replies import errors_json, json_reply
from api.services import Services
from propensity.cohorts import DAY, coverage
from propensity.errors import Malformed, RowIssue, RowsInvalid
from propensity.outcomes import STATUSES, Wrong, form, read_outcome
from propensity.ports import Outcome

REFUSED = "refused"
DEFAULT_DAYS, MOST_DAYS = 90, 366


def post_outcomes(services: Services, campaign: str) -> Response:
    """Record outcomes; the reply says what became of each, and counts them."""
    declared = services.campaign(campaign)
    how = form(declared, services.clock())
    posted = read_body(request.mimetype, read_request(request), "outcomes", known=how.known)
    if not posted.n:
        raise RowsInvalid("the list is empty: send at least one outcome")
    outcomes: list[Outcome] = []
    issues: list[RowIssue] = []
    for at, row in enumerate(posted.by_row()):
        if at in posted.faults:
            issues.append(posted.faults[at])
            continue
        try:
            outcomes.append(read_outcome(row, how))
        except Wrong as exc:
            issues.append(exc.issue(at + 1))
    if not outcomes:
        services.metrics.outcomes(campaign, {REFUSED: len(issues)})
        raise RowsInvalid(f"none of the {len(issues):,} outcomes can be used; errors says why, row by row", issues)
    g.rows = len(outcomes)
    # Whoever may post outcomes may post them for any caller's predictions: the feed of results is often another system than the one that
    # asked, and customers are matched across callers anyway. Each outcome keeps who told it.
    found = services.outcomes.record(campaign, outcomes, f"api:{g.caller.name}", rules=declared.label.rules)
    counts = {REFUSED: len(issues), **found}
    services.metrics.outcomes(campaign, counts)
    reply = {"request_id": g.request_id, "campaign": campaign, "counts": {"received": posted.n, **counts}}
    return json_reply({**reply, "results": _results(posted.n, found.statuses, issues), **errors_json(issues)})


def _results(n: int, statuses: Any, issues: list[RowIssue]) -> list[dict[str, Any]]:
    """What became of each row, in order."""
    refused, told = {issue.row for issue in issues}, iter(statuses)
    return [{"row": row, "status": REFUSED if row in refused else next(told)} for row in range(1, n + 1)]


def get_outcomes(services: Services, campaign: str) -> Response:
    """Counts by status, by cohort and by day of arrival; coverage of the mature cohorts."""
    declared = services.campaign(campaign)
    rules, now = declared.label.rules, services.clock()
    first, last = _span(now)
    since = datetime.combine(first, datetime.min.time(), UTC)
    until = datetime.combine(last, datetime.min.time(), UTC) + DAY
    cohorts = services.outcomes.cohorts(campaign, since, until)
    arrivals = services.outcomes.arrivals(campaign, since, until)
    mature_until = rules.mature_until(now)
    covered = coverage(cohorts, mature_until)
    return json_reply(
        {
            "campaign": campaign,
            "since": first.isoformat(),
            "until": last.isoformat(),
            "rules": {"window_days": rules.window_days, "absent_means": rules.absent_means, "contradictions": rules.contradictions},
            "mature_before": mature_until.date().isoformat(),
            "counts": {status: sum(day[status] for day in arrivals.values()) for status in STATUSES},
            "mature": {"predicted": covered.predicted, "labelled": covered.labelled, "coverage": covered.share},
            "not_yet_mature": {"predicted": covered.young, "labelled": covered.young_labelled},
            "cohorts": [
                {
                    "day": one.day.isoformat(),
                    "mature": one.day < mature_until.date(),
                    "predicted": one.predicted,
                    "labelled": one.labelled,
                    "positive": one.positive,
                    "counts": {status: one.counts[status] for status in STATUSES if status not in ("unmatched", "ambiguous")},
                }
                for one in cohorts
            ],
            "arrivals": [{"day": day.isoformat(), "counts": counts} for day, counts in arrivals.items()],
        }
    )


def _span(now: datetime) -> tuple[date, date]:
    """The first and the last day asked for. Raises Malformed."""
    last = _day("until", now.astimezone(UTC).date())
    first = _day("since", last - timedelta(days=DEFAULT_DAYS - 1) if last > date.min + timedelta(days=DEFAULT_DAYS) else date.min)
    if not 0 <= (last - first).days < MOST_DAYS:
        raise Malformed(f"since must not be after until, nor more than {MOST_DAYS} days apart from it")
    return first, last


def _day(name: str, default: date) -> date:
    asked = request.args.getlist(name)
    if request.args.keys() - {"since", "until"} or len(asked) > 1:
        raise Malformed("only since and until can be asked for, each once")
    try:
        day = date.fromisoformat(asked[0]) if asked else default
    except ValueError as exc:
        raise Malformed(f"{name} must be a day, as in 2026-01-31") from exc
    if not 1990 <= day.year <= 9990:
        raise Malformed(f"{name} must be a day from 1990 on")
    return day

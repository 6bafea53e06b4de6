"""A replayed year for the guided demo: what a bank would have seen of this platform, had it had it in the last year of the public data.

Everything is done by the platform itself: its service scores and takes outcomes over HTTP, its flows monitor, train again, compare and
report. Only the times are set back afterwards (propensity/adapters/replayed_times.py). Who ran through the year is this machine.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path

from local.client import Api
from local.story import wait_live
from local.year_data import Day, Month, Year, read, write_before, year_of
from local.year_list import send_list
from propensity.adapters.platform import Platform
from propensity.adapters.replayed_times import ReplayedTimes
from propensity.campaign import Campaign
from propensity.errors import PropensityError

# The data does not say when an outcome was known. A week later is assumed, so that those of the last week are still open.
OUTCOME_DAYS = 7
LIST_AT, MORNING = clock_time(8, tzinfo=UTC), clock_time(6, tzinfo=UTC)
ACTOR = "replayed year"
SUPPRESSED = 2
NOTE = "guided demo: shows what a suppression does"
CHUNK = 5_000
Say = Callable[[str], None]


@dataclass
class Told:
    """What was done, in numbers that the log must agree with."""

    source: str
    shift_days: int
    predictions: int = 0
    outcomes: int = 0
    conversions: int = 0
    contacts: int = 0
    monitor_runs: int = 0
    alerts: int = 0
    promotions: int = 0
    refused: int = 0
    list_rows: int = 0
    seconds: float = 0.0
    first_day: str = ""
    last_day: str = ""


@dataclass
class Filling:
    """The platform that is filled, and what is still to be told of it."""

    at: Platform
    marketing: Api
    operator: Api
    times: ReplayedTimes
    declared: Campaign
    say: Say
    told: Told
    open: list[tuple[datetime, str, bool]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.declared.name


def fill(at: Platform, marketing: Api, operator: Api, owner_url: str, declared: Campaign, source: str, say: Say = print) -> Told:
    """Fill an empty platform with the year; what was done.

    Raises DataError where the data cannot be replayed, PropensityError where a model is not live, StoreError where something is away.
    """
    began = time.monotonic()
    say(f"replayed year: reading {source} data")
    raw = read(declared, source, data_dir=at.settings.data_dir, home=at.settings.home)
    today = datetime.now(UTC).date()
    year = year_of(declared, raw, today)
    months = [month for month in year.months if month.since < month.until]
    told = Told(source, year.shift_days)
    filling = Filling(at, marketing, operator, ReplayedTimes(owner_url), declared, say, told)
    say(
        f"replayed year: {year.customers:,} customers of {months[0].name} to {months[-1].name}, dates {year.shift_days:,} days later: "
        f"{months[0].since} to {today - timedelta(days=1)}"
    )
    filling.times.make_partitions(months[0].since.replace(day=1), len(months) + 2)
    with tempfile.TemporaryDirectory(prefix="propensity-") as folder:
        path = Path(folder) / f"{declared.name}-until-{months[0].name}.csv"
        write_before(raw, declared, year.before, path)
        _first_model(filling, path, months[0].since, year.before)
    for before, month in zip([None, *months], months, strict=False):
        _month(filling, month, before)
    _today(filling, year)
    filling.times.recount()
    told.seconds = round(time.monotonic() - began, 1)
    days = [day.date for month in months for day in month.days]
    told.first_day, told.last_day = str(min(days)), str(max(days))
    say("replayed year: " + summary(told))
    return told


def summary(told: Told) -> str:
    """What was done, as one sentence."""
    return (
        f"{told.predictions:,} customers scored over HTTP from {told.first_day} to {told.last_day}, {told.contacts:,} of them to contact, "
        f"{told.outcomes:,} outcomes told ({told.conversions:,} conversions), {told.monitor_runs} monitor runs, {told.alerts} alerts, "
        f"{told.promotions} promotions and {told.refused} refusals in the model history; a list of {told.list_rows} today; "
        f"{told.seconds:.0f} s"
    )


def _first_model(filling: Filling, path: Path, since: date, rows: int) -> None:
    """Train on everything before the year and put it live, the day before it begins."""
    from flows.ingest import ingest_into
    from flows.promote import promote_into
    from flows.train import fit_into, register_into

    at, name = filling.at, filling.name
    filling.say(f"replayed year: training on the {rows:,} customers before")
    with _happened(filling, datetime.combine(since - timedelta(days=1), MORNING)):
        ingested = ingest_into(at, name, str(path))
        report = register_into(at, name, fit_into(at, name, ingested["snapshot_id"]))
        promoted = promote_into(at, name, report["digest"], ACTOR)
        if promoted["decision"] != "promote":
            # Its gates refused it, or it waits for a person: without a live model there is nothing to replay.
            raise PropensityError(f"the model of campaign {name!r} is not live ({promoted['decision']}): {'; '.join(promoted['reasons'])}")
        filling.told.promotions += 1
    wait_live(filling.marketing, name, report["digest"])


@contextmanager
def _happened(filling: Filling, when: datetime) -> Iterator[None]:
    """What is decided within happened then; what would be in the future stays now."""
    mark = filling.times.now()
    yield
    if when < mark:
        filling.times.move_decisions(mark, when)


def _month(filling: Filling, month: Month, before: Month | None) -> None:
    """The lists of a month, the outcomes that came within it, and the morning after it."""
    _score(filling, month.days)
    until = datetime.combine(month.until, MORNING)
    _tell_outcomes(filling, until)
    with _happened(filling, until):
        found = _morning(filling, month, before, until)
    told = f"{sum(len(day.rows) for day in month.days):,} customers" if month.days else "nobody was called"
    sampled = f" (of {month.customers:,})" if month.days and month.customers > sum(len(day.rows) for day in month.days) else ""
    filling.say(f"replayed year: {month.since} to {month.until - timedelta(days=1)}: {told}{sampled}{found}")


def _score(filling: Filling, days: Sequence[Day]) -> None:
    """Post each day's customers as a list, as marketing would, and set the lists back to their days."""
    received: dict[str, datetime] = {}
    for day in days:
        reply = filling.marketing.call(f"/v1/campaigns/{filling.name}/predictions", list(day.rows))
        when = datetime.combine(day.date, LIST_AT)
        received[reply["request_id"]] = when
        labels = {row["id"]: label for row, label in zip(day.rows, day.labels, strict=True)}
        for one in reply["predictions"]:
            filling.open.append((when + timedelta(days=OUTCOME_DAYS), one["prediction_id"], labels[one["customer_id"]]))
        filling.told.predictions += len(reply["predictions"])
        filling.told.contacts += sum(one["decision"] == "contact" for one in reply["predictions"])
    if received:
        filling.times.move_requests(received)


def _tell_outcomes(filling: Filling, until: datetime) -> None:
    """Post what was known by then."""
    known = [one for one in filling.open if one[0] < until]
    filling.open = [one for one in filling.open if one[0] >= until]
    mark = filling.times.now()
    for at in range(0, len(known), CHUNK):
        sent = [
            {"prediction_id": prediction, "label": label, "observed_at": when.isoformat()}
            for when, prediction, label in known[at : at + CHUNK]
        ]
        counts = filling.marketing.call(f"/v1/campaigns/{filling.name}/outcomes", {"outcomes": sent})["counts"]
        filling.told.outcomes += counts["recorded"]
    filling.told.conversions += sum(label for _, _, label in known)
    if known:
        filling.times.move_outcomes(mark)


def _morning(filling: Filling, month: Month, before: Month | None, now: datetime) -> str:
    """What the scheduled flows do, by the same functions: monitor, follow, compare. A few words on what they found."""
    from flows.compare import compare_into
    from flows.follow import follow_into

    at, name = filling.at, filling.name
    found = _watch(filling, month, before)
    followed = follow_into(at, name, ACTOR, min(now, datetime.now(UTC)))
    if followed["decision"] == "promote":
        filling.told.promotions += 1
        wait_live(filling.marketing, name, followed["model_digest"])
        found += f", {followed['reasons'][0]}"
    elif followed["decision"] == "refuse":
        filling.told.refused += 1
        found += ", a retrain was refused"
    compared = compare_into(at, name, now=min(now, datetime.now(UTC)), busy_share=1.0)
    if compared["decision"] is not None:
        wait_live(filling.marketing, name, compared["decision"]["model_digest"])
        filling.told.promotions += 1
        found += f", {compared['decision']['action']} by the daily comparison"
    return found


def _watch(filling: Filling, month: Month, before: Month | None) -> str:
    """Drift of this month, performance of the month before, whose outcomes are mature; the first alarm is acknowledged."""
    from monitoring.flow import compare_window, measure_window

    name, known = filling.name, _alerts(filling)
    drift = compare_window.fn(name, *_window(month))
    runs = [drift] if before is None else [drift, measure_window.fn(name, *_window(before))]
    filling.told.monitor_runs += len(runs)
    fresh = [alert for alert in _alerts(filling) if alert not in known]
    if fresh and not filling.told.alerts:
        filling.operator.call(f"/v1/alerts/{fresh[0]}/acknowledgements", {"note": "looked at: see the monitoring page"})
    filling.told.alerts += len(fresh)
    return f"; drift {drift['verdict']}" + (f", {len(fresh)} new alerts" if fresh else "")


def _window(month: Month) -> tuple[datetime, datetime]:
    return datetime.combine(month.since, clock_time(tzinfo=UTC)), datetime.combine(month.until, clock_time(tzinfo=UTC))


def _alerts(filling: Filling) -> list[str]:
    return [alert["alert_id"] for alert in filling.operator.call("/v1/alerts")["alerts"]]


def _today(filling: Filling, year: Year) -> None:
    """A list of today, with two customers whom nobody may contact; and the report of the year."""
    from flows.report import make_and_keep

    suppressed: list[str] = [str(row["id"]) for row in year.today.rows[:SUPPRESSED]]
    sent: Mapping[str, object] = {"customer_ids": suppressed, "reason": "do_not_contact", "note": NOTE}
    filling.operator.call("/v1/suppressions", sent)
    filling.say(f"replayed year: a list of {len(year.today.rows)} customers today, {len(suppressed)} of them suppressed")
    filling.told.list_rows = send_list(filling.marketing, filling.declared, year.today.rows)
    make_and_keep.fn(filling.name, None, None)

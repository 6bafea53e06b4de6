"""Alerts that the platform itself raised: which are open, who was told, what became of them."""

from __future__ import annotations

from propensity.panels.definition import Board, Bounds, Column, Kind, Panel, Unit

# Alerts that belong to no campaign are shown with every choice.
_CAMPAIGNS = "campaign in ($campaign, 'platform')"
OPEN = Panel(
    key="open",
    title="Open alerts that nobody acknowledged",
    says="By campaign, at present, whatever the span. They are told again until somebody acknowledges them or they are over.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    bounds=Bounds(1, 1),
    empty="no data: no alert was ever raised",
    sql=f"""
select campaign as metric, count(*) filter (where state = 'open')::float8 as value
from panels.alerts where {_CAMPAIGNS} group by 1 order by 1""",
)
ACKNOWLEDGED = Panel(
    key="acknowledged",
    title="Open alerts that somebody looks at",
    says="By campaign, at present, whatever the span: acknowledged, and not over yet.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    empty="no data: no alert was ever raised",
    sql=f"""
select campaign as metric, count(*) filter (where state = 'acknowledged')::float8 as value
from panels.alerts where {_CAMPAIGNS} group by 1 order by 1""",
)
STANDING = Panel(
    key="standing",
    title="Open alerts",
    says="Every one at present, whatever the span, the oldest first. Messages that no try brought to a channel are not told. Money: what "
    "the change is estimated to be worth over its window, where monitoring did.",
    kind=Kind.TABLE,
    unit=Unit.TEXT,
    width=24,
    empty="no data: no alert is open",
    columns=(
        Column("alert"),
        Column("campaign"),
        Column("about"),
        Column("state", Unit.VERDICT),
        Column("raised_at", Unit.TIME),
        Column("acknowledged_at", Unit.TIME),
        Column("messages_told", Unit.COUNT),
        Column("not_told", Unit.COUNT),
        Column("money", Unit.MONEY),
        Column("currency"),
    ),
    sql=f"""
select alert_id as alert, campaign, kind || case when about <> '' then ': ' || about else '' end as about, state, raised_at,
    acknowledged_at, told as messages_told, not_told, impact as money, currency
from panels.alerts where {_CAMPAIGNS} and state in ('open', 'acknowledged') order by raised_at, alert_id limit 100""",
)
RAISED = Panel(
    key="raised",
    title="Raised over time",
    says="Alerts by kind, when they began. The same condition is one alert until it is over.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    sql=f"""
select $__timeGroup(raised_at, '$interval') as time, kind as metric, count(*)::float8 as value
from panels.alerts where {_CAMPAIGNS} and $__timeFilter(raised_at) group by 1, 2 order by 1, 2""",
)
HISTORY = Panel(
    key="history",
    title="What became of them",
    says="The newest hundred alerts of the span. Hours to acknowledge and hours open count from when each was raised. Replaced: another "
    "alert of the same kind says more.",
    kind=Kind.TABLE,
    unit=Unit.TEXT,
    columns=(
        Column("raised_at", Unit.TIME),
        Column("campaign"),
        Column("about"),
        Column("state", Unit.VERDICT),
        Column("hours_to_acknowledge", Unit.HOURS),
        Column("hours_open", Unit.HOURS),
    ),
    sql=f"""
select raised_at, campaign, kind || case when about <> '' then ': ' || about else '' end as about, state,
    extract(epoch from acknowledged_at - raised_at)::float8 / 3600 as hours_to_acknowledge,
    extract(epoch from coalesce(over_at, now()) - raised_at)::float8 / 3600 as hours_open
from panels.alerts where {_CAMPAIGNS} and $__timeFilter(raised_at) order by raised_at desc, alert_id limit 100""",
)

BOARD = Board(
    "alerts",
    "Alerts",
    "What the platform told people of: drift, models that do worse, flows that are late or failed.",
    (OPEN, ACKNOWLEDGED, STANDING, RAISED, HISTORY),
)

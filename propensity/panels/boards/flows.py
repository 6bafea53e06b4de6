"""Flows: which are late or failed, how runs ended, what finished."""

from __future__ import annotations

from propensity.panels.definition import Board, Bounds, Column, Kind, Panel, Unit

# Flows and alerts that belong to no campaign are shown with every choice.
_CAMPAIGNS = "campaign in ($campaign, 'platform')"
STATES = Panel(
    key="states",
    title="Late and failed flows",
    says="Scheduled flows at present, whatever the span: late past their time, or failed and not made good since.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    bounds=Bounds(1, 1),
    empty="no data: nothing is scheduled",
    sql=f"""
select s.state as metric, count(f.flow)::float8 as value
from (values ('failed'), ('late')) as s (state) left join panels.flow_states as f on f.state = s.state and f.{_CAMPAIGNS}
where exists (select from panels.flow_states where {_CAMPAIGNS}) group by 1 order by 1""",
)
# Monitoring runs daily: one that is late by an hour has a reason, a day without one has none.
SINCE_MONITORING = Panel(
    key="since-monitoring",
    title="Hours since monitoring looked",
    says="Since the newest run of each campaign, whatever the span. It runs daily: 25 hours are worth a look, at 49 a day was missed.",
    kind=Kind.STAT,
    unit=Unit.HOURS,
    bounds=Bounds(25, 49),
    sql="""
select campaign as metric, extract(epoch from now() - max(created_at))::float8 / 3600 as value
from panels.monitor_runs where campaign in ($campaign) group by 1 order by 1""",
)
HEALTH = Panel(
    key="health",
    title="Every scheduled flow",
    says="How each stands at present, whatever the span: what is wrong first. Due and running are within their time. Seconds are those of "
    "the last good run; an error is the code of the last failure, its text is in the flow's log.",
    kind=Kind.TABLE,
    unit=Unit.TEXT,
    width=24,
    empty="no data: nothing is scheduled",
    columns=(
        Column("flow"),
        Column("campaign"),
        Column("state", Unit.VERDICT),
        Column("last_due", Unit.TIME),
        Column("last_good", Unit.TIME),
        Column("seconds", Unit.NUMBER),
        Column("last_failed", Unit.TIME),
        Column("error"),
    ),
    sql=f"""
select flow, campaign, state, last_due, good_at as last_good, seconds, failed_at as last_failed, error
from panels.flow_states where {_CAMPAIGNS}
order by array_position(array['failed', 'late', 'due', 'running', 'waiting', 'ok'], state), campaign, flow""",
)
RUNS = Panel(
    key="runs",
    title="Runs over time",
    says="Runs of flows by how they ended. Superseded: after an outage another run had done the work already.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    sql=f"""
select $__timeGroup(created_at, '$interval') as time, ended as metric, count(*)::float8 as value
from panels.flow_runs where {_CAMPAIGNS} and flow <> 'checker' and $__timeFilter(created_at) group by 1, 2 order by 1, 2""",
)
FINISHED = Panel(
    key="finished",
    title="Finished over time",
    says="Periods that a flow finished. A flow that runs again for a finished period does nothing and is not counted again.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    sql="""
select $__timeGroup(finished_at, '$interval') as time, flow as metric, count(*)::float8 as value
from (
    select flow, finished_at from panels.flow_periods where campaign in ($campaign) and $__timeFilter(finished_at)
    union all
    select 'monitor', created_at from panels.monitor_runs where campaign in ($campaign) and $__timeFilter(created_at)
) as done group by 1, 2 order by 1, 2""",
)
LAST = Panel(
    key="last",
    title="Last of each flow",
    says="The newest period that each flow finished for each campaign, whatever the span.",
    kind=Kind.TABLE,
    unit=Unit.HOURS,
    width=24,
    columns=(
        Column("flow"),
        Column("campaign"),
        Column("period"),
        Column("finished_at", Unit.TIME),
        Column("hours_ago", Unit.HOURS),
        Column("periods", Unit.COUNT),
    ),
    sql="""
select flow, campaign, (array_agg(period order by finished_at desc))[1] as period, max(finished_at) as finished_at,
    extract(epoch from now() - max(finished_at))::float8 / 3600 as hours_ago, count(*) as periods
from (
    select flow, campaign, period, finished_at from panels.flow_periods where campaign in ($campaign)
    union all
    select 'monitor ' || kind, campaign,
        to_char(since at time zone 'UTC', 'YYYY-MM-DD') || ' to ' || to_char(until at time zone 'UTC', 'YYYY-MM-DD'), created_at
    from panels.monitor_runs where campaign in ($campaign)
) as done group by 1, 2 order by 1, 2""",
)

BOARD = Board(
    "flows",
    "Flows",
    "Whether the scheduled work is done, what it finished, and how long ago.",
    (STATES, SINCE_MONITORING, HEALTH, RUNS, FINISHED, LAST),
)

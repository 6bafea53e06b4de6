"""Flows: what finished, and how long ago."""

from __future__ import annotations

from propensity.panels.definition import Board, Bounds, Column, Kind, Panel, Unit

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
    says="The newest period that each flow finished for each campaign, whatever the span. Runs that failed are in Prefect.",
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

BOARD = Board("flows", "Flows", "What the scheduled work finished, and how long ago.", (SINCE_MONITORING, FINISHED, LAST))

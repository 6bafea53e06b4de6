"""Drift, as the monitoring runs found it."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.campaign import Campaign, MonitorMetric
from propensity.panels.definition import Board, Bounds, Column, Kind, Panel, Unit

VERDICTS = Panel(
    key="verdicts",
    title="Newest verdict",
    says="What monitoring said last of each campaign. The alarm says whether somebody is called: it knows how much chance does in so "
    "small a window. The verdict is PSI against its bands, for the eye. A window without predictions says no data, never that all is well.",
    kind=Kind.TABLE,
    unit=Unit.VERDICT,
    width=24,
    columns=(
        Column("campaign"),
        Column("about"),
        Column("alarm", Unit.VERDICT),
        Column("verdict", Unit.VERDICT),
        Column("rows", Unit.COUNT),
        Column("window_from", Unit.TIME),
        Column("window_to", Unit.TIME),
        Column("told_at", Unit.TIME),
    ),
    sql="""
select distinct on (campaign, kind) campaign, kind as about, alarm, verdict, rows, since as window_from,
    until as window_to, created_at as told_at
from panels.monitor_runs where campaign in ($campaign) and $__timeFilter(at) order by campaign, kind, created_at desc""",
)
_OF_RUNS = """
select at as time, campaign as metric, value from panels.monitor_metrics
where campaign in ($campaign) and $__timeFilter(at) and kind = 'drift' and column_name is null and metric = '{metric}'
order by at, campaign"""
# The newest drift run of each campaign within the span.
_NEWEST = """
with newest as (
    select distinct on (campaign) run_id from panels.monitor_runs
    where campaign in ($campaign) and $__timeFilter(at) and kind = 'drift' order by campaign, created_at desc
)"""
BY_COLUMN = Panel(
    key="by-column",
    title="Columns that differ most",
    says="PSI of a column in the newest run: 0 is the same distribution as in training, higher is more different. The first fifteen.",
    kind=Kind.RANKED,
    unit=Unit.NUMBER,
    sql=_NEWEST
    + """
select campaign || ': ' || column_name as metric, value from panels.monitor_metrics join newest using (run_id)
where metric = 'psi' and column_name is not null and value < 'infinity' order by value desc, 1 limit 15""",
)
NOT_STABLE = Panel(
    key="not-stable",
    title="Columns that are not stable",
    says="Every number of the newest run that reached a bound, with the bound that it reached: bounds grow where a window is small.",
    kind=Kind.TABLE,
    unit=Unit.NUMBER,
    empty="no data: no column reached a bound, or nobody looked",
    columns=(
        Column("campaign"),
        Column("column_name"),
        Column("metric"),
        Column("value", Unit.NUMBER),
        Column("bound", Unit.NUMBER),
        Column("verdict", Unit.VERDICT),
    ),
    sql=_NEWEST
    + """
select campaign, column_name, metric, value, case when value >= alert then alert else warn end as bound, verdict
from panels.monitor_metrics join newest using (run_id)
where column_name is not null and verdict in ('drift', 'warning') order by verdict, campaign, value desc, column_name limit 100""",
)
# Of the run as a whole: the same figure by column has a column's name.
IN_ALARM = Panel(
    key="in-alarm",
    title="Columns in alarm",
    says="Of each monitoring run: columns whose change lasts and is more than chance explains at the declared rate of false alarms.",
    kind=Kind.LINES,
    unit=Unit.COUNT,
    sql=_OF_RUNS.format(metric="columns_in_alarm"),
)
ALARMS = Panel(
    key="alarms",
    title="Columns that changed",
    says="Columns in alarm or watched in the newest run. Chance: how often chance alone gives such a change, corrected over all columns; "
    "below the level it is called a change. Money: what the column's change does to the expected profit of 1,000 customers.",
    kind=Kind.TABLE,
    unit=Unit.NUMBER,
    width=24,
    empty="no data: chance explains every column, or nobody looked",
    columns=(
        Column("campaign"),
        Column("column_name"),
        Column("state", Unit.VERDICT),
        Column("chance", Unit.NUMBER),
        Column("level", Unit.NUMBER),
        Column("rows", Unit.COUNT),
        Column("money_per_1000", Unit.MONEY),
        Column("low", Unit.MONEY),
        Column("high", Unit.MONEY),
    ),
    sql=_NEWEST
    + """
select c.campaign, coalesce(c.column_name, 'the scores') as column_name, c.verdict as state, c.value as chance, c.alert as level,
    c.rows_used as rows, i.value as money_per_1000, i.low, i.high
from panels.monitor_metrics as c join newest using (run_id)
left join panels.monitor_metrics as i on i.run_id = c.run_id and i.metric = 'impact_per_1000' and i.column_name = c.column_name
where c.metric = 'chance' and c.verdict in ('alarm', 'watch') order by c.verdict, c.campaign, c.value, 2 limit 100""",
)


def board(campaigns: Mapping[str, Campaign]) -> Board:
    """The board; its lines are those that the campaigns declare, the strictest where they differ."""
    shares = Panel(
        key="drifted-share",
        title="Share of columns that drifted",
        says="Of each monitoring run, at the end of its window. The lines are the declared bounds.",
        kind=Kind.LINES,
        unit=Unit.SHARE,
        bounds=_bounds(campaigns, "drifted_share"),
        sql=_OF_RUNS.format(metric="drifted_share"),
    )
    scores = Panel(
        key="prediction-psi",
        title="Drift of the scores",
        says="PSI of the scores against those of the training rows. The lines are the declared bounds.",
        kind=Kind.LINES,
        unit=Unit.NUMBER,
        bounds=_bounds(campaigns, "prediction_psi"),
        sql=_OF_RUNS.format(metric="prediction_psi"),
    )
    money = ", ".join(f"('{c.name}', '{c.economics.currency}')" for c in campaigns.values())
    impact = Panel(
        key="impact",
        title="What the change is worth",
        says="Expected profit per 1,000 customers of each monitoring run less that of the training rows, by the model's own scores, with "
        "the interval of its sample: what the change of customers costs or brings while the model is right about each of them.",
        kind=Kind.LINES,
        unit=Unit.MONEY,
        sql=f"""
with currencies (campaign, currency) as (values {money})
select at as time, campaign || ', ' || currency || part as metric, v.value
from panels.monitor_metrics as m join currencies using (campaign)
cross join lateral (values ('', m.value), (': low', m.low), (': high', m.high)) as v (part, value)
where campaign in ($campaign) and $__timeFilter(at) and kind = 'drift' and column_name is null and metric = 'impact_per_1000'
    and v.value is not null
order by 1, 2""",
    )
    says = "Whether those who are scored still look like those the live model learned from."
    return Board("drift", "Drift", says, (VERDICTS, IN_ALARM, impact, ALARMS, shares, scores, BY_COLUMN, NOT_STABLE))


def _bounds(campaigns: Mapping[str, Campaign], metric: MonitorMetric) -> Bounds | None:
    declared = [found for campaign in campaigns.values() if (found := campaign.monitor(metric)) is not None]
    return Bounds(min(m.warn for m in declared), min(m.alert for m in declared)) if declared else None

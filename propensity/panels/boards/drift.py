"""Drift, as the monitoring runs found it."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.campaign import Campaign, MonitorMetric
from propensity.panels.definition import Board, Bounds, Column, Kind, Panel, Unit

VERDICTS = Panel(
    key="verdicts",
    title="Newest verdict",
    says="What monitoring said last of each campaign. A window without predictions says no data, never that all is well.",
    kind=Kind.TABLE,
    unit=Unit.VERDICT,
    width=24,
    columns=(
        Column("campaign"),
        Column("about"),
        Column("verdict", Unit.VERDICT),
        Column("rows", Unit.COUNT),
        Column("window_from", Unit.TIME),
        Column("window_to", Unit.TIME),
        Column("told_at", Unit.TIME),
    ),
    sql="""
select distinct on (campaign, kind) campaign, kind as about, verdict, rows, since as window_from, until as window_to, created_at as told_at
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
    says = "Whether those who are scored still look like those the live model learned from."
    return Board("drift", "Drift", says, (VERDICTS, shares, scores, BY_COLUMN, NOT_STABLE))


def _bounds(campaigns: Mapping[str, Campaign], metric: MonitorMetric) -> Bounds | None:
    declared = [found for campaign in campaigns.values() if (found := campaign.monitor(metric)) is not None]
    return Bounds(min(m.warn for m in declared), min(m.alert for m in declared)) if declared else None

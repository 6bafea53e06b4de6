"""Data quality: rows that could not be used, missing values, outcomes that do not fit."""

from __future__ import annotations

from propensity.panels.definition import Board, Column, Kind, Panel, Unit

REFUSED = Panel(
    key="refused-rows",
    title="Refused rows",
    says="Share of the rows sent that were refused, each with its reason, while the others of the list were scored. "
    "Requests of which no row could be used are not in the log: see traffic.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
select $__timeGroup(since, '$interval') as time, campaign as metric, sum(refused)::float8 / sum(received) as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1, 2 having sum(received) > 0 order by 1, 2""",
)
REFUSED_SHARE = Panel(
    key="refused-share",
    title="Refused share",
    says="Of all rows sent in the span, the share that was refused.",
    kind=Kind.GAUGE,
    unit=Unit.SHARE,
    sql="""
select campaign as metric, sum(refused)::float8 / sum(received) as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1 having sum(received) > 0 order by 1""",
)
REFUSED_RUNS = Panel(
    key="refused-interval",
    title="Refused share of each monitoring run",
    says="Over the run's whole window, with the interval of a share of so many rows: small lists make it wide.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
select at as time, campaign || part as metric, v.value
from panels.monitor_metrics as m cross join lateral (values ('', m.value), (': low', m.low), (': high', m.high)) as v (part, value)
where campaign in ($campaign) and $__timeFilter(at) and column_name is null and metric = 'refused_share' and v.value is not null
order by 1, 2""",
)
MISSING = Panel(
    key="missing",
    title="Missing values",
    says="Share of the rows without a value, by column, in the newest monitoring run. The first fifteen that lack any.",
    kind=Kind.RANKED,
    unit=Unit.SHARE,
    empty="no data: no value was missing, or nobody looked",
    sql="""
with newest as (
    select distinct on (campaign) run_id from panels.monitor_runs
    where campaign in ($campaign) and $__timeFilter(at) and kind = 'drift' order by campaign, created_at desc
)
select campaign || ': ' || column_name as metric, value from panels.monitor_metrics join newest using (run_id)
where metric = 'missing_share' and column_name is not null and value > 0 order by value desc, 1 limit 15""",
)
OUTCOMES = Panel(
    key="outcomes",
    title="Outcomes over time",
    says="Outcomes taken in, by what became of them at once. Unmatched: no such prediction yet; found later, it is told once more as what "
    "it became. Contradicting: another answer than one that was told before.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    sql="""
select $__timeGroup(since, '$interval') as time, status as metric, sum(outcomes)::float8 as value
from panels.outcomes where campaign in ($campaign) and $__timeFilter(since) group by 1, 2 order by 1, 2""",
)
ROWS = Panel(
    key="rows",
    title="Rows and outcomes in full",
    says="Everything sent in the span, counted. Rows sent are those scored and those refused.",
    kind=Kind.TABLE,
    unit=Unit.COUNT,
    columns=(
        Column("campaign"),
        Column("rows_sent", Unit.COUNT),
        Column("scored", Unit.COUNT),
        Column("refused", Unit.COUNT),
        Column("outcomes", Unit.COUNT),
        Column("recorded", Unit.COUNT),
        Column("not_recorded", Unit.COUNT),
    ),
    sql="""
with rows as (
    select campaign, sum(received)::bigint as rows_sent, sum(predictions)::bigint as scored, sum(refused)::bigint as refused
    from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1
), told as (
    select campaign, sum(outcomes)::bigint as outcomes, coalesce(sum(outcomes) filter (where status = 'recorded'), 0)::bigint as recorded
    from panels.outcomes where campaign in ($campaign) and $__timeFilter(since) group by 1
)
select campaign, coalesce(rows_sent, 0) as rows_sent, coalesce(scored, 0) as scored, coalesce(refused, 0) as refused,
    coalesce(outcomes, 0) as outcomes, coalesce(recorded, 0) as recorded, coalesce(outcomes - recorded, 0) as not_recorded
from rows full join told using (campaign) order by campaign""",
)

BOARD = Board(
    "quality",
    "Data quality",
    "What was wrong with what was sent: rows, values, outcomes.",
    (REFUSED_SHARE, REFUSED_RUNS, REFUSED, OUTCOMES, MISSING, ROWS),
)

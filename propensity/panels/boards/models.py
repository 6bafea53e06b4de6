"""Models and promotions: which one is live, since when, and every decision."""

from __future__ import annotations

from propensity.panels.definition import Board, Column, Kind, Panel, Unit

# Live is what the last row put there that was no refusal, whenever that was.
LIVE = Panel(
    key="live",
    title="Live models",
    says="What answers now, whatever the span: the last promotion or rollback of each campaign.",
    kind=Kind.TABLE,
    unit=Unit.TEXT,
    width=24,
    columns=(
        Column("campaign"),
        Column("model"),
        Column("live_since", Unit.TIME),
        Column("days", Unit.DAYS),
        Column("put_live_by"),
        Column("replaced"),
    ),
    sql="""
select distinct on (campaign) campaign, model_version as model, created_at as live_since,
    extract(epoch from now() - created_at)::float8 / 86400 as days, actor as put_live_by, left(replaces, 12) as replaced
from panels.promotions where campaign in ($campaign) and action in ('promote', 'rollback') order by campaign, sequence desc""",
)
DECISIONS = Panel(
    key="decisions",
    title="Decisions over time",
    says="Promotions, refusals and rollbacks. A refusal is the gates at work: the live model stayed.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    width=14,
    sql="""
select $__timeGroup(created_at, '$interval') as time, action as metric, count(*)::float8 as value
from panels.promotions where campaign in ($campaign) and $__timeFilter(created_at) group by 1, 2 order by 1, 2""",
)
COUNTS = Panel(
    key="counts",
    title="Decisions",
    says="In the span, by what was decided.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    width=10,
    sql="""
select action as metric, count(*)::float8 as value
from panels.promotions where campaign in ($campaign) and $__timeFilter(created_at) group by 1 order by 1""",
)
HISTORY = Panel(
    key="history",
    title="History",
    says="The newest hundred decisions of the span, and why.",
    kind=Kind.TABLE,
    unit=Unit.TEXT,
    width=24,
    columns=(
        Column("decided_at", Unit.TIME),
        Column("campaign"),
        Column("decision"),
        Column("model"),
        Column("replaced"),
        Column("by"),
        Column("reasons"),
    ),
    sql="""
select created_at as decided_at, campaign, action as decision, model_version as model, left(replaces, 12) as replaced, actor as by,
    (select string_agg(reason, '; ') from jsonb_array_elements_text(reasons) as r (reason)) as reasons
from panels.promotions where campaign in ($campaign) and $__timeFilter(created_at)
order by created_at desc, campaign, sequence desc limit 100""",
)

BOARD = Board("models", "Models and promotions", "Which model answers, who put it there, and why.", (LIVE, DECISIONS, COUNTS, HISTORY))

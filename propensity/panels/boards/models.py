"""Models and promotions: which one is live, who challenges it, what waits for a person, and every decision."""

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
select created_at as decided_at, campaign, action || case when step <> '' then ', ' || step else '' end as decision,
    model_version as model, left(replaces, 12) as replaced, actor as by,
    (select string_agg(reason, '; ') from jsonb_array_elements_text(reasons) as r (reason)) as reasons
from panels.promotions where campaign in ($campaign) and $__timeFilter(created_at)
order by created_at desc, campaign, sequence desc limit 100""",
)

WAITING = Panel(
    key="waiting",
    title="Waiting for approval",
    says="Models that passed and wait until a person approves or rejects them, whatever the span. Overtaken: another model went live since "
    "it was judged, so that it must be judged again.",
    kind=Kind.TABLE,
    unit=Unit.TEXT,
    width=24,
    empty="no data: no model waits for a person",
    columns=(
        Column("campaign"),
        Column("model"),
        Column("judged_against"),
        Column("waits_since", Unit.TIME),
        Column("days", Unit.DAYS),
        Column("standing", Unit.VERDICT),
        Column("reasons"),
    ),
    sql="""
select campaign, model_version as model, judged_against, created_at as waits_since,
    extract(epoch from now() - created_at)::float8 / 86400 as days, case when fits then 'fits' else 'overtaken' end as standing,
    (select string_agg(reason, '; ') from jsonb_array_elements_text(reasons) as r (reason)) as reasons
from panels.waiting where campaign in ($campaign) order by created_at, campaign, sequence""",
)
GAIN = Panel(
    key="gain",
    title="Challenger against champion",
    says="What the challenger has over the live model on the same mature outcomes, at each daily look, and the interval that holds "
    "over all looks together: above zero the challenger is better. Unit: that of the figure; watch: the model before the live one.",
    kind=Kind.LINES,
    unit=Unit.NUMBER,
    width=24,
    empty="no data: nothing was compared, or of too few outcomes to have a figure",
    sql="""
select created_at as time, campaign || ' ' || challenger || case when kind = 'watch' then ' (watch)' else '' end || part as metric, value
from panels.comparisons cross join lateral (values (': gain', gain), (': low', low), (': high', high)) as v (part, value)
where campaign in ($campaign) and $__timeFilter(created_at) and value is not null order by 1, 2""",
)
COMPARISONS = Panel(
    key="comparisons",
    title="Newest comparison of each pair",
    says="The last look of the span at each pair: mature predictions that both models scored, the share with an outcome, and the verdict "
    "on the challenger. Needed: about so many mature outcomes would decide.",
    kind=Kind.TABLE,
    unit=Unit.NUMBER,
    width=24,
    empty="no data: nothing was compared",
    columns=(
        Column("campaign"),
        Column("kind"),
        Column("live"),
        Column("challenger"),
        Column("verdict", Unit.VERDICT),
        Column("judged_by"),
        Column("gain", Unit.NUMBER),
        Column("low", Unit.NUMBER),
        Column("high", Unit.NUMBER),
        Column("predictions", Unit.COUNT),
        Column("known", Unit.SHARE),
        Column("needed", Unit.COUNT),
        Column("looked_at", Unit.TIME),
    ),
    sql="""
select distinct on (campaign, kind, champion, challenger) campaign, kind, champion as live, challenger, verdict, judged_by, gain, low, high,
    predicted as predictions, labelled::float8 / nullif(predicted, 0) as known, rows_needed as needed, created_at as looked_at
from panels.comparisons where campaign in ($campaign) and $__timeFilter(created_at)
order by campaign, kind, champion, challenger, id desc""",
)
SHADOW_SHARE = Panel(
    key="shadow-share",
    title="Scored in shadow",
    says="Share of the predictions that other models answered on a day which this model scored in shadow, too. A day without a point: it "
    "scored none, since it was not in shadow or nothing ran. On the day it joined the share is small by nature.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
with scored as (
    select date_trunc('day', since, 'UTC') as day, campaign, model_version, sum(predictions) as predictions
    from panels.shadow where campaign in ($campaign) and $__timeFilter(since) and received_at >= $__timeFrom() group by 1, 2, 3
), answered as (
    select date_trunc('day', since, 'UTC') as day, campaign, model_version, sum(predictions) as predictions
    from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1, 2, 3
)
select s.day as time, s.campaign || ' ' || s.model_version as metric, (min(s.predictions) / sum(a.predictions))::float8 as value
from scored as s join answered as a on a.day = s.day and a.campaign = s.campaign and a.model_version <> s.model_version
where s.predictions > 0 group by s.day, s.campaign, s.model_version having sum(a.predictions) > 0 order by 1, 2""",
)
SHADOW = Panel(
    key="shadow",
    title="Models in shadow",
    says="What each model scored beside the live one in the span. Skipped: lists logged with features that it does not know. Behind: how "
    "much younger the newest logged list of the campaign is than the newest one that it scored.",
    kind=Kind.TABLE,
    unit=Unit.COUNT,
    columns=(
        Column("campaign"),
        Column("model"),
        Column("scored", Unit.COUNT),
        Column("lists_skipped", Unit.COUNT),
        Column("newest_list", Unit.TIME),
        Column("behind", Unit.HOURS),
    ),
    sql="""
select s.campaign, s.model_version as model, sum(s.predictions)::bigint as scored, count(*) filter (where s.skipped) as lists_skipped,
    max(s.received_at) as newest_list,
    greatest(0, extract(epoch from max(l.newest) - date_trunc('hour', max(s.received_at), 'UTC')))::float8 / 3600 as behind
from panels.shadow as s join (
    select campaign, max(since) as newest from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1
) as l on l.campaign = s.campaign
where s.campaign in ($campaign) and $__timeFilter(s.received_at) group by 1, 2 order by 1, 2""",
)

BOARD = Board(
    "models",
    "Models and promotions",
    "Which model answers, which ones challenge it, who put it there, and why.",
    (LIVE, WAITING, GAIN, COMPARISONS, SHADOW_SHARE, SHADOW, DECISIONS, COUNTS, HISTORY),
)

"""How good the predictions were, once their outcomes are known."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.campaign import Campaign
from propensity.panels.definition import Board, Bounds, Column, Kind, Panel, Unit

_OF_RUNS = """
select at as time, campaign as metric, value from panels.monitor_metrics
where campaign in ($campaign) and $__timeFilter(at) and kind = 'performance' and column_name is null and metric = '{metric}'
order by at, campaign"""
# Outcomes of the predictions of the span, whenever they came in.
_KNOWN = """campaign in ($campaign) and since >= $__timeFrom() and predicted_on >= $__timeFrom()
        and predicted_on <= $__timeTo()"""
CALIBRATION_GAP = Panel(
    key="calibration-gap",
    title="Calibration gap",
    says="Mean score against the share of yes, in each monitoring run: 0 is right on average. A policy that weighs money needs it small.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql=_OF_RUNS.format(metric="calibration_gap"),
)
COVERAGE = Panel(
    key="coverage",
    title="Predictions whose outcome is known",
    says="Share by the day of the prediction. Young days are low by nature; where only contacted customers get outcomes, it stays low.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql=f"""
with made as (
    select date_trunc('day', since, 'UTC') as day, campaign, sum(predictions) as predictions
    from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1, 2
), known as (
    select predicted_on, campaign, sum(known) as outcomes from panels.outcomes
    where {_KNOWN} group by 1, 2
)
select day as time, made.campaign as metric, (coalesce(outcomes, 0) / predictions)::float8 as value
from made left join known on known.campaign = made.campaign and known.predicted_on = (day at time zone 'UTC')::date
where predictions > 0 order by 1, 2""",
)
CONVERSION = Panel(
    key="conversion",
    title="Share of yes",
    says="Among the predictions of a day whose outcome is known: those that the policy would contact, and the others.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql=f"""
select predicted_on::timestamp at time zone 'UTC' as time,
    campaign || case when contact then ', to be contacted' else ', others' end as metric,
    (sum(conversions) / sum(known))::float8 as value
from panels.outcomes where {_KNOWN} group by 1, 2 having sum(known) > 0 order by 1, 2""",
)
CALIBRATION = Panel(
    key="calibration",
    title="Scores against what happened",
    says="By tenth of the score: the mean score of the predictions whose outcome is known, and the share of yes among them.",
    kind=Kind.TABLE,
    unit=Unit.SHARE,
    width=24,
    columns=(
        Column("campaign"),
        Column("score"),
        Column("outcomes", Unit.COUNT),
        Column("yes", Unit.COUNT),
        Column("mean_score", Unit.SHARE),
        Column("share_of_yes", Unit.SHARE),
    ),
    sql=f"""
select campaign, to_char(score_tenth / 10.0, 'FM0.0') || ' to ' || to_char((score_tenth + 1) / 10.0, 'FM0.0') as score,
    sum(known)::bigint as outcomes, sum(conversions)::bigint as yes, sum(score_sum) / sum(known) as mean_score,
    (sum(conversions) / sum(known))::float8 as share_of_yes
from panels.outcomes where {_KNOWN} group by campaign, score_tenth having sum(known) > 0 order by campaign, score_tenth""",
)
MATURE = Panel(
    key="mature-coverage",
    title="Mature predictions whose outcome is known",
    says="Of each monitoring run: share of the predictions whose label window is over that have a label, and that share among those to be "
    "contacted and among the others. Figures speak of these alone.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
select at as time, campaign || case metric
        when 'coverage_contacts' then ', to be contacted' when 'coverage_others' then ', others' else '' end as metric, value
from panels.monitor_metrics
where campaign in ($campaign) and $__timeFilter(at) and kind = 'performance' and column_name is null
    and metric in ('coverage', 'coverage_contacts', 'coverage_others') order by 1, 2""",
)
# A run of performance begins where the drift run did that estimated the same predictions before their outcomes came.
_PAIRED = """
with measured as (
    select distinct on (campaign, since) run_id, campaign, since, created_at from panels.monitor_runs
    where campaign in ($campaign) and $__timeFilter(at) and kind = 'performance' and rows > 0 order by campaign, since, created_at desc
), estimated as (
    select distinct on (d.campaign, d.since) d.run_id, d.campaign, d.since, d.until, m.run_id as realised_by, d.at
    from panels.monitor_runs as d join measured as m on m.campaign = d.campaign and m.since = d.since
    where d.kind = 'drift' and d.rows > 0 order by d.campaign, d.since, d.created_at desc
)"""
ESTIMATED = Panel(
    key="estimated",
    title="Estimated and realised",
    says="For the newest predictions that are mature: what calibrated scores promised before any outcome, with the interval that chance "
    "leaves, and what happened. Outside: customers answer otherwise than the scores say, or only a part of them has outcomes.",
    kind=Kind.TABLE,
    unit=Unit.NUMBER,
    width=24,
    empty="no data: no window was both estimated and measured",
    columns=(
        Column("campaign"),
        Column("figure"),
        Column("estimated", Unit.NUMBER),
        Column("low", Unit.NUMBER),
        Column("high", Unit.NUMBER),
        Column("realised", Unit.NUMBER),
        Column("stands", Unit.VERDICT),
        Column("window_from", Unit.TIME),
        Column("window_to", Unit.TIME),
    ),
    sql=_PAIRED
    + """, newest as (select distinct on (campaign) * from estimated order by campaign, since desc)
select n.campaign, replace(r.metric, '_', ' ') as figure, e.value as estimated, e.low, e.high, r.value as realised,
    case when e.low is not null then case when r.value between e.low and e.high then 'within' else 'outside' end end as stands,
    n.since as window_from, n.until as window_to
from newest as n
join panels.monitor_metrics as e on e.run_id = n.run_id and e.method = 'confidence_based'
join panels.monitor_metrics as r on r.run_id = n.realised_by and r.column_name is null and r.method = 'observed'
    and e.metric = 'estimated_' || r.metric
order by n.campaign, r.position""",
)
ESTIMATED_AUC = Panel(
    key="estimated-auc",
    title="ROC-AUC, estimated and realised",
    says="By the end of the window: what calibrated scores promise before outcomes come, and what the same predictions turned out to have.",
    kind=Kind.LINES,
    unit=Unit.NUMBER,
    sql=_PAIRED
    + """
select at as time, campaign || ', estimated' as metric, value from panels.monitor_metrics
where campaign in ($campaign) and $__timeFilter(at) and kind = 'drift' and column_name is null and metric = 'estimated_roc_auc'
union all
select e.at, e.campaign || ', realised', r.value from estimated as e
join panels.monitor_metrics as r on r.run_id = e.realised_by and r.metric = 'roc_auc' and r.column_name is null
order by 1, 2""",
)
OUTCOMES = Panel(
    key="by-status",
    title="Outcomes by what became of them",
    says="Taken in within the span, by status; and, whatever the span, those that still wait: unmatched have no prediction yet, ambiguous "
    "fit several. Not mature: predictions of the newest monitoring run that are too young to be judged.",
    kind=Kind.TABLE,
    unit=Unit.COUNT,
    width=24,
    columns=(
        Column("campaign"),
        Column("recorded", Unit.COUNT),
        Column("duplicate", Unit.COUNT),
        Column("contradicting", Unit.COUNT),
        Column("late", Unit.COUNT),
        Column("corrected", Unit.COUNT),
        Column("withdrawn", Unit.COUNT),
        Column("unmatched_waiting", Unit.COUNT),
        Column("ambiguous_waiting", Unit.COUNT),
        Column("not_mature", Unit.COUNT),
    ),
    sql="""
with told as (
    select campaign, status, sum(outcomes) as n from panels.outcomes where campaign in ($campaign) and $__timeFilter(since) group by 1, 2
    union all
    select campaign, status || ' waiting', count(*) from panels.outcomes_waiting where campaign in ($campaign) group by 1, 2
    union all
    select campaign, 'not mature', value from (
        select distinct on (campaign) campaign, value from panels.monitor_metrics
        where campaign in ($campaign) and metric = 'not_yet_mature' order by campaign, created_at desc
    ) as newest
)
select campaign, """
    + ", ".join(
        f"(coalesce(sum(n) filter (where status = '{status}'), 0))::bigint as {status.replace(' ', '_')}"
        for status in (
            "recorded",
            "duplicate",
            "contradicting",
            "late",
            "corrected",
            "withdrawn",
            "unmatched waiting",
            "ambiguous waiting",
            "not mature",
        )
    )
    + """
from told group by campaign order by campaign""",
)


def board(campaigns: Mapping[str, Campaign]) -> Board:
    """The board; the line of its ROC-AUC is the strictest gate that a campaign declares."""
    gates = [gate.at_least for campaign in campaigns.values() for gate in campaign.gates if gate.metric == "roc_auc" and gate.at_least]
    auc = Panel(
        key="roc-auc",
        title="ROC-AUC",
        says="Of each monitoring run over predictions whose outcome is known: 0.5 is chance, 1 is perfect. The lines are chance, and the "
        "declared gate.",
        kind=Kind.LINES,
        unit=Unit.NUMBER,
        bounds=Bounds(max(gates), min(0.5, max(gates)), low_is_bad=True) if gates else None,
        sql=_OF_RUNS.format(metric="roc_auc"),
    )
    says = "How good the predictions were, as far as outcomes are known. Where only contacted customers have outcomes, this is about those."
    return Board(
        "performance",
        "Performance",
        says,
        (auc, CALIBRATION_GAP, MATURE, COVERAGE, ESTIMATED_AUC, CONVERSION, ESTIMATED, OUTCOMES, CALIBRATION),
    )

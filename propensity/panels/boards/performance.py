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
    return Board("performance", "Performance", says, (auc, CALIBRATION_GAP, COVERAGE, CONVERSION, CALIBRATION))

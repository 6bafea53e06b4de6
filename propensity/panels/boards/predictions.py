"""Predictions and decisions, as logged."""

from __future__ import annotations

from propensity.panels.definition import Board, Column, Kind, Panel, Unit

PREDICTIONS = Panel(
    key="predictions",
    title="Predictions",
    says="Customers scored and logged in the span.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    sql="""
select campaign as metric, sum(predictions)::float8 as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1 order by 1""",
)
CONTACT_SHARE = Panel(
    key="contact-share",
    title="To be contacted",
    says="Share of the customers whom the policy of their request would contact.",
    kind=Kind.STAT,
    unit=Unit.SHARE,
    sql="""
select campaign as metric, sum(contacts)::float8 / sum(predictions) as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1 having sum(predictions) > 0 order by 1""",
)
OVER_TIME = Panel(
    key="over-time",
    title="Predictions over time",
    says="Customers scored and logged in each interval.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    sql="""
select $__timeGroup(since, '$interval') as time, campaign as metric, sum(predictions)::float8 as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1, 2 order by 1, 2""",
)
CONTACTS_OVER_TIME = Panel(
    key="contacts-over-time",
    title="Share to be contacted over time",
    says="A jump without a new model or another policy means other customers, or other scores for the same.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
select $__timeGroup(since, '$interval') as time, campaign as metric, sum(contacts)::float8 / sum(predictions) as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since)
group by 1, 2 having sum(predictions) > 0 order by 1, 2""",
)
MEAN_SCORE = Panel(
    key="mean-score",
    title="Mean score over time",
    says="The mean predicted probability. It should move with the rate of yes; where only one of them moves, the calibration is off.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
select $__timeGroup(since, '$interval') as time, campaign as metric, sum(score_sum) / sum(predictions) as value
from panels.predictions where campaign in ($campaign) and $__timeFilter(since)
group by 1, 2 having sum(predictions) > 0 order by 1, 2""",
)
SCORES = Panel(
    key="scores",
    title="Scores",
    says="How many predictions lie in each tenth of the scale from 0 to 1; all chosen campaigns together.",
    kind=Kind.RANKED,
    unit=Unit.COUNT,
    sql="""
select to_char((tenth - 1) / 10.0, 'FM0.0') || ' to ' || to_char(tenth / 10.0, 'FM0.0') as metric, sum(score_tenths[tenth])::float8 as value
from panels.predictions cross join generate_series(1, 10) as tenth
where campaign in ($campaign) and $__timeFilter(since) group by tenth order by tenth""",
)
BY_MODEL = Panel(
    key="by-model",
    title="Which model answered",
    says="Predictions of the span by the model that made them.",
    kind=Kind.TABLE,
    unit=Unit.COUNT,
    width=24,
    columns=(
        Column("campaign"),
        Column("model"),
        Column("requests", Unit.COUNT),
        Column("predictions", Unit.COUNT),
        Column("to_be_contacted", Unit.COUNT),
        Column("mean_score", Unit.SHARE),
        Column("first_hour", Unit.TIME),
        Column("last_hour", Unit.TIME),
    ),
    sql="""
select campaign, model_version as model, sum(requests)::bigint as requests, sum(predictions)::bigint as predictions,
    sum(contacts)::bigint as to_be_contacted, sum(score_sum) / nullif(sum(predictions), 0) as mean_score,
    min(since) as first_hour, max(since) as last_hour
from panels.predictions where campaign in ($campaign) and $__timeFilter(since) group by 1, 2 order by 1, last_hour desc, 2""",
)

BOARD = Board(
    "predictions",
    "Predictions and decisions",
    "Who was scored, with what result, and whom the policies would contact. By the hour at which the log took a request in.",
    (PREDICTIONS, CONTACT_SHARE, OVER_TIME, CONTACTS_OVER_TIME, MEAN_SCORE, SCORES, BY_MODEL),
)

"""Business value: what the decisions were expected to bring, and what is known that they brought."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.campaign import Campaign
from propensity.panels.definition import Board, Column, Kind, Panel, Unit

_KNOWN = """campaign in ($campaign) and contact and since >= $__timeFrom() and predicted_on >= $__timeFrom()
        and predicted_on <= $__timeTo()"""


def board(campaigns: Mapping[str, Campaign]) -> Board:
    """The board; costs and values are those that the campaigns declare."""
    rows = ", ".join(
        f"('{c.name}', {c.economics.contact_cost}::numeric, {c.economics.conversion_value}::numeric, '{c.economics.currency}')"
        for c in campaigns.values()
    )
    economics = f"with economics (campaign, cost, worth, currency) as (values {rows})"
    says = (
        "Money by the costs and values that the campaigns declare. Expected: what the scores promise of those to be contacted. Known: what "
        "those of them brought whose outcome was reported, as if each had been contacted."
    )
    return Board("value", "Business value", says, (_expected(economics), _known(economics), _over_time(economics), *_more(economics)))


def _expected(economics: str) -> Panel:
    return Panel(
        key="expected-profit",
        title="Expected profit",
        says="Scores times value, less the cost of each contact, over all who are to be contacted.",
        kind=Kind.STAT,
        unit=Unit.MONEY,
        sql=f"""
{economics}
select campaign || ', ' || currency as metric, sum(contact_score_sum * worth - contacts * cost)::float8 as value
from panels.predictions join economics using (campaign) where campaign in ($campaign) and $__timeFilter(since) group by 1 order by 1""",
    )


def _known(economics: str) -> Panel:
    return Panel(
        key="known-profit",
        title="Known profit",
        says="Yes times value, less the cost of each contact, over those to be contacted whose outcome is known.",
        kind=Kind.STAT,
        unit=Unit.MONEY,
        sql=f"""
{economics}
select campaign || ', ' || currency as metric, sum(conversions * worth - known * cost)::float8 as value
from panels.outcomes join economics using (campaign)
where {_KNOWN} group by 1 order by 1""",
    )


def _over_time(economics: str) -> Panel:
    return Panel(
        key="expected-over-time",
        title="Expected profit over time",
        says="By the interval in which the customers were scored.",
        kind=Kind.LINES,
        unit=Unit.MONEY,
        sql=f"""
{economics}
select $__timeGroup(since, '$interval') as time, campaign || ', ' || currency as metric,
    sum(contact_score_sum * worth - contacts * cost)::float8 as value
from panels.predictions join economics using (campaign)
where campaign in ($campaign) and $__timeFilter(since) group by 1, 2 order by 1, 2""",
    )


def _more(economics: str) -> tuple[Panel, ...]:
    known_over_time = Panel(
        key="known-over-time",
        title="Known profit over time",
        says="By the day on which the customers were scored, as far as outcomes are known.",
        kind=Kind.LINES,
        unit=Unit.MONEY,
        sql=f"""
{economics}
select predicted_on::timestamp at time zone 'UTC' as time, campaign || ', ' || currency as metric,
    sum(conversions * worth - known * cost)::float8 as value
from panels.outcomes join economics using (campaign)
where {_KNOWN} group by 1, 2 order by 1, 2""",
    )
    in_full = Panel(
        key="in-full",
        title="In full",
        says="Both sides of the account. Expected of known: what the scores promised of those whose outcome is known; compare it with "
        "known profit.",
        kind=Kind.TABLE,
        unit=Unit.MONEY,
        width=24,
        columns=(
            Column("campaign"),
            Column("currency"),
            Column("to_be_contacted", Unit.COUNT),
            Column("cost", Unit.MONEY),
            Column("expected_profit", Unit.MONEY),
            Column("known", Unit.COUNT),
            Column("yes", Unit.COUNT),
            Column("expected_of_known", Unit.MONEY),
            Column("known_profit", Unit.MONEY),
        ),
        sql=f"""
{economics}, made as (
    select campaign, sum(contacts)::bigint as contacts, sum(contact_score_sum) as score_sum from panels.predictions
    where campaign in ($campaign) and $__timeFilter(since) group by 1
), told as (
    select campaign, sum(known)::bigint as outcomes, sum(conversions)::bigint as conversions, sum(score_sum) as score_sum
    from panels.outcomes where {_KNOWN} group by 1
)
select campaign, currency, coalesce(contacts, 0) as to_be_contacted, coalesce(contacts, 0) * cost as cost,
    coalesce(made.score_sum, 0) * worth - coalesce(contacts, 0) * cost as expected_profit, coalesce(outcomes, 0) as known,
    coalesce(conversions, 0) as yes, coalesce(told.score_sum, 0) * worth - coalesce(outcomes, 0) * cost as expected_of_known,
    coalesce(conversions, 0) * worth - coalesce(outcomes, 0) * cost as known_profit
from economics left join made using (campaign) left join told using (campaign)
where contacts is not null or outcomes is not null order by campaign""",
    )
    return known_over_time, in_full

"""What somebody must hear of: alert rules over the same views, evaluated by Grafana.

A statement gives rows ``time, metric, value``, one per thing that can be wrong, at the present time, and holds no ``$``: Grafana puts
variables of its environment into provisioned files, and a dashboard's variables are not there. What monitoring itself finds (drift, a
model that does worse) is told by the platform's own alerts as well; these rules also see that nothing is told at all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from propensity.campaign import Campaign


@dataclass(frozen=True, kw_only=True, slots=True)
class Alert:
    """One rule: it fires for each ``metric`` whose value is above ``above`` for ``for_minutes``.

    Attributes
    ----------
    urgent : bool
        Somebody must look now; else on the next working day.
    runbook : str
        What to do first.
    no_data_is_bad : bool
        A statement without a row fires, too.
    board, panel : str
        Where to look.
    """

    key: str
    title: str
    says: str
    runbook: str
    sql: str
    above: float
    for_minutes: int
    board: str
    panel: str
    urgent: bool = False
    no_data_is_bad: bool = False


_LATE = """
select now() as time, p.campaign as metric,
    extract(epoch from now() - coalesce(max(r.created_at), min(p.created_at)))::float8 / 3600 as value
from (select campaign, min(created_at) as created_at from panels.promotions where action = 'promote' group by campaign) as p
left join panels.monitor_runs as r on r.campaign = p.campaign
where p.campaign in ({names}) group by p.campaign order by 2"""
# The platform's own alarm, where the run judged one: fixed bands of PSI call somebody far too often.
_VERDICT = """
select now() as time, campaign as metric,
    case coalesce(alarm, verdict) when 'alarm' then 2 when 'drift' then 2 when 'watch' then 1 when 'warning' then 1 else 0 end::float8
        as value
from (
    select distinct on (campaign) campaign, verdict, alarm from panels.monitor_runs
    where campaign in ({names}) and kind = '{kind}' and created_at > now() - interval '3 days' order by campaign, created_at desc
) as newest order by 2"""
_SILENT = """
select now() as time, campaign as metric, case when coalesce(sum(predictions) filter (where since > now() - interval '25 hours'), 0) = 0
    then 1 else 0 end::float8 as value
from panels.predictions where campaign in ({names}) and since > now() - interval '8 days' group by campaign order by 2"""


def all_alerts(campaigns: Mapping[str, Campaign]) -> tuple[Alert, ...]:
    """Every rule; those about campaigns look at the declared ones."""
    names = ", ".join(f"'{name}'" for name in campaigns)
    return (*_SERVICE, *_of_campaigns(names), *_DATABASE)


_SERVICE = (
    Alert(
        key="failing",
        title="Requests fail on our side",
        says="More than 1 % of the requests of the last quarter of an hour were answered with 5xx.",
        runbook="Look at /readyz of the service: it says which store does not answer. While Postgres is away, 503 is right.",
        above=0.01,
        for_minutes=5,
        board="traffic",
        panel="failed",
        urgent=True,
        sql="""
select now() as time, 'service' as metric, coalesce(sum(requests) filter (where status = 5), 0)::float8 / sum(requests) as value
from panels.requests where since > now() - interval '15 minutes' having sum(requests) > 0""",
    ),
    Alert(
        key="slow",
        title="Predictions are slow",
        says="Of the last quarter of an hour's predictions, 5 % took longer than a second.",
        runbook="Compare with the time the log takes to commit; where that is short, look for very large lists, then add a process.",
        above=1.0,
        for_minutes=10,
        board="traffic",
        panel="latency",
        sql="""
select now() as time, 'predictions' as metric, panels.quantile(0.95, counts, array[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1,
    0.25,
    0.5, 1, 2.5, 5, 10, null]::float8[]) as value
from (
    select array[sum(slower_than[1]), sum(slower_than[2]), sum(slower_than[3]), sum(slower_than[4]), sum(slower_than[5]),
        sum(slower_than[6]),
        sum(slower_than[7]), sum(slower_than[8]), sum(slower_than[9]), sum(slower_than[10]), sum(slower_than[11]), sum(slower_than[12]),
        sum(slower_than[13]), sum(slower_than[14]), sum(slower_than[15])]::bigint[] as counts
    from panels.requests where kind = 'predictions' and since > now() - interval '15 minutes' having sum(requests) > 0
) as counted""",
    ),
)


def _of_campaigns(names: str) -> tuple[Alert, ...]:
    return (
        Alert(
            key="monitoring-late",
            title="Monitoring is late",
            says="A campaign with a live model was not looked at for more than 26 hours. No drift alert can come while nobody looks.",
            runbook="Look at the flow monitor in Prefect: is its schedule paused, its worker away, or did the run fail? Run it by hand.",
            above=26.0,
            for_minutes=15,
            board="flows",
            panel="since-monitoring",
            urgent=True,
            sql=_LATE.format(names=names),
        ),
        Alert(
            key="drift",
            title="Customers have drifted",
            says="The newest monitoring run of a campaign is in alarm: a change that lasts and that chance does not explain.",
            runbook="Open the run's report, see which columns differ; if customers really changed, retrain: the gates decide.",
            above=1.5,
            for_minutes=0,
            board="drift",
            panel="verdicts",
            sql=_VERDICT.format(names=names, kind="drift"),
        ),
        Alert(
            key="performance",
            title="A model does worse than its gates",
            says="Of the newest measured predictions of a campaign a figure breaks a bound that its gates set for promotion.",
            runbook="Compare with the campaign's trailing rate of yes; retrain, or go back to the model before.",
            above=0.5,
            for_minutes=0,
            board="performance",
            panel="roc-auc",
            sql=_VERDICT.format(names=names, kind="performance"),
        ),
        Alert(
            key="silent",
            title="A campaign has fallen silent",
            says="A campaign that was scored within the last week has no prediction for a day.",
            runbook="Ask who posts its lists; look for refused requests under traffic, and at the flow score for files.",
            above=0.5,
            for_minutes=60,
            board="predictions",
            panel="over-time",
            sql=_SILENT.format(names=names),
        ),
    )


_DATABASE = (
    Alert(
        key="without-month",
        title="The log lacks a month",
        says="Requests lie in the log's default partition. None is lost, but such a month cannot be dropped as a whole.",
        runbook="Run the flow monitor of any campaign: it makes the months that are missing, and moves what lies outside them.",
        above=0.5,
        for_minutes=10,
        board="infrastructure",
        panel="without-month",
        sql="select now() as time, 'log' as metric, requests_without_month::float8 as value from panels.postgres",
    ),
    Alert(
        key="connections",
        title="Postgres is running out of connections",
        says="More than 90 % of the connections that Postgres allows are open.",
        runbook="Count the service's processes: each holds three connections more than threads. Lower one, or enlarge the database.",
        above=0.9,
        for_minutes=5,
        board="infrastructure",
        panel="connections",
        urgent=True,
        no_data_is_bad=True,
        sql="select now() as time, 'postgres' as metric, connections::float8 / connections_at_most as value from panels.postgres",
    ),
)

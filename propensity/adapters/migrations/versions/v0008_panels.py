"""What dashboards read: counts by the hour that stay cheap on a long log, what the service says of itself, and views for a role that may
read these views and nothing else.

A view adds what the log holds since the last hour that was counted, so that its numbers are the log's own, counted ahead or not. No view
has a customer's id, a caller or a row's values.
"""

from __future__ import annotations

from alembic import op

from propensity.adapters.migrations.v0008_views import FLOWS, MODELS

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = """
create schema panels;

-- Counts of the hours that are over. They are what the views begin with, and may be made again at any time from the log.
create table prediction_hour (
    since timestamptz not null,
    campaign text not null,
    model_version text not null,
    requests bigint not null,
    received bigint not null,
    refused bigint not null,
    predictions bigint not null,
    contacts bigint not null,
    score_sum float8 not null,
    contact_score_sum float8 not null,
    score_tenths bigint[] not null check (cardinality(score_tenths) = 10),
    primary key (since, campaign, model_version)
);
create table outcome_hour (
    since timestamptz not null,
    campaign text not null,
    status text not null,
    predicted_on date,
    contact boolean,
    score_tenth integer,
    outcomes bigint not null,
    known bigint not null,
    conversions bigint not null,
    score_sum float8 not null
);
comment on column outcome_hour.outcomes is 'as many as came in';
comment on column outcome_hour.known is
    'how many more labels are known; below zero where some were withdrawn. conversions and score_sum are of these';
create index outcome_hour_by_time on outcome_hour (campaign, since);
-- One row: hours before it are counted.
create table counted_until (
    one boolean primary key default true check (one),
    until timestamptz not null
);
insert into counted_until values (true, '-infinity');

-- What a process of the scoring service counted within a minute, by kind of address and status. Not a log: it may be lost with a process.
create table service_minute (
    process uuid not null,
    since timestamptz not null,
    kind text not null,
    status integer not null check (status between 1 and 5),
    requests integer not null,
    seconds float8 not null,
    slower_than integer[] not null check (cardinality(slower_than) = 15),
    primary key (process, since, kind, status)
);
comment on column service_minute.status is 'its first digit';
comment on column service_minute.slower_than is 'by duration: up to 0.5, 1, 2.5, 5, 10, 25, 50, 100, 250, 500 ms, 1, 2.5, 5, 10 s, longer';
create index service_minute_by_time on service_minute (since);
create table service_sample (
    process uuid not null,
    since timestamptz not null,
    started_at timestamptz not null,
    resident_bytes bigint not null,
    cpu_seconds float8 not null,
    waiting integer not null,
    commits integer not null,
    commit_seconds float8 not null,
    primary key (process, since)
);
comment on column service_sample.cpu_seconds is 'of the minute; commits and their seconds likewise';
create index service_sample_by_time on service_sample (since);
"""

# A score of exactly 1 belongs to the last tenth.
_LIVE = """
-- Request by request; outside the schema that others may read.
create view prediction_counts as
select date_trunc('hour', r.received_at, 'UTC') as since, r.received_at, r.campaign, r.model_version, r.received, r.refused,
    r.answered, s.contacts, s.score_sum, s.contact_score_sum, s.score_tenths
from prediction_request as r
cross join lateral (
    select count(*) filter (where p.contact) as contacts, coalesce(sum(p.score), 0) as score_sum,
        coalesce(sum(p.score) filter (where p.contact), 0) as contact_score_sum,
        array[{tenths}] as score_tenths
    from unnest(r.scores, r.contact) as p (score, contact)
) as s;

""".format(tenths=", ".join(f"count(*) filter (where least(9, floor(10 * p.score)) = {n})" for n in range(10)))

_SUMS = """requests, received, refused, predictions, contacts, score_sum, contact_score_sum, score_tenths"""
_COUNT_PREDICTIONS = """
select since, campaign, model_version, count(*) as requests, sum(received)::bigint as received, sum(refused)::bigint as refused,
    sum(answered)::bigint as predictions, sum(contacts)::bigint as contacts, sum(score_sum) as score_sum,
    sum(contact_score_sum) as contact_score_sum, array[{tenths}]::bigint[] as score_tenths
from prediction_counts where {where} group by since, campaign, model_version"""
# What an outcome changes in what is known: one that counts in place of an earlier one takes that back. So sums over any span are right at
# its end, whatever was corrected later.
_TOLD = """
select o.request_id, date_trunc('hour', o.received_at, 'UTC') as since, o.campaign, o.status, o.position,
    case when o.counts then (o.label is not null)::integer - (coalesce(was.label is not null, false))::integer else 0 end as known,
    case when o.counts then coalesce(o.label, false)::integer - coalesce(was.label, false)::integer else 0 end as conversion
from outcome as o left join lateral (
    select b.label from outcome as b
    where o.counts and o.status <> 'recorded' and b.request_id = o.request_id and b.position = o.position
        and b.request_id is not null and b.status <> 'duplicate' and b.counts and b.id < o.id
    order by b.id desc limit 1
) as was on true
where {where}"""
# By request, and without a join of what unnest gives: the planner cannot know how many rows that is, and would compare each with each.
# Nor does it know how little is not counted yet: left to itself, it reads the whole log for it; offset 0 makes it look up each request.
_COUNT_OUTCOMES = f"""
select o.since, o.campaign, o.status, date_trunc('day', r.received_at, 'UTC')::date as predicted_on, x.contact,
    least(9, floor(10 * x.score))::integer as score_tenth, sum(x.outcomes)::bigint as outcomes, sum(x.known)::bigint as known,
    sum(x.conversions)::bigint as conversions, coalesce(sum(x.score * x.known), 0) as score_sum
from (
    select request_id, since, campaign, status, array_agg(position) as positions, array_agg(known) as known,
        array_agg(conversion) as conversions
    from ({_TOLD}) as told group by request_id, since, campaign, status
) as o
left join lateral (
    select received_at, scores, contact from prediction_request where request_id = o.request_id offset 0
) as r on true
cross join lateral (
    select max(u.score) as score, bool_or(u.contact) as contact, sum(u.told) as outcomes, sum(u.known) as known,
        sum(u.conversion) as conversions
    from (
        select p.position, p.score, p.contact, 0 as told, 0 as known, 0 as conversion
        from unnest(r.scores, r.contact) with ordinality as p (score, contact, position)
        union all
        select a.position, null, null, 1, a.known, a.conversion
        from unnest(o.positions, o.known, o.conversions) as a (position, known, conversion)
    ) as u group by u.position having sum(u.told) > 0
) as x
group by o.since, o.campaign, o.status, predicted_on, x.contact, score_tenth"""
_TENTHS = ", ".join(f"sum(score_tenths[{n}])" for n in range(1, 11))
_UNCOUNTED = "received_at >= (select until from counted_until)"

_VIEWS = f"""
create view panels.predictions as
select since, campaign, model_version, {_SUMS} from prediction_hour where since < (select until from counted_until)
union all
{_COUNT_PREDICTIONS.format(tenths=_TENTHS, where=_UNCOUNTED)};

create view panels.outcomes as
select since, campaign, status, predicted_on, contact, score_tenth, outcomes, known, conversions, score_sum
from outcome_hour where since < (select until from counted_until)
union all
{_COUNT_OUTCOMES.format(where="o." + _UNCOUNTED)};

-- A window may end in the future: what is told of it is told of the present.
create view panels.monitor_runs as
select run_id, campaign, kind, since, until, model_digest, snapshot_id, rows, reference_rows, verdict, report_key, created_at,
    least(until, created_at) as at, alarm
from monitor_run;
create view panels.monitor_metrics as
select m.run_id, r.campaign, r.kind, r.since, r.until, r.created_at, least(r.until, r.created_at) as at, m.position, m.column_name,
    m.metric, m.method, m.value, m.warn, m.alert, m.verdict, m.low, m.high, m.rows_used, m.group_name
from monitor_metric as m join monitor_run as r using (run_id);
create view panels.promotions as
select campaign, sequence, action, model_digest, model_version, replaces, reasons, actor, created_at, step from promotion;
create view panels.flow_periods as select flow, campaign, period, finished_at from flow_period;
create view panels.requests as select process, since, kind, status, requests, seconds, slower_than from service_minute;
create view panels.processes as
select process, since, started_at, resident_bytes, cpu_seconds, waiting, commits, commit_seconds from service_sample;
"""

_OF_POSTGRES = """
create view panels.storage as
select c.relname::text as name, pg_total_relation_size(c.oid) as bytes, greatest(c.reltuples, 0)::bigint as rows_about
from pg_class as c join pg_namespace as n on n.oid = c.relnamespace
where n.nspname = 'public' and c.relkind = 'r';
create view panels.postgres as
select pg_database_size(current_database()) as bytes,
    (select count(*) from pg_stat_activity where datname = current_database()) as connections,
    current_setting('max_connections')::integer as connections_at_most,
    (select count(*) from prediction_request_default) as requests_without_month,
    (select nullif(until, '-infinity') from counted_until) as counted_until;

-- Which value a share of the requests stays below, from counts by upper bound; within a bin they are taken as spread evenly.
create function panels.quantile(share float8, counts bigint[], bounds float8[]) returns float8
language sql immutable parallel safe as $$
    with bins as (
        select n, coalesce(lag(bound) over (order by n), 0) as low, bound, count,
            sum(count) over (order by n) as upto, sum(count) over () as total
        from unnest(counts, bounds) with ordinality as b (count, bound, n)
    )
    select case when bound is null then low else low + (bound - low) * (share * total - (upto - count)) / count end
    from bins where count > 0 and upto >= share * total order by n limit 1
$$;
"""

_COUNTING = f"""
create function count_panel_hours(most interval default '1 day') returns boolean
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    first timestamptz;
    upto timestamptz;
    final timestamptz := date_trunc('hour', now() - interval '10 minutes', 'UTC');
begin
    -- One process counts, the others need not wait.
    if not pg_try_advisory_xact_lock(hashtextextended('panel hours', 0)) then
        return false;
    end if;
    select until into first from counted_until;
    -- Hours in which nothing came are stepped over.
    select min(at) into upto from (
        select (select min(received_at) from prediction_request as r where r.campaign = c.campaign and r.received_at >= first) as at
        from panels.campaigns_seen() as c (campaign)
        union all
        select min(received_at) from outcome where received_at >= first
    ) as found;
    if upto is null or upto >= final then
        update counted_until set until = greatest(until, final);
        return false;
    end if;
    first := greatest(first, date_trunc('hour', upto, 'UTC'));
    upto := least(final, first + most);
    delete from prediction_hour where since >= first and since < upto;
    insert into prediction_hour (since, campaign, model_version, {_SUMS})
    {_COUNT_PREDICTIONS.format(tenths=_TENTHS, where="received_at >= first and received_at < upto")};
    delete from outcome_hour where since >= first and since < upto;
    insert into outcome_hour (since, campaign, status, predicted_on, contact, score_tenth, outcomes, known, conversions, score_sum)
    {_COUNT_OUTCOMES.format(where="o.received_at >= first and o.received_at < upto")};
    update counted_until set until = upto;
    return upto < final;
end $$;
comment on function count_panel_hours is
    'counts ahead what became final, at most so much of it at once; true where more is left. For the role that may only insert';

-- Campaigns of the log, by as many looks into its index.
create function panels.campaigns_seen() returns setof text
language sql stable set search_path = pg_catalog, public as $$
    with recursive found as (
        select min(campaign) as campaign from prediction_request
        union all
        select (select min(campaign) from prediction_request where campaign > found.campaign) from found where found.campaign is not null
    )
    select campaign from found where campaign is not null
$$;

-- For rows that were written with a time of the past: a restored or replayed log. Goes back to the first hour that is not as counted.
create function recount_panel_hours() returns timestamptz
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    first timestamptz;
begin
    perform pg_advisory_xact_lock(hashtextextended('panel hours', 0));
    select min(since) into first from (
        select since from (
            select date_trunc('hour', received_at, 'UTC') as since, campaign, count(*) as requests, sum(answered) as predictions
            from prediction_request where received_at < (select until from counted_until) group by 1, 2
        ) as log
        left join (select since, campaign, sum(requests) as requests, sum(predictions) as predictions from prediction_hour group by 1, 2)
            as counted using (since, campaign)
        -- Less in the log than was counted is no mistake: a month may have been dropped, a customer erased.
        where coalesce(counted.requests, 0) < log.requests or coalesce(counted.predictions, 0) < log.predictions
        union all
        select since from (
            select date_trunc('hour', received_at, 'UTC') as since, count(*) as outcomes from outcome
            where received_at < (select until from counted_until) group by 1
        ) as log
        left join (select since, sum(outcomes) as outcomes from outcome_hour group by 1) as counted using (since)
        where coalesce(counted.outcomes, 0) < log.outcomes
    ) as wrong;
    if first is not null then
        delete from prediction_hour where since >= first;
        delete from outcome_hour where since >= first;
        update counted_until set until = first;
    end if;
    return first;
end $$;

create function forget_service_minutes(before timestamptz) returns void
language sql security definer set search_path = pg_catalog, public as $$
    delete from service_minute where since < least(before, now() - interval '30 days');
    delete from service_sample where since < least(before, now() - interval '30 days');
$$;
revoke all on function count_panel_hours(interval), recount_panel_hours(), forget_service_minutes(timestamptz) from public;
grant execute on function count_panel_hours(interval), recount_panel_hours(), forget_service_minutes(timestamptz) to propensity_app;
"""

_RIGHTS = """
grant insert, select on service_minute, service_sample to propensity_app;
grant usage on schema panels to propensity_app;
grant select on all tables in schema panels to propensity_app;
-- Where the dashboards' role is not there yet, flows/databases.py makes it and gives it the same.
do $$
begin
    if exists (select from pg_roles where rolname = 'propensity_reader') then
        grant usage on schema panels to propensity_reader;
        grant select on all tables in schema panels to propensity_reader;
    end if;
end $$;
revoke all on function panels.campaigns_seen() from public;
"""


def upgrade() -> None:
    """Create tables, views, functions and rights. Nothing that was there changes."""
    for statements in (_TABLES, _LIVE, _VIEWS, MODELS, FLOWS, _OF_POSTGRES, _COUNTING, _RIGHTS):
        op.execute(statements)

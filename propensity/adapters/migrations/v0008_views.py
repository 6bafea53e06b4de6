"""Views of revision 0008 over models, flows and alerts. Never changed once released: a later revision makes them anew."""

from __future__ import annotations

MODELS = """
create view panels.comparisons as
select id, campaign, kind, left(champion, 12) as champion, left(challenger, 12) as challenger, since, until, predicted, labelled,
    judged_by, gain, low, high, rows_needed, verdict, created_at
from model_comparison;
-- Of each model the last decision, where that says that a person is asked; whether what it was judged against is still the live model
-- (or what that was before its recalibrations).
create view panels.waiting as
select p.campaign, p.sequence, p.model_version, left(p.replaces, 12) as judged_against, p.reasons, p.created_at,
    p.replaces is not distinct from line.live or coalesce(p.replaces = any (line.digests), false) as fits
from promotion as p
cross join lateral (
    select (array_agg(l.model_digest order by l.sequence desc))[1] as live, array_agg(l.model_digest) as digests
    from promotion as l
    where l.campaign = p.campaign and l.action in ('promote', 'rollback') and l.sequence >= (
        select max(b.sequence) from promotion as b
        where b.campaign = p.campaign and b.action in ('promote', 'rollback')
            and not (b.action = 'promote' and coalesce(b.evidence ->> 'recalibrates' = b.replaces, false))
    )
) as line
where p.step = 'pending' and not exists (
    select from promotion as later
    where later.campaign = p.campaign and later.model_digest = p.model_digest and later.sequence > p.sequence
);
create view panels.shadow as
select date_trunc('hour', received_at, 'UTC') as since, received_at, campaign, left(model_digest, 12) as model_version,
    coalesce(cardinality(scores), 0) as predictions, scores is null as skipped, scored_at
from shadow_prediction;
create view panels.outcomes_waiting as
select campaign, status, received_at from outcome as w
where request_id is null and not exists (select from outcome as next where next.follows = w.id);
"""

# As propensity/cron.py reads a schedule, and propensity/flow_health.py says how a flow stands; tests compare them.
FLOWS = """
create function panels.cron_numbers(field text, low integer, high integer, names text[] default '{}') returns integer[]
language sql immutable parallel safe as $$
    select array_agg(distinct n) from (
        select regexp_match(part, '^([*]|[0-9a-z]+)(?:-([0-9a-z]+))?(?:/([0-9]{1,3}))?$') as m
        from unnest(string_to_array(lower(field), ',')) as p (part)
    ) as parts
    cross join lateral (
        select case when m[1] = '*' then low when m[1] ~ '^[0-9]+$' then m[1]::integer else low + array_position(names, m[1]) - 1 end
            as first,
            case when m[2] ~ '^[0-9]+$' then m[2]::integer when m[2] is not null then low + array_position(names, m[2]) - 1 end as last,
            m[3]::integer as step
    ) as asked
    cross join lateral generate_series(
        first, coalesce(last, case when m[1] = '*' or step is not null then high else first end), coalesce(step, 1)
    ) as n
$$;
create function panels.last_due(cron text, moment timestamptz) returns timestamptz
language plpgsql immutable parallel safe as $$
declare
    asked text[] := regexp_split_to_array(trim(cron), ' +');
    minutes integer[] := panels.cron_numbers(asked[1], 0, 59);
    hours integer[] := panels.cron_numbers(asked[2], 0, 23);
    dates integer[] := panels.cron_numbers(asked[3], 1, 31);
    months integer[] := panels.cron_numbers(asked[4], 1, 12, '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}');
    weekdays integer[] := panels.cron_numbers(asked[5], 0, 7, '{sun,mon,tue,wed,thu,fri,sat}');
    either boolean := left(asked[3], 1) <> '*' and left(asked[5], 1) <> '*';
    utc timestamp := moment at time zone 'UTC';
    day date := utc::date;
    by_date boolean;
    by_week boolean;
    found timestamp;
begin
    for back in 1 .. 366 * 8 + 2 loop
        by_date := extract(day from day)::integer = any (dates);
        -- Sunday is 0 and 7.
        by_week := array[extract(isodow from day)::integer, extract(isodow from day)::integer % 7] && weekdays;
        if extract(month from day)::integer = any (months) and (by_date and by_week or either and (by_date or by_week)) then
            select max(day + make_interval(hours => h, mins => m)) into found
            from unnest(hours) as h, unnest(minutes) as m where day + make_interval(hours => h, mins => m) <= utc;
            if found is not null then
                return found at time zone 'UTC';
            end if;
        end if;
        day := day - 1;
    end loop;
    return null;
end $$;
create view panels.flow_states as
select flow, campaign, cron, due as last_due, started_at, served, good_at, seconds, failed_at, error,
    case
        when flow = 'checker' then
            case when good_at >= now() - make_interval(secs => grace_s) then 'ok' else 'late' end
        when failed_at is not null and (good_at is null or good_at < failed_at) then 'failed'
        when due is null then 'waiting'
        when coalesce(served >= due, false) then 'ok'
        when now() > due + make_interval(secs => grace_s) then 'late'
        when started_at is not null and not ended then 'running'
        else 'due'
    end as state
from (
    select s.flow, s.campaign, s.cron, s.grace_s, case when d.due >= s.registered_at then d.due end as due, b.*
    from (
        select distinct on (flow, campaign) flow, campaign, cron, grace_s, registered_at
        from flow_schedule order by flow, campaign, id desc
    ) as s
    cross join lateral (select panels.last_due(s.cron, now()) as due) as d
    cross join lateral (
        select max(created_at) filter (where event = 'started') as started_at, max(due) filter (where event = 'succeeded') as served,
            max(created_at) filter (where event = 'succeeded') as good_at, max(seconds) filter (where event = 'succeeded') as seconds,
            max(created_at) filter (where event = 'failed') as failed_at, max(error) filter (where event = 'failed') as error,
            coalesce(bool_or(run_id = started) filter (where event <> 'started'), false) as ended
        from (
            select n.*, first_value(run_id) over (order by (n.event = 'started') desc) as started
            from unnest(array['started', 'succeeded', 'failed', 'superseded']) as e (event)
            cross join lateral (
                select h.event, h.run_id, h.due, h.created_at, (h.detail ->> 'seconds')::float8 as seconds, h.detail ->> 'error' as error
                from flow_heartbeat as h
                where h.flow = s.flow and h.campaign = s.campaign and h.event = e.event and h.due is not null
                order by h.id desc limit 1
            ) as n
        ) as newest
    ) as b
    where s.cron is not null
) as known;
create view panels.flow_runs as
select flow, campaign, event as ended, created_at, (detail ->> 'seconds')::float8 as seconds, detail ->> 'error' as error
from flow_heartbeat where event <> 'started';

-- Neither who acknowledged nor what he wrote.
create view panels.alerts as
select a.alert_id, a.campaign, a.kind, a.about, a.raised_at, e.acknowledged_at, e.over_at, e.told, e.not_told,
    (a.content #>> '{impact,amount}')::float8 as impact, a.content #>> '{impact,currency}' as currency,
    case
        when e.over_at is null then case when e.acknowledged_at is null then 'open' else 'acknowledged' end
        when e.resolved or a.kind = 'checker-down' then 'resolved'
        else 'replaced'
    end as state
from alert as a cross join lateral (
    select min(at) filter (where event = 'acknowledged') as acknowledged_at,
        min(at) filter (where event in ('resolved', 'closed')) as over_at, coalesce(bool_or(event = 'resolved'), false) as resolved,
        count(*) filter (where event = 'sent') as told,
        -- Messages, not tries.
        count(*) filter (where event = 'failed' and not sent) as not_told
    from (
        select event, min(created_at) as at, bool_or(event = 'sent') over (partition by channel, occasion) as sent
        from alert_event where alert_id = a.alert_id group by event, channel, occasion
    ) as events
) as e;
"""

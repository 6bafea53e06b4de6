"""Alerts and what became of them; schedules, and how each run of a flow ended. Append-only, as everything here."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ALERTS = """
-- One row for each time that a condition began. The number counts them: of any number of runs that find it at once, one gets the row.
create table alert (
    alert_id text primary key check (alert_id ~ '^a-[0-9a-f]{12}$'),
    fingerprint text not null check (fingerprint ~ '^[0-9a-f]{64}$'),
    episode integer not null check (episode >= 1),
    campaign text not null,
    kind text not null,
    about text not null,
    verdict text not null,
    content jsonb not null,
    raised_at timestamptz not null default clock_timestamp(),
    unique (fingerprint, episode)
);
create index alert_by_time on alert (raised_at);
create index alert_by_scope on alert (campaign, kind, about, raised_at);
comment on column alert.about is 'what of the campaign: a flow; empty where it is the campaign as a whole';

create table alert_event (
    id bigint generated always as identity primary key,
    alert_id text not null references alert,
    event text not null check (event in ('raised', 'claimed', 'sent', 'failed', 'acknowledged', 'resolved', 'closed')),
    occasion text,
    channel text,
    attempt integer check (attempt >= 1),
    actor text not null default '',
    detail text not null default '',
    created_at timestamptz not null default clock_timestamp(),
    constraint what_was_sent_where check (
        (event in ('claimed', 'sent', 'failed')) = (occasion is not null and channel is not null and attempt is not null)
    )
);
create index alert_event_by_alert on alert_event (alert_id, id);
-- Whoever gets the row sends the message; nobody else does.
create unique index alert_claimed_once on alert_event (alert_id, channel, occasion, attempt) where event = 'claimed';
create unique index alert_answered_once on alert_event (alert_id, channel, occasion, attempt) where event in ('sent', 'failed');
create unique index alert_once on alert_event (alert_id, event) where event in ('raised', 'acknowledged');
create unique index alert_over_once on alert_event (alert_id) where event in ('resolved', 'closed');
comment on column alert_event.event is 'closed: over without a message, since another alert took its place';
comment on column alert_event.occasion is 'raised, reminder-1, reminder-2 ..., resolved';
"""

_FLOWS = """
-- The newest row of a flow and campaign holds; without a cron it is no longer scheduled.
create table flow_schedule (
    id bigint generated always as identity primary key,
    flow text not null,
    campaign text not null,
    cron text,
    grace_s integer not null check (grace_s >= 0),
    registered_at timestamptz not null default clock_timestamp()
);
create index flow_schedule_newest on flow_schedule (flow, campaign, id desc);
comment on column flow_schedule.campaign is '"platform" where the flow belongs to no campaign';

create table flow_heartbeat (
    id bigint generated always as identity primary key,
    run_id uuid not null,
    flow text not null,
    campaign text not null,
    event text not null check (event in ('started', 'succeeded', 'failed', 'superseded')),
    due timestamptz,
    detail jsonb not null default '{}',
    created_at timestamptz not null default clock_timestamp(),
    unique (run_id, event)
);
create index flow_heartbeat_newest on flow_heartbeat (flow, campaign, event, id desc);
comment on column flow_heartbeat.due is 'the due time that the run serves; null where it was asked for something else';
"""

_RIGHTS = """
revoke all on alert, alert_event, flow_schedule, flow_heartbeat from propensity_app;
grant select, insert on alert, alert_event, flow_schedule, flow_heartbeat to propensity_app;
grant usage on all sequences in schema public to propensity_app;
"""


def upgrade() -> None:
    """Create the tables. There is no way back: the tables hold what must not be lost."""
    for statements in (_ALERTS, _FLOWS, _RIGHTS):
        op.execute(statements)

"""The stores: prediction log, outcomes, promotions, monitor runs, finished periods; and the role that may only insert and select."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_PREDICTIONS = """
-- One packed row per request: five to seven times cheaper than a row per prediction, and one commit.
create table prediction_request (
    request_id uuid primary key,
    received_at timestamptz not null default now(),
    campaign text not null,
    model_digest text not null,
    model_version text not null,
    declaration_digest text not null,
    policy jsonb not null,
    answered integer not null,
    received integer not null,
    refused integer not null,
    source text not null,
    customer_ids text[] not null,
    row_numbers integer[] not null,
    scores float8[] not null,
    contact boolean[] not null,
    feature_count integer not null,
    features bytea not null,
    constraint one_of_each_per_prediction check (
        cardinality(customer_ids) = answered and cardinality(row_numbers) = answered
        and cardinality(scores) = answered and cardinality(contact) = answered
    )
);
create index prediction_request_by_time on prediction_request (campaign, received_at);
-- Packed already: compressing again costs time and wins little.
alter table prediction_request alter column features set storage external;
comment on column prediction_request.features is 'raw values row by row, packed as propensity/adapters/packing.py says';

create view prediction as
select r.request_id || '.' || p.position as prediction_id, r.request_id, p.position::integer as position, r.received_at, r.campaign,
    r.model_digest, r.model_version, p.row_number, p.customer_id, p.score, p.contact
from prediction_request as r
cross join lateral unnest(r.row_numbers, r.customer_ids, r.scores, r.contact) with ordinality
    as p (row_number, customer_id, score, contact, position);

create table idempotency_key (
    campaign text not null,
    key text not null,
    body_sha256 text not null,
    request_id uuid not null,
    reply bytea not null,
    created_at timestamptz not null default now(),
    primary key (campaign, key)
);
alter table idempotency_key alter column reply set storage external;
comment on column idempotency_key.reply is 'zlib';
"""

_OUTCOMES = """
create table outcome (
    id bigint generated always as identity primary key,
    campaign text not null,
    request_id uuid,
    position integer,
    prediction_id text,
    customer_id text,
    label boolean not null,
    status text not null check (status in ('recorded', 'duplicate', 'contradicting', 'unmatched')),
    observed_at timestamptz,
    received_at timestamptz not null default now(),
    source text not null,
    constraint matched_or_not check ((status = 'unmatched') = (request_id is null) and (request_id is null) = (position is null))
);
create unique index outcome_recorded_once on outcome (request_id, position) where status = 'recorded';
create index outcome_by_time on outcome (campaign, received_at);
"""

_PROMOTIONS = """
create table promotion (
    campaign text not null,
    sequence integer not null,
    action text not null check (action in ('promote', 'refuse', 'rollback')),
    model_digest text not null,
    model_version text not null,
    replaces text,
    reasons jsonb not null,
    evidence jsonb not null,
    actor text not null,
    created_at timestamptz not null default now(),
    primary key (campaign, sequence)
);
"""

_MONITORING = """
create table monitor_run (
    run_id text primary key,
    campaign text not null,
    kind text not null,
    since timestamptz not null,
    until timestamptz not null,
    model_digest text,
    snapshot_id text,
    rows bigint not null,
    reference_rows bigint not null,
    verdict text not null check (verdict in ('no_data', 'stable', 'warning', 'drift')),
    report_key text,
    created_at timestamptz not null default now()
);
create index monitor_run_by_time on monitor_run (campaign, created_at);

-- Numbers as they were computed: NaN and infinity are values of float8 and are stored as such.
create table monitor_metric (
    run_id text not null references monitor_run,
    position integer not null,
    column_name text,
    metric text not null,
    method text not null,
    value float8 not null,
    warn float8,
    alert float8,
    verdict text not null,
    primary key (run_id, position)
);
"""

_PERIODS = """
create table flow_period (
    flow text not null,
    campaign text not null,
    period text not null,
    result jsonb not null,
    finished_at timestamptz not null default now(),
    primary key (flow, campaign, period)
);
"""

_ROLE = """
do $$
begin
    -- On one machine and in tests the role exists; elsewhere an operator lets it log in with a password of his own.
    if not exists (select from pg_roles where rolname = 'propensity_app') then
        create role propensity_app nologin;
    end if;
exception when duplicate_object or unique_violation then
    null;  -- the migration of another database of this server made it in the same moment
end $$;
do $$ begin execute format('grant connect on database %I to propensity_app', current_database()); end $$;
grant usage on schema public to propensity_app;
grant select, insert on prediction_request, idempotency_key, outcome, promotion, monitor_run, monitor_metric, flow_period to propensity_app;
grant select on prediction, alembic_version to propensity_app;
grant usage on all sequences in schema public to propensity_app;
"""


def upgrade() -> None:
    """Create everything. There is no way back: the tables hold what must not be lost."""
    for statements in (_PREDICTIONS, _OUTCOMES, _PROMOTIONS, _MONITORING, _PERIODS, _ROLE):
        op.execute(statements)

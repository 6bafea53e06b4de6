"""The prediction log by month, with who asked; keys and replies by caller."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_LOG = """
drop view prediction;
alter table prediction_request rename to prediction_request_before;
alter index prediction_request_by_time rename to prediction_request_before_by_time;
alter table prediction_request_before rename constraint prediction_request_pkey to prediction_request_before_pkey;

-- One packed row per request, in one partition a month: an old month is dropped, never deleted from.
create table prediction_request (
    request_id uuid not null,
    received_at timestamptz not null default now(),
    campaign text not null,
    caller text not null,
    model_digest text not null,
    model_version text not null,
    declaration_digest text not null,
    policy jsonb not null,
    answered integer not null,
    received integer not null,
    refused integer not null,
    source text not null,
    customer_ids text[] not null,
    row_numbers integer[],
    scores float8[] not null,
    contact boolean[] not null,
    feature_count integer not null,
    features bytea not null,
    primary key (request_id, received_at),
    constraint one_of_each_per_prediction check (
        cardinality(customer_ids) = answered and cardinality(scores) = answered and cardinality(contact) = answered
        and (row_numbers is null or cardinality(row_numbers) = answered)
    )
) partition by range (received_at);
create index prediction_request_by_time on prediction_request (campaign, received_at);
-- Numbers do not become smaller by compression, which costs more than writing them.
alter table prediction_request
    alter column features set storage external, alter column scores set storage external, alter column contact set storage external,
    alter column customer_ids set storage external, alter column row_numbers set storage external;
comment on column prediction_request.features is 'raw values row by row, packed as propensity/adapters/packing.py says';
comment on column prediction_request.row_numbers is 'null: 1, 2, 3 ...';

-- Takes whatever no month takes, so that a forgotten partition loses nothing.
create table prediction_request_default partition of prediction_request default;
"""

_MAKE_PARTITIONS = """
create function make_prediction_partitions(first_month date, months integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    month date;
    name text;
    made integer := 0;
begin
    if months not between 1 and 24 or first_month not between now() - interval '20 years' and now() + interval '1 year' then
        raise exception 'partitions are made for 1 to 24 months, a year ahead at most';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('prediction partitions', 0));
    for step in 0 .. months - 1 loop
        month := date_trunc('month', first_month)::date + make_interval(months => step);
        name := 'prediction_request_' || to_char(month, 'YYYY_MM');
        continue when to_regclass('public.' || name) is not null;
        -- Nobody may add between the move and the attachment: Postgres would refuse the partition. The whole table, not the default alone:
        -- a row that already waits for the default would be refused there once it is attached.
        lock table public.prediction_request in share row exclusive mode;
        execute format('create table public.%I (like public.prediction_request including all)', name);
        -- What the default took meanwhile moves along: Postgres refuses a partition whose rows lie elsewhere.
        execute format(
            'with moved as (delete from public.prediction_request_default where received_at >= %1$L and received_at < %2$L returning *)
             insert into public.%3$I select * from moved',
            month || ' 00:00+00', (month + interval '1 month')::date || ' 00:00+00', name);
        execute format(
            'alter table public.prediction_request attach partition public.%I for values from (%L) to (%L)',
            name, month || ' 00:00+00', (month + interval '1 month')::date || ' 00:00+00');
        made := made + 1;
    end loop;
    return made;
end $$;
revoke all on function make_prediction_partitions(date, integer) from public;
grant execute on function make_prediction_partitions(date, integer) to propensity_app;
comment on function make_prediction_partitions is
    'makes what is missing of so many months, with the rights of its owner, for the role that may only insert';
"""

_MOVE = """
select make_prediction_partitions(min(received_at)::date, 24) from prediction_request_before having count(*) > 0;
select make_prediction_partitions(now()::date, 4);
insert into prediction_request (
    request_id, received_at, campaign, caller, model_digest, model_version, declaration_digest, policy, answered, received, refused,
    source, customer_ids, row_numbers, scores, contact, feature_count, features
) select request_id, received_at, campaign, '', model_digest, model_version, declaration_digest, policy, answered, received, refused,
    source, customer_ids, row_numbers, scores, contact, feature_count, features from prediction_request_before;
drop table prediction_request_before;
"""

_VIEW = """
create view prediction as
select r.request_id || '.' || p.position as prediction_id, r.request_id, p.position::integer as position, r.received_at, r.campaign,
    r.caller, r.model_digest, r.model_version, coalesce(p.row_number, p.position)::integer as row_number, p.customer_id, p.score, p.contact
from prediction_request as r
cross join lateral unnest(r.row_numbers, r.customer_ids, r.scores, r.contact) with ordinality
    as p (row_number, customer_id, score, contact, position);
"""

_KEYS = """
-- One caller's key never answers another's.
alter table idempotency_key add column caller text not null default '';
alter table idempotency_key alter column caller drop default;
alter table idempotency_key drop constraint idempotency_key_pkey;
alter table idempotency_key add primary key (campaign, caller, key);
comment on column idempotency_key.reply is 'zstd, or zlib in old rows';
"""

_GRANTS = """
grant select, insert on prediction_request to propensity_app;
grant select on prediction to propensity_app;
"""


def upgrade() -> None:
    """Move the log into partitions; every row stays."""
    for statements in (_LOG, _MAKE_PARTITIONS, _MOVE, _VIEW, _KEYS, _GRANTS):
        op.execute(statements)

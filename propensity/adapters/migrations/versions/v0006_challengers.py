"""Scores that challengers gave in shadow, comparisons on mature outcomes, and how a decision came about."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

# ``action`` stays what it was for a program that knows nothing of steps: whatever waits has refused nothing, but is not live either.
_STEPS = """
alter table promotion add column step text not null default ''
    check (step in ('', 'pending', 'trial', 'approved', 'rejected', 'operator', 'proven', 'automatic'));
comment on column promotion.step is
    'how it came about: pending, trial, rejected (action refuse); approved, operator, proven (promote); automatic (rollback)';
"""

_SHADOW = """
-- One packed row per request and model, beside the log and in the same months: they are dropped together.
create table shadow_prediction (
    model_digest text not null,
    request_id uuid not null,
    received_at timestamptz not null,
    campaign text not null,
    scores float8[],
    skipped text,
    scored_at timestamptz not null default now(),
    primary key (model_digest, request_id, received_at),
    constraint scored_or_skipped check ((scores is null) = (skipped is not null))
) partition by range (received_at);
create index shadow_prediction_by_time on shadow_prediction (campaign, model_digest, received_at);
alter table shadow_prediction alter column scores set storage external;
comment on column shadow_prediction.received_at is 'that of the request in the log';
comment on column shadow_prediction.skipped is 'why the model could not score the request';
create table shadow_prediction_default partition of shadow_prediction default;

create view shadow_score as
select s.request_id || '.' || p.position as prediction_id, s.request_id, p.position::integer as position, s.received_at, s.campaign,
    s.model_digest, left(s.model_digest, 12) as model_version, p.score, s.scored_at
from shadow_prediction as s cross join lateral unnest(s.scores) with ordinality as p (score, position);
"""

_PARTITIONS = """
create function make_shadow_partitions(first_month date, months integer) returns integer
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    month date;
    name text;
    made integer := 0;
begin
    if months not between 1 and 24 or first_month not between now() - interval '20 years' and now() + interval '1 year' then
        raise exception 'partitions are made for 1 to 24 months, a year ahead at most';
    end if;
    perform pg_advisory_xact_lock(hashtextextended('shadow partitions', 0));
    for step in 0 .. months - 1 loop
        month := date_trunc('month', first_month)::date + make_interval(months => step);
        name := 'shadow_prediction_' || to_char(month, 'YYYY_MM');
        continue when to_regclass('public.' || name) is not null;
        lock table public.shadow_prediction in share row exclusive mode;
        execute format('create table public.%I (like public.shadow_prediction including all)', name);
        execute format(
            'with moved as (delete from public.shadow_prediction_default where received_at >= %1$L and received_at < %2$L returning *)
             insert into public.%3$I select * from moved',
            month || ' 00:00+00', (month + interval '1 month')::date || ' 00:00+00', name);
        execute format(
            'alter table public.shadow_prediction attach partition public.%I for values from (%L) to (%L)',
            name, month || ' 00:00+00', (month + interval '1 month')::date || ' 00:00+00');
        made := made + 1;
    end loop;
    return made;
end $$;
revoke all on function make_shadow_partitions(date, integer) from public;
grant execute on function make_shadow_partitions(date, integer) to propensity_app;
select make_shadow_partitions(now()::date, 4);
"""

_COMPARISONS = """
-- One look a day at two models. The first stands: whoever looks again on the same day may find more outcomes, and decides nothing by them.
create table model_comparison (
    id bigint generated always as identity primary key,
    campaign text not null,
    kind text not null check (kind in ('challenge', 'watch')),
    champion text not null,
    challenger text not null,
    ledger_sequence integer not null,
    since timestamptz not null,
    until timestamptz not null,
    predicted bigint not null,
    labelled bigint not null,
    verdict text not null check (verdict in ('better', 'worse', 'not_decided', 'too_little_data')),
    judged_by text not null,
    gain float8,
    low float8,
    high float8,
    rows_needed bigint,
    report jsonb not null,
    created_at timestamptz not null default now(),
    unique (campaign, kind, champion, challenger, ledger_sequence, until)
);
comment on column model_comparison.gain is 'of the challenger over the champion; above zero: the challenger is better';
"""

_RIGHTS = """
grant select, insert on shadow_prediction, model_comparison to propensity_app;
grant select on shadow_score to propensity_app;
grant usage on all sequences in schema public to propensity_app;
"""


def upgrade() -> None:
    """Add tables and one column. The release before goes on writing the ledger as it did."""
    for statements in (_STEPS, _SHADOW, _PARTITIONS, _COMPARISONS, _RIGHTS):
        op.execute(statements)

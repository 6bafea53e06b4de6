"""Outcomes: late, corrected and ambiguous ones, which of them counts, what waits for its prediction; and parts of files, each taken once.

Only adds: the release before writes what it always wrote, and a trigger completes it.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_COLUMNS = """
alter table outcome
    alter column label drop not null,
    add column predicted_at timestamptz,
    add column contacted_at timestamptz,
    add column correction boolean not null default false,
    add column counts boolean not null default false,
    add column follows bigint,
    drop constraint outcome_status_check,
    drop constraint matched_or_not,
    add constraint known_status check (
        status in ('recorded', 'duplicate', 'contradicting', 'late', 'corrected', 'withdrawn', 'unmatched', 'ambiguous')
    ),
    add constraint matched_or_waiting check (
        (status in ('unmatched', 'ambiguous')) = (request_id is null) and (request_id is null) = (position is null)
    ),
    add constraint labelled_or_withdrawn check (
        label is not null or status in ('duplicate', 'withdrawn', 'unmatched', 'ambiguous')
    ),
    add constraint only_what_changes_counts check (not counts or status in ('recorded', 'contradicting', 'corrected', 'withdrawn'));
comment on column outcome.label is 'null: withdraws what was told before';
comment on column outcome.predicted_at is 'when its prediction was made';
comment on column outcome.counts is 'of the rows of one prediction that count, the one with the highest id does';
comment on column outcome.follows is 'id of the unmatched or ambiguous row of this very outcome that this row takes the place of';
"""

# By the owner, who alone may: what was recorded before gets what is written with each outcome from now on.
_BEFORE = """
update outcome as o set counts = o.status = 'recorded', predicted_at = r.received_at
from prediction_request as r where r.request_id = o.request_id;
"""

_COMPLETE = """
create function complete_outcome() returns trigger language plpgsql as $$
begin
    new.counts := new.status = 'recorded';
    new.predicted_at := (select received_at from prediction_request where request_id = new.request_id);
    return new;
end $$;
comment on function complete_outcome is 'for the release that does not know these columns';
create trigger complete before insert on outcome for each row
    when (new.request_id is not null and new.predicted_at is null) execute function complete_outcome();
"""

_INDEXES = """
create index outcome_by_place on outcome (request_id, position) where request_id is not null and status <> 'duplicate';
create index outcome_by_cohort on outcome (campaign, predicted_at) where request_id is not null;
create index outcome_waiting on outcome (campaign, coalesce(prediction_id, customer_id)) where request_id is null;
create unique index outcome_followed_once on outcome (follows) where follows is not null;
"""

_BATCHES = """
create table outcome_batch (
    campaign text not null,
    sha256 text not null check (sha256 ~ '^[0-9a-f]{64}$'),
    number integer not null check (number >= 0),
    source text not null,
    counts jsonb not null,
    received_at timestamptz not null default now(),
    primary key (campaign, sha256, number)
);
comment on table outcome_batch is 'parts of files of outcomes, written with the outcomes themselves: each is taken once';
grant select, insert on outcome_batch to propensity_app;
"""


def upgrade() -> None:
    """Add; every row stays."""
    for statements in (_COLUMNS, _BEFORE, _COMPLETE, _INDEXES, _BATCHES):
        op.execute(statements)

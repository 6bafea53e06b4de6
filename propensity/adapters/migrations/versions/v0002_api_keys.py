"""API keys and their revocations. The application may read them and make none."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_KEYS = """
create table api_key (
    key_id text primary key check (key_id ~ '^[0-9a-f]{8}$'),
    name text not null check (name <> ''),
    role text not null check (role in ('marketing', 'operator', 'auditor')),
    secret_sha256 bytea not null unique check (octet_length(secret_sha256) = 32),
    rate_per_s float8 check (rate_per_s > 0 and rate_per_s <= 1e6),
    created_at timestamptz not null default now(),
    expires_at timestamptz,
    created_by text not null
);
comment on column api_key.name is 'the owner: the same for every key that replaces another';

-- Several may name one key, the earliest counts: a rotated key ends later, unless it is revoked before.
create table api_key_revocation (
    id bigint generated always as identity primary key,
    key_id text not null references api_key,
    revoked_at timestamptz not null default now(),
    reason text not null check (reason <> ''),
    revoked_by text not null,
    recorded_at timestamptz not null default now()
);
create index api_key_revocation_by_key on api_key_revocation (key_id, revoked_at);
"""

# The owner writes these, and an owner has every right: this stops his mistakes, and leaves a trace where he means it.
_APPEND_ONLY = """
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: revoke a key, or make another', tg_table_name using errcode = 'insufficient_privilege';
end $$;
create trigger append_only before update or delete or truncate on api_key for each statement execute function refuse_change();
create trigger append_only before update or delete or truncate on api_key_revocation for each statement execute function refuse_change();
"""

_RIGHTS = """
revoke all on api_key, api_key_revocation from propensity_app;
grant select on api_key, api_key_revocation to propensity_app;
"""


def upgrade() -> None:
    """Create the tables. There is no way back: without them nobody could call."""
    for statements in (_KEYS, _APPEND_ONLY, _RIGHTS):
        op.execute(statements)

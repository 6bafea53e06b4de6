"""Operators make and revoke keys through the service, which itself may not: Postgres asks for the secret of an operator's key each time.

Whoever has the service's role alone, by whatever accident, makes no key: the table holds hashes, and these functions take secrets.
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

_OPERATOR = """
create function operator_by(secret_key text) returns text
language plpgsql stable security definer set search_path = pg_catalog, public as $$
declare
    parts text[] := regexp_match(secret_key, '^prop_([0-9a-f]{8})_([A-Za-z0-9_-]{43})$');
    owner text;
begin
    select k.name into owner from api_key as k
    where k.key_id = parts[1] and k.role = 'operator' and k.secret_sha256 = sha256(convert_to(parts[2], 'UTF8'))
        and (k.expires_at is null or k.expires_at > now())
        and not exists (select 1 from api_key_revocation as r where r.key_id = k.key_id and r.revoked_at <= now());
    if owner is null then
        raise exception 'this takes the key of an operator' using errcode = 'insufficient_privilege';
    end if;
    return owner;
end $$;
"""

_MAKE = """
create function make_api_key(
    operator_key text, new_id text, new_name text, new_role text, new_sha256 bytea, new_rate float8, new_lifetime_s float8
) returns void
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    owner text := operator_by(operator_key);
begin
    insert into api_key (key_id, name, role, secret_sha256, rate_per_s, expires_at, created_by)
    values (new_id, new_name, new_role, new_sha256, new_rate, now() + new_lifetime_s * interval '1 second', owner);
end $$;
"""

_REVOKE = """
create function revoke_api_key(operator_key text, old_id text, why text) returns void
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    owner text := operator_by(operator_key);
begin
    insert into api_key_revocation (key_id, revoked_at, reason, revoked_by) values (old_id, now(), why, owner);
end $$;
"""

_RIGHTS = """
revoke all on function operator_by(text) from public;
revoke all on function make_api_key(text, text, text, text, bytea, float8, float8) from public;
revoke all on function revoke_api_key(text, text, text) from public;
grant execute on function make_api_key(text, text, text, text, bytea, float8, float8) to propensity_app;
grant execute on function revoke_api_key(text, text, text) to propensity_app;
"""


def upgrade() -> None:
    """Create the functions. The previous release does not know them and loses nothing."""
    for statements in (_OPERATOR, _MAKE, _REVOKE, _RIGHTS):
        op.execute(statements)

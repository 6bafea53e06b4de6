"""The contact gate: suppressions, contacts, what was excluded or held out of each request; and the erasure of one customer.

Only adds: the release before knows none of these tables and none of its own changes.
"""

from __future__ import annotations

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_SUPPRESSIONS = """
create table suppression (
    id bigint generated always as identity primary key,
    customer_key text not null check (customer_key <> ''),
    customer_id text,
    campaign text,
    action text not null check (action in ('add', 'lift')),
    reason text not null check (reason <> ''),
    note text,
    actor text not null,
    created_at timestamptz not null default now()
);
create index suppression_by_customer on suppression (customer_key, campaign, id desc);
comment on column suppression.customer_key is
    'what ids of one customer have in common (propensity/customer_key.py); once erased, its salted hash';
comment on column suppression.customer_id is 'as it was sent; null once erased';
comment on column suppression.campaign is 'null: every campaign. The newest row of a customer and a campaign is what holds';

-- Ids become visible in their order, so that whoever has seen the newest has seen all: a request is refused whose list is older than that.
create function suppression_in_turn() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock(hashtextextended('suppression', 0));
    return null;
end $$;
create trigger in_turn before insert on suppression for each statement execute function suppression_in_turn();

create table customer_salt (salt bytea not null);
create unique index customer_salt_is_one on customer_salt ((true));
insert into customer_salt select uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid());
comment on table customer_salt is 'of this installation, for the hashes that are left of erased customers';
"""

_CONTACTS = """
-- No uniqueness: two lists that are written at once would wait for each other. Whoever reads counts days of campaigns.
create table contact (
    customer_key text not null,
    campaign text not null,
    day date not null default (now() at time zone 'UTC')::date,
    request_id uuid not null,
    created_at timestamptz not null default now()
);
create index contact_by_customer on contact (customer_key, day);
create index contact_by_request on contact (request_id);
comment on table contact is 'whom a reply or a call sheet said to contact, of campaigns of an installation that limits contacts';
"""

_GATE = """
create table prediction_gate (
    request_id uuid not null,
    received_at timestamptz not null,
    campaign text not null,
    stage text not null check (stage in ('answer', 'export')),
    excluded integer[] not null,
    reasons text[] not null,
    holdout_key text,
    holdout_share float8,
    held_out integer[] not null,
    created_at timestamptz not null default now(),
    constraint one_reason_each check (cardinality(excluded) = cardinality(reasons)),
    constraint held_out_of_a_holdout check (holdout_key is not null or cardinality(held_out) = 0),
    constraint share_of_a_holdout check ((holdout_key is null) = (holdout_share is null))
);
create unique index prediction_gate_answer on prediction_gate (request_id) where stage = 'answer';
create index prediction_gate_by_request on prediction_gate (request_id);
create index prediction_gate_by_time on prediction_gate (campaign, received_at);
comment on table prediction_gate is
    'for requests of which somebody was excluded, or of a campaign with a holdout: positions in the request, from 1';
comment on column prediction_gate.held_out is 'those whom the policy would have contacted; the others of them have contact in the request';
"""

_ERASURES = """
create table erasure (
    erasure_id uuid not null,
    since timestamptz,
    until timestamptz,
    customer_hash bytea not null,
    requests integer not null,
    predictions integer not null,
    replies integer not null,
    outcomes integer not null,
    suppressions integer not null,
    contacts integer not null,
    actor text not null,
    reason text not null,
    created_at timestamptz not null default now()
);
create index erasure_by_id on erasure (erasure_id);
comment on table erasure is
    'receipts: what was erased of one customer, in which part of the log; written by the functions that erase, by nobody else';

-- Blanks the values of one row in features packed as propensity/adapters/packing.py says. A column that is stored once for all rows stays:
-- it says of this customer what it says of every other one of the request.
create function blank_packed_row(packed bytea, rows integer, columns integer, place integer) returns bytea
language plpgsql immutable strict set search_path = pg_catalog as $$
declare
    at integer := 1 + columns;
    width integer;
    code integer;
    blank bytea;
begin
    if get_byte(packed, 0) <> 1 then
        raise exception 'features are packed in a way that this function does not know';
    end if;
    for number in 1 .. columns loop
        code := get_byte(packed, number);
        if code = ascii('c') then
            at := at + 8;
            continue;
        end if;
        -- Not a number where the type has that, else zero.
        case code
            when ascii('b') then width := 1; blank := '\\x00';
            when ascii('h') then width := 2; blank := '\\x0000';
            when ascii('f') then width := 4; blank := '\\x0000c07f';
            when ascii('d') then width := 8; blank := '\\x000000000000f87f';
            else raise exception 'features are packed in a way that this function does not know';
        end case;
        packed := overlay(packed placing blank from 1 + at + (place - 1) * width for width);
        at := at + rows * width;
    end loop;
    return packed;
end $$;

-- What the application may not do itself: change what is logged. It leaves a row that the application cannot remove.
create function erase_logged(erasure uuid, wanted text, begins timestamptz, ends timestamptz, by text, because text) returns integer
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    found_request record;
    place integer;
    blanked bytea;
    seen uuid[] := '{}';
    predicted integer := 0;
    answered_before integer := 0;
    token text := 'erased-' || erasure;
begin
    if wanted is null or wanted = '' or wanted like 'erased-%' then
        raise exception 'a customer id is wanted';
    end if;
    for found_request in
        select request_id, received_at, customer_ids, answered, feature_count, features from public.prediction_request
        where received_at >= begins and received_at < ends and customer_ids @> array[wanted] for update
    loop
        blanked := found_request.features;
        foreach place in array array_positions(found_request.customer_ids, wanted) loop
            blanked := public.blank_packed_row(blanked, found_request.answered, found_request.feature_count, place);
            predicted := predicted + 1;
        end loop;
        update public.prediction_request set customer_ids = array_replace(customer_ids, wanted, token), features = blanked
        where request_id = found_request.request_id and received_at = found_request.received_at;
        seen := seen || found_request.request_id;
    end loop;
    if cardinality(seen) > 0 then
        -- A stored reply names its customers; that of a list is empty (9 bytes once packed).
        update public.idempotency_key set reply = '' where request_id = any(seen) and octet_length(reply) > 16;
        get diagnostics answered_before = row_count;
        insert into public.erasure (erasure_id, since, until, customer_hash, requests, predictions, replies, outcomes, suppressions,
            contacts, actor, reason)
        select erasure, begins, ends, sha256(salt || convert_to(wanted, 'UTF8')), cardinality(seen), predicted, answered_before, 0, 0, 0,
            by, because from public.customer_salt;
    end if;
    return predicted;
end $$;

create function erase_elsewhere(erasure uuid, wanted text, key text, by text, because text) returns void
language plpgsql security definer set search_path = pg_catalog, public as $$
declare
    token text := 'erased-' || erasure;
    told integer;
    listed integer;
    contacted integer;
    hashed text;
begin
    if wanted is null or wanted = '' or wanted like 'erased-%' or key is null or key = '' then
        raise exception 'a customer id is wanted';
    end if;
    update public.outcome set customer_id = token where customer_id = wanted;
    get diagnostics told = row_count;
    update public.contact set customer_key = token where customer_key = key;
    get diagnostics contacted = row_count;
    select 'sha256:' || encode(sha256(salt || convert_to(key, 'UTF8')), 'hex') into hashed from public.customer_salt;
    -- The objection outlives the id: its hash is enough to know the customer again.
    update public.suppression set customer_id = null, note = null, customer_key = hashed where customer_key = key;
    get diagnostics listed = row_count;
    insert into public.erasure (erasure_id, customer_hash, requests, predictions, replies, outcomes, suppressions, contacts, actor, reason)
    select erasure, sha256(salt || convert_to(wanted, 'UTF8')), 0, 0, 0, told, listed, contacted, by, because from public.customer_salt;
end $$;
revoke all on function blank_packed_row(bytea, integer, integer, integer) from public;
revoke all on function erase_logged(uuid, text, timestamptz, timestamptz, text, text) from public;
revoke all on function erase_elsewhere(uuid, text, text, text, text) from public;
"""

_RIGHTS = """
grant select, insert on suppression, contact, prediction_gate to propensity_app;
grant select on erasure, customer_salt to propensity_app;
grant usage on sequence suppression_id_seq to propensity_app;
grant execute on function erase_logged(uuid, text, timestamptz, timestamptz, text, text) to propensity_app;
grant execute on function erase_elsewhere(uuid, text, text, text, text) to propensity_app;
"""


def upgrade() -> None:
    """Add; nothing that is there changes."""
    for statements in (_SUPPRESSIONS, _CONTACTS, _GATE, _ERASURES, _RIGHTS):
        op.execute(statements)

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import psycopg
import pytest

from local.postgres import EmbeddedPostgres
from local.postgres_urls import DatabaseUrls
from propensity.access import NewKey, Role, new_key
from propensity.adapters.api_keys import PostgresApiKeyStore, open_key_store
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.errors import DatabaseUnavailable, DataError, Forbidden, NotFound
from propensity.ports import ApiKeyStore


@pytest.fixture(scope="module")
def owner(database: DatabaseUrls) -> Iterator[ApiKeyStore]:
    """The store as the one who makes keys has it."""
    migrate(database.owner_url)
    store, connections = open_key_store(database.owner_url)
    yield store
    connections.close()


@pytest.fixture
def service(stores: Database) -> PostgresApiKeyStore:
    """The store as the scoring service has it."""
    return PostgresApiKeyStore(stores)


def made(owner: ApiKeyStore, name: str = "crm", **more: float) -> NewKey:
    _, new = new_key(name, Role.MARKETING, by="ana", **more)
    owner.add(new)
    return new


def test_the_service_reads_what_the_owner_stored(owner: ApiKeyStore, service: PostgresApiKeyStore) -> None:
    new = made(owner, rate_per_s=2.5, lifetime_days=90)
    told = service.known()
    (found,) = (key for key in told.keys if key.key_id == new.key_id)
    assert (found.name, found.role, found.secret_sha256, found.rate_per_s) == ("crm", Role.MARKETING, new.secret_sha256, 2.5)
    assert found.created_by == "ana"
    assert found.expires_at == found.created_at + timedelta(days=90)
    assert found.revoked_at is None
    assert found.created_at <= told.as_of
    assert found.accepted(told.as_of)


def test_without_any_key_the_time_is_told_all_the_same(postgres: EmbeddedPostgres) -> None:
    urls = postgres.create_database("no_keys")
    migrate(urls.owner_url)
    store, connections = open_key_store(urls.owner_url)
    told = store.known()
    connections.close()
    postgres.drop_database("no_keys")
    assert told.keys == ()
    assert told.as_of.tzinfo is not None


def test_the_earliest_revocation_counts(owner: ApiKeyStore, service: PostgresApiKeyStore) -> None:
    old = made(owner)
    text, successor = new_key("crm", Role.MARKETING, by="ana")
    stored = owner.rotate(old.key_id, successor, overlap_s=3600)
    assert stored.holds(text[14:])
    assert not stored.holds("A" * 43)
    told = service.known()
    known = {key.key_id: key for key in told.keys}
    assert known[old.key_id].accepted(told.as_of)
    assert not known[old.key_id].accepted(told.as_of + timedelta(hours=1))
    assert known[old.key_id].reason == f"replaced by {successor.key_id}"
    assert known[successor.key_id].ends_at is None
    ended = owner.revoke(old.key_id, reason="leaked", by="ben")
    assert ended.reason == "leaked"
    told = service.known()
    assert not {key.key_id: key for key in told.keys}[old.key_id].accepted(told.as_of)


def test_rotating_without_an_overlap_ends_the_old_key(owner: ApiKeyStore, service: PostgresApiKeyStore) -> None:
    old = made(owner)
    owner.rotate(old.key_id, new_key("crm", Role.MARKETING, by="ana")[1], overlap_s=0)
    told = service.known()
    assert not {key.key_id: key for key in told.keys}[old.key_id].accepted(told.as_of)


def test_a_key_is_rotated_once_however_many_try(owner: ApiKeyStore, database: DatabaseUrls, service: PostgresApiKeyStore) -> None:
    old = made(owner)
    connections = Database(database.owner_url, pool_size=6, timeout_s=10.0)
    store = PostgresApiKeyStore(connections)

    def rotate(_: int) -> bool:
        try:
            store.rotate(old.key_id, new_key("raced", Role.MARKETING, by="ana")[1], overlap_s=60)
        except DataError:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        assert sum(threads.map(rotate, range(6))) == 1
    connections.close()
    assert sum(key.name == "raced" for key in service.known().keys) == 1


def test_what_has_ended_or_is_not_there_cannot_be_rotated(owner: ApiKeyStore, service: PostgresApiKeyStore) -> None:
    gone = made(owner)
    owner.revoke(gone.key_id, reason="lost", by="ana")
    expired = made(owner, lifetime_days=1e-9)
    before = len(service.known().keys)
    for key_id, error in ((gone.key_id, DataError), (expired.key_id, DataError), ("00000000", NotFound)):
        with pytest.raises(error):
            owner.rotate(key_id, new_key("crm", Role.MARKETING, by="ana")[1], overlap_s=60)
    with pytest.raises(NotFound):
        owner.revoke("00000000", reason="lost", by="ana")
    assert len(service.known().keys) == before


def test_the_service_cannot_make_or_change_a_key(owner: ApiKeyStore, service: PostgresApiKeyStore, database: DatabaseUrls) -> None:
    known = made(owner)
    _, mine = new_key("intruder", Role.OPERATOR, by="the service")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.add(mine)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.revoke(known.key_id, reason="none", by="the service")
    with psycopg.connect(database.app_url, autocommit=True) as app:
        for table in ("api_key", "api_key_revocation"):
            for what in (
                f"insert into {table} (key_id) values ('00000000')",
                f"update {table} set key_id = '00000000'",
                f"delete from {table}",
                f"truncate {table} cascade",
                f"drop table {table}",
                f"alter table {table} disable trigger all",
            ):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    app.execute(what)
    assert mine.key_id not in {key.key_id for key in service.known().keys}


def test_even_the_owner_only_appends(owner: ApiKeyStore, database: DatabaseUrls) -> None:
    known = made(owner)
    owner.revoke(known.key_id, reason="lost", by="ana")
    with psycopg.connect(database.owner_url, autocommit=True) as connection:
        for what in ("update api_key set role = 'operator'", "delete from api_key_revocation", "truncate api_key_revocation"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="append-only"):
                connection.execute(what)


@pytest.mark.parametrize(
    "column", ["role = 'root'", "name = ''", "rate_per_s = 0", "rate_per_s = 'NaN'", "secret_sha256 = 'short'", "key_id = 'XYZ'"]
)
def test_the_table_takes_nothing_unsound(database: DatabaseUrls, owner: ApiKeyStore, column: str) -> None:
    name, _, value = column.partition(" = ")
    row = {
        "key_id": "'12345678'",
        "name": "'x'",
        "role": "'auditor'",
        "secret_sha256": "decode(repeat('ab', 32), 'hex')",
        "created_by": "'x'",
    }
    row[name] = value
    with psycopg.connect(database.owner_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
        connection.execute(f"insert into api_key ({', '.join(row)}) values ({', '.join(row.values())})")


def test_no_table_yet_is_an_outage() -> None:
    store, connections = open_key_store("postgresql://nobody@127.0.0.1:1/propensity")
    with pytest.raises(DatabaseUnavailable):
        store.known()
    connections.close()


def test_an_operator_makes_and_revokes_through_the_service_with_his_own_key(owner: ApiKeyStore, service: PostgresApiKeyStore) -> None:
    mine, operator = new_key("olga", Role.OPERATOR, by="ana")
    owner.add(operator)
    _, wanted = new_key("crm", Role.MARKETING, by="whoever", lifetime_days=1)
    made_key = service.add_by(mine, wanted)
    assert (made_key.created_by, made_key.role) == ("olga", Role.MARKETING)
    assert made_key.expires_at == made_key.created_at + timedelta(days=1)
    revoked = service.revoke_by(mine, wanted.key_id, reason="lost")
    assert revoked.reason == "lost"
    assert not revoked.accepted(service.known().as_of)
    with pytest.raises(NotFound):
        service.revoke_by(mine, "00000000", reason="lost")


def test_no_other_key_and_no_hash_makes_one(owner: ApiKeyStore, service: PostgresApiKeyStore) -> None:
    good, operator = new_key("olga", Role.OPERATOR, by="ana")
    gone, ended = new_key("oleg", Role.OPERATOR, by="ana")
    low, marketing = new_key("mark", Role.MARKETING, by="ana")
    for new in (operator, ended, marketing):
        owner.add(new)
    owner.revoke(ended.key_id, reason="left", by="ana")
    before = len(service.known().keys)
    hashed = f"prop_{operator.key_id}_{operator.secret_sha256.hex()[:43]}"
    for text in (gone, low, hashed, good[:-1] + ("A" if good[-1] != "A" else "B"), f"prop_{operator.key_id}_{low[14:]}", "", "x"):
        with pytest.raises(Forbidden):
            service.add_by(text, new_key("intruder", Role.OPERATOR, by="x")[1])
        with pytest.raises(Forbidden):
            service.revoke_by(text, operator.key_id, reason="none")
    assert len(service.known().keys) == before

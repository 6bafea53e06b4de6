"""S13: what the service's own role may do in Postgres: add and read, nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
from psycopg import errors as pg

from faults.crashes import bodies_of
from faults.promise import Result, Scale
from faults.world import PREDICTIONS, Service, World

LOG = ("prediction_request", "idempotency_key")
_CHILDREN = "select inhrelid::regclass::text from pg_inherits where inhparent = any(%s::regclass[])"
_COLUMN = """
select attname from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''
order by attnum limit 1"""


def _forbidden(table: str, column: str) -> Iterator[tuple[str, str]]:
    yield "UPDATE", f"update {table} set {column} = {column}"
    yield "UPDATE of no row", f"update {table} set {column} = {column} where false"
    yield "DELETE", f"delete from {table}"
    yield "DELETE of no row", f"delete from {table} where false"
    yield "TRUNCATE", f"truncate {table} cascade"
    yield "DROP", f"drop table {table} cascade"
    yield "ALTER", f"alter table {table} add column mine integer"
    yield "DISABLE TRIGGER", f"alter table {table} disable trigger all"
    yield "CREATE RULE", f"create rule mine as on insert to {table} do instead nothing"
    yield "CREATE TRIGGER", f"create trigger mine before insert on {table} execute function suppress_redundant_updates_trigger()"
    yield "LOCK", f"lock table {table} in access exclusive mode"


def s13(world: World, scale: Scale) -> Result:  # noqa: ARG001
    """Every statement that changes or removes what was logged, on every table of the log and every partition of it."""
    with world.service() as service:
        client = service.client()
        added = client.call("POST", PREDICTIONS, bodies_of(world, 3)[0], {"Content-Type": "application/json", "Idempotency-Key": "s13"})
        client.close()
        before = service.logged_requests()
        tables, allowed, refused = _try_all(service)
        roles = _become_another(service)
        after = service.logged_requests()
    return Result(
        added.status == 200 and before == after == 1 and not allowed and roles == 0 and set(LOG) <= set(tables),
        f"{refused} of {refused + len(allowed)} statements refused by Postgres on {len(tables)} tables{': allowed ' if allowed else ''}"
        f"{', '.join(allowed)}; INSERT and SELECT work; {roles} ways to become another role",
        f"UPDATE, DELETE, TRUNCATE, DROP, ALTER, rules, triggers and locks with the service's own password on {', '.join(tables)}",
    )


def _try_all(service: Service) -> tuple[list[str], list[str], int]:
    """Tables of the log, what was allowed on them, and how much was refused. Every statement is undone."""
    allowed: list[str] = []
    refused = 0
    with psycopg.connect(service.urls.app_url) as connection:
        partitions = [str(row[0]) for row in connection.execute(_CHILDREN, (list(LOG),)).fetchall()]
        tables = [*LOG, *partitions]
        for table in tables:
            row = connection.execute(_COLUMN, (table,)).fetchone()
            assert row is not None, "a table has a column"
            for name, statement in _forbidden(table, str(row[0])):
                try:
                    with connection.transaction(force_rollback=True):
                        connection.execute(statement)
                    allowed.append(f"{name} on {table}")
                except pg.InsufficientPrivilege:
                    refused += 1
    return tables, allowed, refused


def _become_another(service: Service) -> int:
    """How many other roles the application's role can take on."""
    taken = 0
    with psycopg.connect(service.urls.app_url) as connection:
        names = [str(row[0]) for row in connection.execute("select rolname from pg_roles where rolname <> current_user").fetchall()]
        for name in names:
            try:
                with connection.transaction(force_rollback=True):
                    connection.execute(f'set role "{name}"')
                taken += 1
            except (pg.InsufficientPrivilege, pg.InvalidParameterValue):
                continue
    return taken

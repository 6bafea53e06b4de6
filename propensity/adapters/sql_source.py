"""Rows of a Postgres table or query, read only and through a cursor on the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import psycopg
from psycopg import sql

from propensity.campaign import Campaign, MonthsInOrder
from propensity.errors import DatabaseUnavailable, DataError, SourceMissing
from propensity.raw import RawData
from propensity.typed_columns import refuse_repeated, typed

CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 600
FETCH_ROWS = 20_000
_IDENTIFIER = re.compile(r"[^\x00-\x1f\x7f]{1,63}")
FORM = "postgresql://user@host/database?table=schema.name&order_by=column, or ?query=SELECT... (the password from PGPASSWORD or ~/.pgpass)"


@dataclass(frozen=True)
class SqlSpec:
    """Where to read: a connection address without our own parameters, and a table or a query."""

    dsn: str
    name: str
    statement: sql.Composed


def parse_spec(spec: str, campaign: Campaign) -> SqlSpec:
    """Take an address of the form `FORM` apart.

    Raises DataError where it names neither or both of table and query, or where the campaign's rows must be in an order that is not named.
    """
    parts = urlsplit(spec)
    own: dict[str, str] = {}
    rest = []
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key in ("table", "query", "order_by"):
            own[key] = value
        else:
            rest.append((key, value))
    if ("table" in own) == ("query" in own):
        raise DataError(f"a database source names one table or one query: {FORM}")
    if "query" in own and "order_by" in own:
        raise DataError("a query says its order itself: leave out order_by")
    if "table" in own and "order_by" not in own and isinstance(campaign.calendar, MonthsInOrder):
        raise DataError(f"campaign {campaign.name!r} tells the year from the order of the rows, and a table has none: add &order_by=column")
    statement = _query(own["query"]) if "query" in own else _select(own["table"], own.get("order_by"))
    name = own.get("table", "query")
    return SqlSpec(urlunsplit(parts._replace(query=urlencode(rest, quote_via=quote))), f"{parts.path.strip('/')}/{name}", statement)


def _query(text: str) -> sql.Composed:
    # The operator's own statement, run with the operator's own rights in a read-only transaction.
    return sql.Composed([sql.SQL(text)])


def _select(table: str, order_by: str | None) -> sql.Composed:
    names = table.split(".")
    if len(names) > 2 or not all(_IDENTIFIER.fullmatch(name) for name in [*names, *([order_by] if order_by is not None else [])]):
        raise DataError("a table is named as name or schema.name, and order_by names one column")
    statement = sql.SQL("SELECT * FROM {}").format(sql.Identifier(*names))
    return statement if order_by is None else statement + sql.SQL(" ORDER BY {}").format(sql.Identifier(order_by))


def read_sql(spec: str, campaign: Campaign) -> RawData:
    """Every row of the table or query.

    Raises
    ------
    DataError
        The address or the query is wrong, or the role may not read.
    SourceMissing
        There is no such table.
    DatabaseUnavailable
        Postgres does not answer, or not in time.
    """
    parsed = parse_spec(spec, campaign)
    try:
        header, rows = _fetch(parsed)
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName, psycopg.errors.InvalidCatalogName) as exc:
        raise SourceMissing(f"the database has no table {parsed.name!r}") from exc
    except psycopg.errors.InsufficientPrivilege as exc:
        raise DataError(f"the role may not read {parsed.name!r}: grant it SELECT") from exc
    except psycopg.errors.ReadOnlySqlTransaction as exc:
        raise DataError("a query source may read only") from exc
    except psycopg.OperationalError as exc:
        raise DatabaseUnavailable(f"Postgres did not answer for {parsed.name!r}: check host, role and password, then try again") from exc
    except psycopg.Error as exc:
        raise DataError(
            f"Postgres refused to read {parsed.name!r} (SQLSTATE {exc.sqlstate or 'none'}): check the address, order_by and the query"
        ) from exc
    refuse_repeated(header, parsed.name, campaign)
    if not rows:
        raise DataError(f"{parsed.name!r} holds no rows")
    columns, text = typed(dict(zip(header, map(list, zip(*rows, strict=True)), strict=True)), campaign)
    return RawData(columns, text, len(rows), {"kind": "sql", "name": parsed.name})


def _fetch(parsed: SqlSpec) -> tuple[list[str], list[tuple[object, ...]]]:
    options = f"-c default_transaction_read_only=on -c statement_timeout={STATEMENT_TIMEOUT_S * 1000}"
    with psycopg.connect(parsed.dsn, connect_timeout=CONNECT_TIMEOUT_S, options=options) as connection:
        connection.read_only = True
        with connection.cursor(name="propensity_source") as cursor:
            cursor.itersize = FETCH_ROWS
            cursor.execute(parsed.statement)
            header = [column.name for column in cursor.description or ()]
            return header, list(cursor)

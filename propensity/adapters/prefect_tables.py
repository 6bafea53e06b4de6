"""Removes old rows from the tables of Prefect's server, which have no other end: each run writes dozens of events and log lines.

In transactions of some thousand rows, oldest first, so that the server goes on meanwhile; bounded in time, and the next night goes on.
"""

from __future__ import annotations

import time
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import psycopg

from propensity.adapters.database import conninfo, translated

BATCH_ROWS = 5_000
STATEMENT_S = 60.0
LIMIT_S = 1_200.0
# Resources go before their events: nothing ties them together, and one without its event would never be found again.
TABLES = (("event_resources", "occurred", "events"), ("events", "occurred", "events"), ("log", "timestamp", "logs"))
# Skips what the server itself is removing just now.
_REMOVE = """
delete from {table} where id in (
    select id from {table} where {column} < now() - make_interval(days => %s) order by {column} limit %s for update skip locked
)"""


def remove_old(
    url: str, *, events_days: int, logs_days: int, password: str | None = None, batch_rows: int = BATCH_ROWS, limit_s: float = LIMIT_S
) -> tuple[dict[str, int], bool]:
    """Remove events and logs older than that; how many rows of each table, and whether time ran out before all were gone.

    ``password``: where ``url`` has none.

    Raises DatabaseUnavailable; what was removed until then stays removed.
    """
    until = time.monotonic() + limit_s
    days = {"events": events_days, "logs": logs_days}
    removed = {table: 0 for table, _, _ in TABLES}
    told = ({} if password is None else {"password": password}) | conninfo(for_libpq(url), STATEMENT_S)
    with translated(), psycopg.connect(**told, autocommit=True) as connection:
        for table, column, kind in TABLES:
            statement = _REMOVE.format(table=table, column=column)
            while True:
                if time.monotonic() > until:
                    return removed, True
                rows = connection.execute(statement, (days[kind], batch_rows)).rowcount
                removed[table] += rows
                if rows < batch_rows:
                    break
    return removed, False


def for_libpq(url: str) -> str:
    """SQLAlchemy's address of a Postgres, as Prefect takes it, for libpq."""
    parts = urlsplit(url)
    scheme = parts.scheme.partition("+")[0]
    # asyncpg calls it "ssl".
    query = [("sslmode" if name == "ssl" else name, value) for name, value in parse_qsl(parts.query)]
    return urlunsplit((scheme, parts.netloc, parts.path, urlencode(query), ""))

"""Infrastructure, as far as Postgres can tell it: the service's processes and the database. Machines and balancers are CloudWatch's."""

from __future__ import annotations

from propensity.panels.definition import Board, Bounds, Kind, Panel, Unit

_PROCESS = "left(process::text, 8)"
MEMORY = Panel(
    key="memory",
    title="Memory of the service",
    says="Resident memory of each process, the most within an interval.",
    kind=Kind.LINES,
    unit=Unit.BYTES,
    sql=f"""
select $__timeGroup(since, '$interval') as time, {_PROCESS} as metric, max(resident_bytes)::float8 as value
from panels.processes where $__timeFilter(since) group by 1, 2 order by 1, 2""",
)
PROCESSOR = Panel(
    key="processor",
    title="Processor time of the service",
    says="Share of one core that each process used, over the minutes in which it ran: 2 is two whole cores.",
    kind=Kind.LINES,
    unit=Unit.NUMBER,
    sql=f"""
select $__timeGroup(since, '$interval') as time, {_PROCESS} as metric, sum(cpu_seconds) / (60 * count(*)) as value
from panels.processes where $__timeFilter(since) group by 1, 2 order by 1, 2""",
)
WAITING = Panel(
    key="waiting",
    title="Requests that wait for a thread",
    says="At the end of each minute, the most within an interval. More than a few for long means that another process is needed.",
    kind=Kind.LINES,
    unit=Unit.COUNT,
    bounds=Bounds(10, 100),
    sql=f"""
select $__timeGroup(since, '$interval') as time, {_PROCESS} as metric, max(waiting)::float8 as value
from panels.processes where $__timeFilter(since) group by 1, 2 order by 1, 2""",
)
DATABASE = Panel(
    key="database",
    title="Database",
    says="Size of all tables and indexes now, whatever the span.",
    kind=Kind.STAT,
    unit=Unit.BYTES,
    width=6,
    sql="""
select 'now' as metric, bytes::float8 as value from panels.postgres""",
)
CONNECTIONS = Panel(
    key="connections",
    title="Connections",
    says="Share of the connections that Postgres allows which this database has open now.",
    kind=Kind.GAUGE,
    unit=Unit.SHARE,
    width=6,
    bounds=Bounds(0.7, 0.9),
    sql="""
select 'now' as metric, connections::float8 / connections_at_most as value from panels.postgres""",
)
WITHOUT_MONTH = Panel(
    key="without-month",
    title="Requests outside every month",
    says="Requests in the log's default partition. Above 0, a month's partition was missing when they came; none is lost.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    width=6,
    bounds=Bounds(1, 1),
    sql="""
select 'now' as metric, requests_without_month::float8 as value from panels.postgres""",
)
COUNTED = Panel(
    key="counted",
    title="Counted ahead",
    says="Hours of the log that panels still count themselves. Above a few, no process of the service counts ahead, and panels are slow.",
    kind=Kind.STAT,
    unit=Unit.HOURS,
    width=6,
    bounds=Bounds(3, 24),
    sql="""
select 'hours ago' as metric, extract(epoch from now() - counted_until)::float8 / 3600 as value
from panels.postgres where counted_until is not null""",
)
TABLES = Panel(
    key="tables",
    title="Largest tables",
    says="With their indexes and what lies beside them; a partition of the log is a table.",
    kind=Kind.RANKED,
    unit=Unit.BYTES,
    sql="""
select name as metric, bytes::float8 as value from panels.storage order by bytes desc, name limit 12""",
)

BOARD = Board(
    "infrastructure",
    "Infrastructure",
    "The service's processes and the database. Machines, balancer and disks are watched in CloudWatch.",
    (DATABASE, CONNECTIONS, WITHOUT_MONTH, COUNTED, MEMORY, PROCESSOR, WAITING, TABLES),
)

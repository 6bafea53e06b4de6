"""Traffic and latency, from what the processes of the scoring service write of themselves every minute."""

from __future__ import annotations

from propensity.panels.definition import Board, Bounds, Kind, Panel, Unit

# Upper bounds of the column slower_than, in seconds; the last bin has none.
DURATIONS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_COUNTS = "array[" + ", ".join(f"sum(slower_than[{n}])" for n in range(1, len(DURATIONS) + 2)) + "]::bigint[]"
_BOUNDS = "array[" + ", ".join(f"{bound:g}" for bound in DURATIONS) + ", null]::float8[]"

REQUESTS = Panel(
    key="requests",
    title="Requests",
    says="Requests answered in the span, by what was asked for. Health checks are among the operations.",
    kind=Kind.STAT,
    unit=Unit.COUNT,
    width=14,
    sql="""
select kind as metric, sum(requests)::float8 as value from panels.requests where $__timeFilter(since) group by 1 order by 2 desc, 1""",
)
FAILED = Panel(
    key="failed",
    title="Failed on our side",
    says="Share of the requests answered with a status of 500 or above; 503 while Postgres is away is among them.",
    kind=Kind.GAUGE,
    unit=Unit.SHARE,
    width=10,
    bounds=Bounds(0.001, 0.01),
    sql="""
select 'of all requests' as metric, coalesce(sum(requests) filter (where status = 5), 0)::float8 / sum(requests) as value
from panels.requests where $__timeFilter(since) having sum(requests) > 0""",
)
BY_KIND = Panel(
    key="by-kind",
    title="Requests over time",
    says="Requests answered in each interval, by what was asked for.",
    kind=Kind.BARS,
    unit=Unit.COUNT,
    sql="""
select $__timeGroup(since, '$interval') as time, kind as metric, sum(requests)::float8 as value
from panels.requests where $__timeFilter(since) group by 1, 2 order by 1, 2""",
)
LATENCY = Panel(
    key="latency",
    title="How long predictions took",
    says="From reading a request's header to its reply, log included: half, 95 % and 99 % of the requests were quicker. "
    "Read from counts by duration, so exact to the bin.",
    kind=Kind.LINES,
    unit=Unit.SECONDS,
    sql=f"""
with counted as (
    select $__timeGroup(since, '$interval') as time, {_COUNTS} as counts
    from panels.requests where kind = 'predictions' and $__timeFilter(since) group by 1
)
select time, metric, panels.quantile(share, counts, {_BOUNDS}) as value
from counted cross join (values ('50 %', 0.5), ('95 %', 0.95), ('99 %', 0.99)) as asked (metric, share) order by 1, share""",
)
REFUSED = Panel(
    key="refused",
    title="Refused and failed requests",
    says="Share of the requests answered with 4xx (the caller's mistake) and with 5xx (ours), in each interval.",
    kind=Kind.LINES,
    unit=Unit.SHARE,
    sql="""
with counted as (
    select $__timeGroup(since, '$interval') as time, sum(requests) as requests,
        coalesce(sum(requests) filter (where status = 4), 0) as refused, coalesce(sum(requests) filter (where status = 5), 0) as failed
    from panels.requests where $__timeFilter(since) group by 1
)
select time, metric, (case metric when '4xx' then refused else failed end / requests)::float8 as value
from counted cross join (values ('4xx'), ('5xx')) as told (metric) where requests > 0 order by 1, 2""",
)
COMMITS = Panel(
    key="commits",
    title="How long the log took to commit",
    says="Mean over the commits of an interval. A reply is sent after its commit, so every prediction waits for it.",
    kind=Kind.LINES,
    unit=Unit.SECONDS,
    sql="""
select $__timeGroup(since, '$interval') as time, 'mean' as metric, sum(commit_seconds) / sum(commits) as value
from panels.processes where $__timeFilter(since) group by 1 having sum(commits) > 0 order by 1""",
)

BOARD = Board(
    "traffic",
    "Traffic and latency",
    "What is asked of the scoring service, and how quickly it answers.",
    (REQUESTS, FAILED, BY_KIND, LATENCY, REFUSED, COMMITS),
)

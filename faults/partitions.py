"""R30: the partition of the month is missing."""

from __future__ import annotations

from collections import Counter

import psycopg

from faults.crashes import bodies_of, lost
from faults.load import Load
from faults.promise import Result, Scale
from faults.world import Service, World
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.errors import PropensityError

_PARTITIONS = """
select c.oid::regclass::text from pg_inherits as i join pg_class as c on c.oid = i.inhrelid
where i.inhparent in (select partrelid from pg_partitioned_table)
and pg_get_expr(c.relpartbound, c.oid) <> 'DEFAULT' order by 1"""
_IN_DEFAULT = """
select count(*) from prediction_request where tableoid in (
    select c.oid from pg_inherits as i join pg_class as c on c.oid = i.inhrelid where pg_get_expr(c.relpartbound, c.oid) = 'DEFAULT')"""


def _make(service: Service) -> tuple[int, str]:
    """How many partitions were made, and why not."""
    try:
        return PostgresPredictionLog(service.database).make_partitions(), ""
    except PropensityError as exc:
        return 0, f" (making them failed: {exc})"


def r30(world: World, scale: Scale) -> Result:
    """Every partition but the default is dropped; later the missing ones are made, under load."""
    with world.service() as service:
        with psycopg.connect(service.urls.owner_url, autocommit=True) as owner:
            dropped = [str(row[0]) for row in owner.execute(_PARTITIONS).fetchall()]
            for name in dropped:
                owner.execute(f"drop table {name}")
        with Load(service, bodies_of(world, 3), callers=8) as load:
            load.more(scale.of(full=2_000, short=100))
            with psycopg.connect(service.urls.app_url) as app:
                row = app.execute(_IN_DEFAULT).fetchone()
            caught = int(row[0]) if row else 0
            made, why = _make(service)
            load.more(scale.of(full=2_000, short=100))
            answers = load.stop()
        missing, partial, surplus = lost(service, answers)
        with psycopg.connect(service.urls.app_url) as app:
            row = app.execute(_IN_DEFAULT).fetchone()
        left = int(row[0]) if row else -1
    statuses = Counter(answer.status for answer in answers)
    return Result(
        bool(dropped) and caught > 0 and made > 0 and left == 0 and missing == partial == surplus == 0 and set(statuses) <= {200, 503},
        f"{missing} missing, {partial} partial, {surplus} logged twice of {statuses[200]:,} acknowledged; statuses "
        f"{dict(statuses)}; the default partition caught {caught:,}, {left} of them left when {made} partitions were made{why}",
        f"{len(dropped)} partitions dropped before the load; those of this month and the next made again under 8 callers",
    )

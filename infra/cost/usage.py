"""How much the platform is used in a month: what no template says, stated with every estimate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

from propensity.errors import SettingsInvalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """A month of a bank with some campaigns. Totals are shared evenly by the resources that take part.

    Attributes
    ----------
    requests : float
        Requests to the REST API.
    rows : float
        Customers scored, by requests and by lists together.
    lists : float
        Lists uploaded.
    request_ms : float
        How long a function works on a request.
    job_hours : float
        Hours of tasks that neither a service nor a schedule starts: lists, migrations, what people and alerts ask for.
    run_minutes, training_minutes : float
        How long a task takes that a schedule starts, its image fetched and its Python started; one that trains a model takes longer.
        How many there are follows from the schedules in the templates.
    spark_hours : float
        Hours of the large-list application, each with 4 vCPU and 16 GB.
    database_hours : float
        Hours in which people and programs keep a database awake that pauses. What the clock starts wakes it on top of that.
    pause_minutes : float
        How long such a database waits for another caller before it pauses.
    database_units : float
        Aurora capacity units that it takes on average while awake.
    row_bytes : float
        Bytes that a scored row takes in the prediction log, indexes included.
    months_kept : float
        Months of predictions that the database holds.
    store_gb, image_gb : float
        In object storage, and in the image registry.
    log_gb : float
        Logs written.
    nat_gb, out_gb : float
        Through the NAT, and out to the internet.
    balancer_units : float
        Capacity units that a load balancer uses on average.
    """

    requests: float = 200_000
    rows: float = 5_000_000
    lists: float = 200
    request_ms: float = 250
    job_hours: float = 20
    run_minutes: float = 2
    training_minutes: float = 20
    spark_hours: float = 0
    database_hours: float = 120
    pause_minutes: float = 5
    database_units: float = 1
    row_bytes: float = 500
    months_kept: float = 12
    store_gb: float = 50
    image_gb: float = 10
    log_gb: float = 5
    nat_gb: float = 20
    out_gb: float = 5
    balancer_units: float = 0.1

    @property
    def database_gb(self) -> float:
        """What the prediction log has grown to."""
        return self.rows * self.row_bytes * self.months_kept / 1e9


def changed(usage: Usage, given: Sequence[str]) -> Usage:
    """The usage with ``name=number`` put in. Raises SettingsInvalid, naming what is allowed."""
    known = {field.name for field in fields(Usage)}
    changes: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        if name not in known:
            raise SettingsInvalid(f"usage {name!r} is not known: give NAME=NUMBER, where NAME is one of {', '.join(sorted(known))}")
        changes[name] = _number(name, number)
    return replace(usage, **changes)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf"):
        raise SettingsInvalid(f"usage {name} must be a number of at least 0, as in {name}=1000")
    return number


def as_dict(usage: Usage) -> Mapping[str, float]:
    """Names and numbers, for the report."""
    return {field.name: getattr(usage, field.name) for field in fields(usage)}

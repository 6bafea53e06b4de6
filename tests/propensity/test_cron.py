"""When a flow is due. Another implementation, which comes with Prefect, is the judge."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cronsim import CronSim

from propensity.cron import parse_cron
from propensity.errors import DataError
from propensity.schedules import platform_schedules, schedules

LINES = [
    *dict.fromkeys(one.cron for one in [*schedules(), *platform_schedules()]),
    "*/15 * * * *",
    "0 0 29 2 *",
    "5,35 8-18/2 * jan-mar mon-fri",
    "0 12 13 * fri",
    "0 0 * * 0",
    "0 0 * * 7",
    "59 23 31 12 *",
]


@pytest.mark.parametrize("line", LINES)
def test_due_times_are_those_of_cron(line: str) -> None:
    start = datetime(2023, 12, 30, 23, 59, tzinfo=UTC)
    cron, known = parse_cron(line), CronSim(line, start)
    moment = start
    for _ in range(3 if line.startswith("0 0 29 2") else 30):
        expected = next(known)
        found = cron.next(moment)
        assert found == expected
        assert cron.previous(expected) == cron.previous(expected + timedelta(seconds=30)) == expected
        moment = expected


@pytest.mark.parametrize(
    "line", ["", "* * * *", "60 * * * *", "* * 0 * *", "* * * 13 *", "*/0 * * * *", "a * * * *", "5-1 * * * *", "* * * * mo"]
)
def test_what_cannot_be_read_is_refused(line: str) -> None:
    with pytest.raises(DataError):
        parse_cron(line)


def test_a_day_that_never_comes() -> None:
    assert parse_cron("0 0 30 2 *").next(datetime(2026, 1, 1, tzinfo=UTC)) is None

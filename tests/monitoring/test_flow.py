"""Which days the daily flow looks at."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitoring import flow
from propensity.campaigns import campaign

NAME = "term-deposit"
FOUND = {"verdict": "no_data", "rows": 0}


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, tuple[datetime, datetime]]:
    """The windows that were asked for."""
    found: dict[str, tuple[datetime, datetime]] = {}

    def asks(what: str) -> Callable[[str, datetime, datetime], dict[str, Any]]:
        def ask(_: str, since: datetime, until: datetime) -> dict[str, Any]:
            found[what] = (since, until)
            return FOUND

        return ask

    monkeypatch.setattr(flow, "compare_window", asks("drift"))
    monkeypatch.setattr(flow, "measure_window", asks("performance"))
    monkeypatch.setattr(flow, "make_partitions", lambda: 0)
    return found


def test_performance_looks_back_to_cohorts_that_are_mature(asked: dict[str, tuple[datetime, datetime]]) -> None:
    flow.monitor.fn(NAME)
    (since, until), (mature_since, mature_until) = asked["drift"], asked["performance"]
    edge = campaign(NAME).label.rules.mature_until(datetime.now(UTC))
    assert until - since == timedelta(days=7)
    assert edge - mature_since == timedelta(days=7)
    assert mature_until == until


def test_a_window_that_is_named_is_taken_as_it_is(asked: dict[str, tuple[datetime, datetime]]) -> None:
    window = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC))
    flow.monitor.fn(NAME, *window)
    assert asked == {"drift": window, "performance": window}

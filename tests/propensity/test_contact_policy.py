from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from propensity.contact_policy import EXCLUSIONS, SUPPRESSED, ContactHours, ContactPolicy
from propensity.errors import CampaignError
from tests.builders import tiny_campaign

LISBON = ContactHours(time_zone="Europe/Lisbon", begins="09:00", until="20:00", closed=("2026-12-25",))


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("now", "begins", "until", "is_open"),
    [
        ("2026-03-02T08:59:59", "2026-03-02T09:00:00+00:00", "2026-03-02T20:00:00+00:00", False),
        ("2026-03-02T09:00:00", "2026-03-02T09:00:00+00:00", "2026-03-02T20:00:00+00:00", True),
        ("2026-03-02T19:59:59", "2026-03-02T09:00:00+00:00", "2026-03-02T20:00:00+00:00", True),
        ("2026-03-02T20:00:00", "2026-03-03T09:00:00+00:00", "2026-03-03T20:00:00+00:00", False),
        # A Saturday; and in summer the clock there is an hour ahead.
        ("2026-03-07T12:00:00", "2026-03-09T09:00:00+00:00", "2026-03-09T20:00:00+00:00", False),
        ("2026-07-01T08:30:00", "2026-07-01T09:00:00+01:00", "2026-07-01T20:00:00+01:00", True),
        ("2026-07-01T19:30:00", "2026-07-02T09:00:00+01:00", "2026-07-02T20:00:00+01:00", False),
        # Christmas is a Friday.
        ("2026-12-25T12:00:00", "2026-12-28T09:00:00+00:00", "2026-12-28T20:00:00+00:00", False),
    ],
)
def test_the_window_that_is_open_or_the_next(now: str, begins: str, until: str, is_open: bool) -> None:
    window = LISBON.window(at(now))
    assert window is not None
    assert (window.begins.isoformat(), window.until.isoformat()) == (begins, until)
    assert LISBON.is_open(at(now)) is is_open


def test_every_moment_of_a_year_is_inside_or_before_its_window() -> None:
    hours = ContactHours(time_zone="America/New_York", begins="08:00", until="21:00", weekdays=("sat", "sun"))
    zone = ZoneInfo("America/New_York")
    for step in range(0, 366 * 24 * 4, 7):
        now = at("2026-01-01T00:00:00") + timedelta(minutes=15 * step)
        local = now.astimezone(zone)
        inside = local.weekday() >= 5 and 8 <= local.hour < 21
        assert hours.is_open(now) is inside
        window = hours.window(now)
        assert window is not None
        assert window.until.astimezone(UTC) > now


def test_where_no_day_is_open_there_is_no_window() -> None:
    closed = tuple((datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)).date().isoformat() for day in range(800))
    assert ContactHours(time_zone="UTC", closed=closed).window(at("2026-01-01T00:00:00")) is None


@pytest.mark.parametrize(
    ("hours", "says"),
    [
        ({"time_zone": "Europe/Nowhere"}, "time zone"),
        ({"time_zone": "../etc/passwd"}, "time zone"),
        ({"begins": "9"}, "HH:MM"),
        ({"begins": "25:00"}, "HH:MM"),
        ({"begins": "20:00", "until": "09:00"}, "before they end"),
        ({"weekdays": ("monday",)}, "weekdays"),
        ({"weekdays": ()}, "weekdays"),
        ({"closed": ("24.12.2026",)}, "closed days"),
    ],
)
def test_hours_that_are_none_are_refused(hours: dict[str, object], says: str) -> None:
    declared = ContactHours(**{"time_zone": "UTC", **hours})  # type: ignore[arg-type]
    with pytest.raises(CampaignError, match=says):
        tiny_campaign(contact_policy=ContactPolicy(hours=declared))


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        (ContactPolicy(cooling_off_days=-1), "cooling_off_days"),
        (ContactPolicy(most_contacts=0), "most_contacts"),
        (ContactPolicy(most_contacts=1, within_days=0), "within_days"),
    ],
)
def test_limits_that_are_none_are_refused(policy: ContactPolicy, says: str) -> None:
    with pytest.raises(CampaignError, match=says):
        tiny_campaign(contact_policy=policy)


def test_what_counts_contacts() -> None:
    assert not ContactPolicy(hours=LISBON).counts
    assert ContactPolicy(cooling_off_days=1).longest_days == 1
    assert ContactPolicy(cooling_off_days=5, most_contacts=1, within_days=90).longest_days == 90
    assert len(set(EXCLUSIONS)) == len(EXCLUSIONS) > len(SUPPRESSED)
    assert tiny_campaign(contact_policy=ContactPolicy(cooling_off_days=1)).digest() != tiny_campaign().digest()

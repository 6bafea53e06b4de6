"""Charts and words: what is drawn stands for the numbers, whatever they are."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.pages.charts import SIDE, TICKS, bars, lines, series_of, share_bar
from api.pages.words import judged, moment, told
from propensity.panels.definition import Bounds, Unit

DAY = 86_400.0
values = st.floats(-1e12, 1e12, allow_nan=False).filter(lambda v: v == 0 or abs(v) > 1e-9)
rows = st.lists(st.tuples(st.sampled_from([0.0, DAY, 2 * DAY, 3 * DAY]), st.sampled_from("abcdefgh"), values), min_size=1)


@given(rows, st.sampled_from([Unit.COUNT, Unit.SHARE, Unit.NUMBER, Unit.MONEY, Unit.BYTES]))
def test_every_line_lies_within_its_square(found: list[tuple[float, str, float]], unit: Unit) -> None:
    if unit in (Unit.COUNT, Unit.BYTES):
        found = [(at, name, abs(round(value))) for at, name, value in found]
    chart = lines(series_of(found), unit, 0.0, 3 * DAY, Bounds(1, 2))
    numbers = [float(n) for path in re.findall(r'class="(?:line|dot) \w+" d="([^"]+)"', chart.plot) for n in re.findall(r"-?[\d.]+", path)]
    assert all(-0.5 <= n <= SIDE + 0.5 for n in numbers)
    assert len(chart.heights) == TICKS + 1
    assert len(chart.series) == len({name for _, name, _ in found})


@given(st.lists(st.tuples(st.sampled_from([0.0, DAY, 2 * DAY]), st.sampled_from("abc"), st.integers(0, 10**9)), min_size=1))
def test_bars_are_as_high_as_their_values_together(found: list[tuple[float, str, int]]) -> None:
    series = series_of([(at, name, float(value)) for at, name, value in found])
    chart = bars(series, Unit.COUNT, 0.0, 3 * DAY, DAY)
    rects = re.findall(r'<rect class="fill s\d" x="([\d.-]+)" y="([\d.-]+)" width="[\d.-]+" height="([\d.-]+)"', chart.plot)
    top = float(chart.heights[0].replace(",", ""))
    for at in {at for one in series for at in one.values}:
        column = [float(height) for x, _, height in rects if abs(float(x) - SIDE * (at / (3 * DAY) + 0.1 / 3)) < 1]
        together = sum(one.values.get(at, 0.0) for one in series)
        assert sum(column) == pytest.approx(SIDE * together / top, abs=0.2 * len(series) + 0.1)


def test_what_is_no_number_is_not_drawn_and_a_name_cannot_break_out() -> None:
    series = series_of([(0.0, "a", float("nan")), (0.0, "<b>", 1.0), (DAY, "<b>", float("inf"))])
    assert [(one.name, one.values) for one in series] == [("<b>", {0.0: 1.0})]
    assert "<b>" not in lines(series, Unit.NUMBER, 0.0, DAY, None).plot
    assert "&lt;b&gt;" in lines(series, Unit.NUMBER, 0.0, DAY, None).plot
    assert 'width="1000.0"' in share_bar(7.0)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [
        (None, Unit.COUNT, "-"),
        (1234567, Unit.COUNT, "1,234,567"),
        (0.1234, Unit.SHARE, "12.3 %"),
        (0.0, Unit.SHARE, "0 %"),
        (0.0032, Unit.SECONDS, "3.2 ms"),
        (2.5, Unit.SECONDS, "2.5 s"),
        (3 * 2**20, Unit.BYTES, "3 MiB"),
        (12, Unit.BYTES, "12 bytes"),
        (-5240.5, Unit.MONEY, "−5,240.50"),
        (0.70231, Unit.NUMBER, "0.702"),
        (-0.00012, Unit.NUMBER, "−0.00012"),
        (float("inf"), Unit.NUMBER, "inf"),
        (25.04, Unit.HOURS, "25.0 h"),
        ("no_data", Unit.VERDICT, "no data"),
        ("no_data", Unit.TEXT, "no_data"),
        (datetime(2026, 3, 1, 9, 5, tzinfo=UTC), Unit.TIME, "1 Mar 2026, 09:05"),
    ],
)
def test_a_value_in_words(value: object, unit: Unit, words: str) -> None:
    assert told(value, unit) == words


def test_times_on_an_axis_are_as_exact_as_it() -> None:
    at = datetime(2026, 3, 1, 9, 5, tzinfo=UTC)
    assert [moment(at, days * DAY) for days in (1, 30, 365)] == ["1 Mar, 09:05", "1 Mar", "Mar 2026"]


def test_bounds_are_told_with_their_side() -> None:
    assert judged(0.3, Bounds(0.1, 0.5), Unit.SHARE) == ("warn", "worth a look from 10 %")
    assert judged(0.4, Bounds(0.6, 0.5, low_is_bad=True), Unit.NUMBER) == ("alert", "bad below 0.5")
    assert judged(0.9, Bounds(0.6, 0.5, low_is_bad=True), Unit.NUMBER)[0] == "good"
    assert judged(float("nan"), Bounds(0.1, 0.5), Unit.SHARE) == ("", "")

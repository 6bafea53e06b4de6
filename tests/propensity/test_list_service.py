from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from propensity.errors import Malformed
from propensity.list_service import MIB, MOST_PARTS, NewList, parse_new_list, part_sizes


@given(st.integers(1, 100 * 1024 * MIB))
def test_parts_make_up_the_list_and_are_such_as_s3_takes(size: int) -> None:
    sizes = part_sizes(size)
    assert sum(sizes) == size
    assert 1 <= len(sizes) <= MOST_PARTS
    assert len(set(sizes[:-1])) <= 1
    assert all(5 * MIB <= part <= 5 * 1024 * MIB for part in sizes[:-1])
    assert sizes[-1] > 0


@given(st.binary(max_size=200))
def test_whatever_is_posted_is_a_list_or_malformed(body: bytes) -> None:
    try:
        wanted = parse_new_list(body)
    except Malformed:
        return
    assert wanted.format in ("csv", "parquet")


def test_nothing_means_a_csv_file() -> None:
    assert parse_new_list(b" ") == NewList("csv", None, False)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from propensity.adapters.packing import pack, unpack
from propensity.errors import DataError

AWKWARD = [0.0, -0.0, 0.1, 4.857, 1e-320, 1.5, 127.0, 128.0, -32769.0, 2.0**53 + 2, 1e300, float("nan"), float("inf"), -float("inf")]


def bits(matrix: np.ndarray) -> bytes:
    return np.ascontiguousarray(matrix, dtype="<f8").tobytes()


@given(st.data(), st.sampled_from([0, 1, 2, 31, 32, 33, 100]), st.integers(0, 4))
def test_every_bit_comes_back(data: st.DataObject, rows: int, columns: int) -> None:
    values = st.one_of(st.sampled_from(AWKWARD), st.floats(), st.integers(-40_000, 40_000).map(float))
    matrix = data.draw(arrays(np.float64, (rows, columns), elements=values))
    assert bits(unpack(pack(matrix), rows, columns)) == bits(matrix)


def test_a_nan_keeps_its_payload() -> None:
    payload = np.array([[0x7FF8_0000_0000_0123]] * 40, dtype="<u8")
    payload[3] = 0xFFF8_0000_0000_0001
    matrix = payload.view("<f8")
    assert bits(unpack(pack(matrix), 40, 1)) == bits(matrix)


def test_categories_and_constants_are_narrow() -> None:
    codes = np.tile(np.arange(50.0), 20)
    constants = np.full(1_000, 4.857)
    assert len(pack(np.column_stack([codes, constants]))) < 1_100


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b"\x63" + b[1:], lambda _: b""])
def test_damaged_bytes_are_refused(damage: object) -> None:
    packed = pack(np.random.default_rng(0).random((50, 3)))
    with pytest.raises(DataError):
        unpack(damage(packed), 50, 3)  # type: ignore[operator]

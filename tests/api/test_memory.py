"""The C library takes its orders; what that does to a process under load is measured by the benchmark."""

from __future__ import annotations

import ctypes
import sys

import pytest

from api.memory import keep_small


@pytest.mark.skipif(sys.platform != "linux", reason="only the GNU C library knows these")
def test_the_c_library_accepts_the_limits() -> None:
    assert keep_small()


def test_another_c_library_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_small()

"""The C library takes its orders; what that does to a process under load is measured by the benchmark."""

from __future__ import annotations

import ctypes
import sys

import pytest

from api.memory import GiveBack, keep_small


@pytest.mark.skipif(sys.platform != "linux", reason="only the GNU C library knows these")
def test_the_c_library_accepts_the_limits() -> None:
    assert keep_small()


def test_another_c_library_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    assert not keep_small()


def test_memory_is_given_back_after_work_and_not_too_often() -> None:
    now = 0.0
    give_back = GiveBack(every_s=1.0, clock=lambda: now)
    now = 5.0
    assert not give_back.after(False)
    assert give_back.after(True)
    now = 5.9
    assert not give_back.after(True)
    now = 6.0
    assert give_back.after(False)
    now = 60.0
    assert not give_back.after(False)

"""Memory that is given back: lists of megabytes come and go in several threads, and the C library keeps what each thread has freed."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable

# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
ARENAS = 2
LARGE_BYTES = 4 * 2**20


def keep_small() -> bool:
    """Let threads share arenas, and give large pieces back to the system at once. False where the C library is another one."""
    mallopt = _of_the_c_library("mallopt")
    if mallopt is None:
        return False
    wanted = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, 2 * LARGE_BYTES))
    return all(mallopt(name, value) for name, value in wanted)


class GiveBack:
    """Gives freed memory back to the system, at most once in ``every_s`` seconds, and only after work.

    What lies freed between pieces in use stays resident otherwise: some tens of MiB after lists of 10,000 rows. One call takes 0.2 ms where
    there is nothing to give, some milliseconds after long lists.
    """

    def __init__(self, every_s: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s, self._clock = every_s, clock
        self._trim = _of_the_c_library("malloc_trim")
        self._worked = False
        self._last_s = clock()

    def after(self, working: bool) -> bool:
        """Called often, with whether requests are worked on; True where memory was given back just now."""
        self._worked = self._worked or working
        if not self._worked or self._clock() < self._last_s + self._every_s:
            return False
        self._worked, self._last_s = False, self._clock()
        if self._trim is not None:
            self._trim(0)
        return True


def _of_the_c_library(name: str) -> Callable[..., int] | None:
    """A function of the GNU C library; None where the C library is another one."""
    try:
        found: Callable[..., int] = getattr(ctypes.CDLL(None), name)
    except (OSError, AttributeError):
        return None
    return found

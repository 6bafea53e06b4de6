"""Memory that is given back: lists of megabytes come and go in several threads, and the C library keeps what each thread has freed."""

from __future__ import annotations

import ctypes

# From malloc.h of the GNU C library.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
ARENAS = 2
LARGE_BYTES = 4 * 2**20


def keep_small() -> bool:
    """Let threads share arenas, and give large pieces back to the system at once. False where the C library is another one."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    wanted = ((_M_ARENA_MAX, ARENAS), (_M_MMAP_THRESHOLD, LARGE_BYTES), (_M_TRIM_THRESHOLD, 2 * LARGE_BYTES))
    return all(mallopt(name, value) for name, value in wanted)

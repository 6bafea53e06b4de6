"""The first parse of a model package, in a process to throw away: ``main`` is all that process does.

It is given the encoded canary rows and the booster's bytes, and answers with the margins of those rows. What may be wrong with a
booster ends or stops this process alone. Nothing is pickled: a line of JSON with sizes, then bytes; back comes a line of JSON.

It holds no secret (its environment says where libraries lie, and nothing more), and before it reads a byte of the booster it gives up
the right to open files or sockets, to write, to grow and to run on for ever.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any, BinaryIO

# XGBoost imports these where they are installed, for data that are never handed to it here: they would more than double the start.
NEEDLESS = ("pandas", "sklearn")
_LARGEST_HEADER = 4096


def rule_out_needless() -> None:
    """Make XGBoost, imported later, do without what it only needs for other data than arrays. For whole processes, at their start."""
    for name in NEEDLESS:
        sys.modules.setdefault(name, None)  # type: ignore[arg-type]  # None is how an import is ruled out


def main() -> None:
    """Import, wait for one package, answer, end."""
    rule_out_needless()
    # What libraries print is no answer.
    answers, sys.stdout = sys.stdout.buffer, sys.stderr
    import propensity.booster  # noqa: F401  # before the order arrives, so that a child made ready answers at once

    line = sys.stdin.buffer.readline(_LARGEST_HEADER)
    if not line:
        return  # made ready and never needed
    header: dict[str, Any] = json.loads(line)
    _give_up(header)
    answer = _look(header, sys.stdin.buffer)
    answers.write(json.dumps(answer).encode())
    answers.flush()
    # Without the libraries' own farewells, which may stumble over what they hold.
    os._exit(0)


def _give_up(header: dict[str, Any]) -> None:
    """Set every limit: memory beyond what is in use, seconds of processor and of time, files, sockets, core dumps."""
    if sys.platform == "linux":  # elsewhere an address space cannot be limited
        in_use = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
        limit = in_use + int(header["memory_bytes"])
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        # Should memory run short all the same, this process goes, and not the service beside it.
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")
    cpu_s = int(header["cpu_s"])
    used_s = int(sum(os.times()[:2])) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (used_s + cpu_s, used_s + cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    # Descriptors 0 to 2 are open, and no more can be.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, 3))
    # Should nobody be left to end it.
    signal.alarm(int(header["deadline_s"]) + 1)


def _look(header: dict[str, Any], source: BinaryIO) -> dict[str, Any]:
    import numpy as np
    import xgboost as xgb

    from propensity.booster import check_trees, read_booster
    from propensity.errors import ModelDamaged

    rows, columns = int(header["rows"]), int(header["columns"])
    matrix = np.frombuffer(source.read(4 * rows * columns), dtype="<f4").reshape(rows, columns)
    try:
        booster = read_booster(source.read(int(header["model_bytes"])))
        # What XGBoost holds, not what was sent: it may read the same text in another way than we do.
        check_trees(bytes(booster.save_raw("json")), columns)
        margin = booster.inplace_predict(matrix, predict_type="margin")
    except ModelDamaged as exc:
        return {"refused": str(exc)}
    except (xgb.core.XGBoostError, ValueError, MemoryError) as exc:
        return {"refused": f"XGBoost does not take the booster of the model package ({type(exc).__name__})"}
    return {"margins": base64.b64encode(np.ascontiguousarray(margin, dtype="<f4").tobytes()).decode()}

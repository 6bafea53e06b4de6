"""The model alone, in a process of its own: ``python -m benchmarks.limit FOLDER MATRIX.npy`` answers one JSON line for each line asked.

``{"what": "predict", "rows": 1000, "seconds": 0.5}`` measures XGBoost's ``inplace_predict`` on a ready float32 matrix, one thread;
``"contributions"`` measures exact TreeSHAP. The answer is microseconds of processor time per row.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from benchmarks.servers import PROJECT


class Limit:
    """The other end: asks the process."""

    def __init__(self, model: Path, matrix: Path, log: Path) -> None:
        command = [sys.executable, "-m", "benchmarks.limit", str(model), str(matrix)]
        with log.open("wb") as file:
            self._process = subprocess.Popen(command, cwd=PROJECT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file)

    def us_per_row(self, what: str, rows: int, seconds: float) -> float:
        """Measure once. ``what``: predict or contributions."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"what": what, "rows": rows, "seconds": seconds}).encode() + b"\n")
        self._process.stdin.flush()
        return float(json.loads(self._process.stdout.readline()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: type[BaseException] | None, _value: BaseException | None, _trace: TracebackType | None) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def measure(call: Callable[[npt.NDArray[np.float32]], object], batches: list[npt.NDArray[np.float32]], seconds: float) -> float:
    """Microseconds of processor time per row, over as many batches as take ``seconds``, two at least."""
    call(batches[0])
    rows, started, cpu = 0, time.perf_counter(), time.process_time()
    while rows < 2 * len(batches[0]) or time.perf_counter() < started + seconds:
        for batch in batches[:2]:
            call(batch)
            rows += len(batch)
    return 1e6 * (time.process_time() - cpu) / rows


def main(model: Path, matrix: Path) -> None:
    """Serve standard input."""
    import xgboost as xgb

    booster = xgb.Booster({"nthread": 1})
    booster.load_model(model / "booster.json")
    whole: npt.NDArray[np.float32] = np.load(matrix)
    calls: dict[str, Callable[[npt.NDArray[np.float32]], object]] = {
        "predict": lambda batch: booster.inplace_predict(batch, predict_type="margin"),
        "contributions": lambda batch: booster.predict(xgb.DMatrix(batch, nthread=1), pred_contribs=True),
    }
    for line in sys.stdin:
        asked: dict[str, Any] = json.loads(line)
        n = asked["rows"]
        batches = [np.ascontiguousarray(whole[at : at + n]) for at in range(0, len(whole) - n + 1, n)]
        print(measure(calls[asked["what"]], batches, asked["seconds"]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))

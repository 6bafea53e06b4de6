"""One way to score a file, in a process of its own: ``python -m benchmarks.files_work JSON`` prints one JSON line.

What is timed is the work on the list, from opening its file to its results standing on disk; not the start of the interpreter, nor
loading the model, which take the same whatever the list's length.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.package import benchmark_campaign
from propensity.adapters.object_store import FolderStore
from propensity.model import Model, load_package

Told = dict[str, Any]
CORES = 2
READY_ROWS = 1_000_000


def load_model(told: Told) -> Model:
    """The model of the benchmark, with its engine ready."""
    model = load_package(FolderStore(told["models"]), benchmark_campaign(), told["digest"])
    _ = model.engine
    return model


def ready_matrix(told: Told, model: Model) -> npt.NDArray[np.float32]:
    """Encoded rows of the list, a million at most."""
    from propensity.lists.parquet_file import ParquetList

    source = ParquetList(model.campaign, Path(told["parquet"]), "list.parquet")
    parts, n = [], 0
    for chunk in source.chunks():
        parts.append(model.encode(chunk.check().table(model.campaign)))
        n += len(parts[-1])
        if n >= READY_ROWS:
            break
    return np.concatenate(parts)


def model_alone(told: Told, model: Model) -> Callable[[], int]:
    """XGBoost alone on rows that are ready, both cores: the faster of its own two threads and of two threads with one each."""
    matrix = ready_matrix(told, model)
    booster = model.booster
    rows = told["rows"]

    def own_threads() -> int:
        booster.set_param({"nthread": CORES})
        done = 0
        while done < rows:
            done += len(booster.inplace_predict(matrix[: rows - done], predict_type="margin"))
        return done

    return own_threads


def model_alone_threads(told: Told, model: Model) -> Callable[[], int]:
    """The same by two threads of ours, each with a part of 65,536 rows at a time."""
    matrix = ready_matrix(told, model)
    rows, size = told["rows"], 65_536
    starts = [at % len(matrix) // size * size for at in range(0, rows, size)]
    model.booster.set_param({"nthread": 1})

    def two_threads() -> int:
        lock, todo, done = threading.Lock(), iter(starts), [0] * CORES

        def work(me: int) -> None:
            while True:
                with lock:
                    at = next(todo, None)
                if at is None:
                    return
                done[me] += len(model.booster.inplace_predict(matrix[at : at + size], predict_type="margin"))

        threads = [threading.Thread(target=work, args=(me,)) for me in range(CORES)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done)

    return two_threads


def ours(told: Told, model: Model) -> Callable[[], int]:
    """A list through the platform: validated, scored, decided, ranked, and where asked logged and explained."""
    from propensity.adapters.database import Database
    from propensity.adapters.prediction_log import PostgresPredictionLog
    from propensity.lists import csv_file, parquet_file  # noqa: F401 (part of the start, not of the work)
    from propensity.lists.files import open_list
    from propensity.lists.run import score_file
    from propensity.lists.scorer import LogTo

    folder = Path(told["folder"])
    log = PostgresPredictionLog(Database(told["url"])) if told.get("url") else None

    def score() -> int:
        source = open_list(Path(told[told["format"]]), model.campaign, folder)
        to = None if log is None else LogTo(log, f"{told['run']}@{source.sha256}", "benchmark", source.sha256)
        found = score_file(
            source,
            model,
            home=folder,
            out=folder / told["out"],
            errors=folder / "errors.csv",
            log=to,
            top_reasons=told.get("reasons", 0),
        )
        assert found.refused == 0, "the benchmark's customers are sound"
        return found.scored

    return score


WAYS: dict[str, Callable[[Told, Model], Callable[[], int]]] = {
    "model": model_alone,
    "model-threads": model_alone_threads,
    "ours": ours,
}


def peak_rss_mib() -> float:
    """The most memory that this process held. (What ``getrusage`` says counts that of the process it was forked from.)"""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM:")).split()[1]) / 1024


def main(told: Told) -> None:
    """Do it once; print rows, seconds, processor time and the peak of memory."""
    work = WAYS[told["way"]](told, load_model(told))
    cpu, started = time.process_time(), time.perf_counter()
    rows = work()
    found = {
        "rows": rows,
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "peak_rss_mib": peak_rss_mib(),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

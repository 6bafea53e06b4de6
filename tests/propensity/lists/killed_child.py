"""Scores a list of the tiny campaign in small chunks, and kills itself at the point that it is told: see `test_killed`."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

from propensity.adapters.database import Database
from propensity.adapters.object_store import FolderStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.campaign import Policy
from propensity.lists import csv_block_rows, csv_file, parquet_file, results, scorer, spool
from propensity.lists.files import open_list
from propensity.lists.run import score_file
from propensity.lists.scorer import LogTo
from propensity.model import load_package
from tests.builders import tiny_campaign

POINTS: dict[str, tuple[Any, str]] = {
    "scored": (scorer.Scorer, "_answers"),
    "writing": (os, "replace"),
    "kept": (spool.Spool, "keep"),
    "logged": (scorer, "_append"),
    "marked": (spool.Spool, "mark_logged"),
    "part": (results._Part, "add"),
    "sorted": (results._Part, "in_order"),
}


SMALL: tuple[tuple[Any, str, int], ...] = (
    *((csv_file, "CHUNK_ROWS", 50), (csv_file, "_LEAST_BLOCK", 100), (csv_file, "_SAMPLE_BYTES", 400), (csv_block_rows, "_FEW_ROWS", 1)),
    *((parquet_file, "CHUNK_ROWS", 50), (results, "PART_ROWS", 50)),
)


def kill_after(owner: Any, name: str, nth: int, *, before: bool) -> None:
    """Kill this process when a function was called for the ``nth`` time: before it does its work, or after."""
    work: Callable[..., Any] = getattr(owner, name)
    calls = count(1)

    def call(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) == nth
        if last and before:
            os.kill(os.getpid(), signal.SIGKILL)
        found = work(*args, **kwargs)
        if last:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    setattr(owner, name, call)


def main(told: dict[str, Any]) -> None:
    for module, name, value in SMALL:
        setattr(module, name, value)
    if told["point"]:
        kill_after(*POINTS[told["point"]], told["nth"], before=told["before"])
    campaign = tiny_campaign(policy=Policy(told["policy"], told["value"]))
    model = replace(load_package(FolderStore(told["store"]), tiny_campaign(), told["digest"]), campaign=campaign)
    path, home, out = Path(told["path"]), Path(told["home"]), Path(told["out"])
    log = PostgresPredictionLog(Database(told["url"]))
    source = open_list(path, campaign, home)
    to = LogTo(log, f"{told['policy']}@{source.sha256}", "test", source.sha256)
    print(score_file(source, model, home=home, out=out, errors=out.with_name("errors.csv"), log=to, top_reasons=1))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

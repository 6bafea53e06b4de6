"""As much of a session as flows/spark_list.py asks for: a range of numbers, a function over Arrow batches, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any


class _Builder:
    def appName(self, _name: str) -> _Builder:  # noqa: N802 - as in Spark
        return self

    def getOrCreate(self) -> SparkSession:  # noqa: N802
        return SparkSession()


class SparkSession:
    """One process that does every task, one after the other."""

    builder = _Builder()

    def range(self, start: int, end: int, step: int, partitions: int) -> _Numbers:
        del partitions
        return _Numbers(range(start, end, step))

    def stop(self) -> None:
        """Nothing was started."""


class _Numbers:
    def __init__(self, numbers: range, work: Callable[[Iterator[Any]], Iterator[Any]] | None = None) -> None:
        self._numbers = numbers
        self._work = work

    def mapInArrow(self, work: Callable[[Iterator[Any]], Iterator[Any]], schema: str) -> _Numbers:  # noqa: N802
        del schema
        return _Numbers(self._numbers, work)

    def collect(self) -> list[dict[str, Any]]:
        import pyarrow as pa

        assert self._work is not None, "nothing is to be done"
        one_a_task = (pa.RecordBatch.from_arrays([pa.array([number], pa.int64())], ["id"]) for number in self._numbers)
        return [row for batch in one_a_task for done in self._work(iter([batch])) for row in done.to_pylist()]

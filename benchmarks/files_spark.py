"""The same list through Spark on the same two cores: ``python -m benchmarks.files_spark JSON`` prints one JSON line.

``mapInArrow`` encodes and scores each batch by hand; ``spark_udf`` applies the MLflow model that the peers serve. Neither checks a value,
ranks, decides or logs. The session is started, and a few rows are scored, before the clock runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.package import write_for_peers
from benchmarks.peers.names import MODEL_FOLDER
from benchmarks.process_tree import cpu_s, memory
from propensity.model import Model

PYSPARK = "pyspark==4.3.0"
BATCH_ROWS = 65_536
WARM_ROWS = 10_000
DRIVER_MEMORY = "3g"
Told = dict[str, Any]


def environment(state: Path, say: Callable[[str], None]) -> Path:
    """The Python of an environment that adds Spark alone to this one's packages."""
    folder = state / "spark-venv"
    python = folder / "bin" / "python"
    if not (folder / "installed").exists():
        say("installing Spark")
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PYSPARK], check=True)
        (folder / "installed").touch()
    return python


def prepare(model: Model, state: Path, sample: Path) -> Told:
    """Write the model as the peers read it; say where, and where this environment's packages are."""
    folder, mlflow_model = state / "peers", state / "mlflow-model"
    write_for_peers(model, folder)
    customers = state / "customers.json"
    import pyarrow.parquet as pq

    customers.write_text(json.dumps(next(pq.ParquetFile(sample).iter_batches(100)).to_pylist()), encoding="utf-8")
    environ = {**os.environ, MODEL_FOLDER: str(folder)}
    command = [sys.executable, "-m", "benchmarks.peers.mlflow_model", str(mlflow_model), str(customers)]
    subprocess.run(command, check=True, env=environ, capture_output=True)
    return {"peer": str(folder), "mlflow": str(mlflow_model), "path": [sysconfig.get_path("purelib")]}


def encoder(peer: Path) -> Callable[[Any], Any]:
    """What makes a float32 matrix of an Arrow batch: categories by their rank, numbers as they are."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    told = json.loads((peer / "encoding.json").read_text(encoding="utf-8"))
    ranked = {name: pa.array(values) for name, values in told["categories"].items()}
    names = [*ranked, *told["numeric"]]

    def encode(batch: pa.RecordBatch) -> np.ndarray[Any, np.dtype[np.float32]]:
        out = np.empty((len(batch), len(names)), dtype=np.float32)
        for at, name in enumerate(names):
            column = batch.column(name)
            out[:, at] = (pc.index_in(column, ranked[name]) if name in ranked else column).to_numpy(zero_copy_only=False)
        return out

    return encode


def map_in_arrow(told: Told, spark: Any) -> Callable[[str, str], None]:
    """Score by a function from batches to batches."""
    peer = told["peer"]

    def score(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa
        import xgboost as xgb

        booster = xgb.Booster({"nthread": 1})
        booster.load_model(Path(peer) / "booster.json")
        encode = encoder(Path(peer))
        for batch in batches:
            yield pa.RecordBatch.from_arrays([batch.column("id"), pa.array(booster.inplace_predict(encode(batch)))], ["id", "score"])

    def run(source: str, target: str) -> None:
        spark.read.parquet(source).mapInArrow(score, "id string, score float").write.mode("overwrite").parquet(target)

    return run


def spark_udf(told: Told, spark: Any) -> Callable[[str, str], None]:
    """Score by MLflow's user-defined function."""
    import mlflow
    from pyspark.sql.functions import col, struct

    names = json.loads((Path(told["peer"]) / "encoding.json").read_text(encoding="utf-8"))
    features = [*names["categories"], *names["numeric"]]
    udf = mlflow.pyfunc.spark_udf(spark, told["mlflow"], result_type="array<double>", env_manager="local")

    def run(source: str, target: str) -> None:
        frame = spark.read.parquet(source)
        scored = frame.select(col("id"), udf(struct(*map(col, features))).alias("score"))
        scored.write.mode("overwrite").parquet(target)

    return run


WAYS = {"mapInArrow": map_in_arrow, "spark_udf": spark_udf}


def main(told: Told) -> None:
    """Score the list once; print rows, seconds, processor time and the peak of memory of all processes."""
    os.environ |= {"PYSPARK_PYTHON": sys.executable, MODEL_FOLDER: told["peer"], "OMP_NUM_THREADS": "1"}
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.master("local[2]").appName("files").config("spark.driver.memory", DRIVER_MEMORY)
    for name, value in {
        "spark.sql.execution.arrow.maxRecordsPerBatch": BATCH_ROWS,
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
    }.items():
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    run = WAYS[told["way"]](told, spark)
    folder = Path(told["folder"])
    spark.read.parquet(told["parquet"]).limit(WARM_ROWS).write.mode("overwrite").parquet(str(folder / "warm"))
    run(str(folder / "warm"), str(folder / "warm-out"))
    watch = _Watch()
    cpu, started = cpu_s(os.getpid()), time.perf_counter()
    run(told["parquet"], str(folder / "spark-out"))
    seconds, used = time.perf_counter() - started, cpu_s(os.getpid()) - cpu
    peak = watch.stop()
    rows = spark.read.parquet(str(folder / "spark-out")).count()
    print(json.dumps({"rows": rows, "seconds": seconds, "cpu_s": used, "peak_rss_mib": peak}), flush=True)
    spark.stop()


class _Watch:
    """The most memory that this process and its children held, looked at twice a second."""

    def __init__(self) -> None:
        self._peak, self._end = 0.0, threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(0.5):
            found = memory(os.getpid())
            self._peak = max(self._peak, found.rss if found.pss is None else found.pss)

    def stop(self) -> float:
        self._end.set()
        self._thread.join()
        return self._peak


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

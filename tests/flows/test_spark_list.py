"""A list that many machines score is, to the byte, the one that a single machine makes; whatever is killed is done once."""

from __future__ import annotations

import csv
import io
import os
import pickle
import subprocess
import sysconfig
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows import spark_list
from flows.list_job import score_uploaded
from flows.spark_list import PARTS, TOLD, Done, Work, score_share, spreading, told_in
from local.postgres_urls import DatabaseUrls
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.campaigns import campaign
from propensity.errors import SettingsInvalid, StoreError
from propensity.list_state import ERRORS, MANIFEST, RESULT, UPLOAD, Finished, ListId, Manifest, new_list_id, read_json
from propensity.lists import csv_file, parquet_file
from propensity.lists.apart import Share
from propensity.model import Model, save_package
from propensity.ports import Promotion
from propensity.synthetic import generate
from tests.api.models import make_model
from tests.fake_gate import FakeSuppressionStore, GatedLog, fake_gate
from tests.fakes import NOW, FakeDatabase, FakeObjectStore, FakePromotionLedger

PROJECT = Path(__file__).resolve().parents[2]
NAME = "term-deposit"
CUSTOMERS = 1_100
# Three chunks as they are.
MANY = 100
OF_THIS_MACHINE = "--conf spark.ui.enabled=false --conf spark.driver.bindAddress=127.0.0.1 --conf spark.driver.host=127.0.0.1"
Distribute = Callable[[Sequence[Share], Work], Sequence[Done]]


class At:
    """The stores of a job."""

    def __init__(self, home: Path, model: Model) -> None:
        self.settings = type("Settings", (), {"home": home})
        database = FakeDatabase()
        self.store, self.ledger = FakeObjectStore(), FakePromotionLedger(database)
        self.log = GatedLog(database, FakeSuppressionStore(database))
        self.gate = fake_gate(self.log)
        save_package(self.store, model)
        self.ledger.append(Promotion(NAME, 1, "promote", model.digest, "v", None, [], {}, "tester"))

    def requests(self) -> dict[str, tuple[bytes, bytes, list[str]]]:
        return {e.request_id: (e.scores.tobytes(), e.features.tobytes(), list(e.customer_ids)) for e in self.log.entries}


@pytest.fixture(scope="module")
def model() -> Model:
    return make_model(campaign(NAME), trees=5)


@pytest.fixture
def at(tmp_path: Path, model: Model, monkeypatch: pytest.MonkeyPatch) -> At:
    made = At(tmp_path, model)
    monkeypatch.setattr(spark_list, "stores", lambda _: made)
    monkeypatch.setattr(csv_file, "CHUNK_ROWS", 100)
    monkeypatch.setattr(csv_file, "_LEAST_BLOCK", 1_000)
    monkeypatch.setattr(parquet_file, "CHUNK_ROWS", 100)
    return made


def columns(n: int = CUSTOMERS) -> dict[str, list[Any]]:
    declared = campaign(NAME)
    raw = generate(declared, n, 9)
    # The names have dots, and two rows are wrong.
    assert any("." in name for name in declared.feature_names)
    made: dict[str, list[Any]] = {"id": [f"K-{at}é" for at in range(n)]} | {f: list(raw.columns[f]) for f in declared.feature_names}
    made["age"][150] = made["age"][n - 1] = "7"
    return made


def as_csv(encoding: str) -> bytes:
    made, text = columns(), io.StringIO()
    lines = csv.writer(text, delimiter=";")
    lines.writerow(made)
    lines.writerows(zip(*made.values(), strict=True))
    return text.getvalue().encode(encoding)


def as_parquet(times: int = 1) -> bytes:
    made, out = {name: values * times for name, values in columns().items()}, io.BytesIO()
    made["id"] = [f"K-{at}" for at in range(times * CUSTOMERS)]
    typed = {n: [float(v) for v in values] if n in {f.name for f in campaign(NAME).numeric} else values for n, values in made.items()}
    # No row group ends where a chunk does.
    pq.write_table(pa.table(typed), out, row_group_size=170 * times)
    return out.getvalue()


FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "csv": ("csv", lambda: as_csv("utf-8")),
    "csv of another encoding": ("csv", lambda: as_csv("utf-16")),
    "parquet": ("parquet", as_parquet),
}


def upload(store: Any, data: bytes, kind: str, name: str) -> ListId:
    list_id = new_list_id(NAME, "crm", name)
    manifest = Manifest(
        list_id=str(list_id),
        owner="crm",
        format=kind,
        created_at=NOW,
        upload_until=NOW + timedelta(hours=1),
        limit_bytes=10_000_000,
        request_sha256="",
    )
    store.put(list_id.key(MANIFEST), manifest.to_bytes())
    store.put(list_id.key(UPLOAD), data)
    return list_id


def executors(found: Sequence[Share], work: Work) -> list[Done]:
    """In place of Spark: every share goes over a wire."""
    return [score_share(*pickle.loads(pickle.dumps((share, work)))) for share in reversed(found)]


def score(at: Any, list_id: ListId, distribute: Distribute | None) -> Finished:
    spread = None if distribute is None else spreading(at, {}, distribute, chunks=3)
    return score_uploaded(at, list_id, now=lambda: NOW, spread=spread)


def results(store: Any, list_id: ListId) -> tuple[bytes, bytes]:
    return store.get(list_id.key(RESULT)), store.get(list_id.key(ERRORS))


@pytest.mark.parametrize("kind", FILES)
def test_many_machines_make_what_one_makes(at: At, model: Model, tmp_path: Path, kind: str) -> None:
    ending, made = FILES[kind]
    data = made()
    alone = At(tmp_path / "alone", model)
    list_id = upload(alone.store, data, ending, "same")
    assert upload(at.store, data, ending, "same") == list_id
    expected, seen = score(alone, list_id, None), []

    def distribute(found: Sequence[Share], work: Work) -> list[Done]:
        seen.extend(done := executors(found, work))
        # The driver has nothing left to score, only to put together.
        assert at.requests() == alone.requests()
        return done

    assert score(at, list_id, distribute) == expected
    assert expected.counts["received"] == CUSTOMERS == sum(done.received for done in seen)
    assert expected.counts["refused_rows"] == 2
    assert len(seen) > 2
    assert results(at.store, list_id) == results(alone.store, list_id)
    assert at.requests() == alone.requests()
    assert len(at.log.entries) == sum(done.chunks for done in seen)


def test_whoever_is_suppressed_is_in_no_result_of_many_machines(at: At, model: Model, tmp_path: Path) -> None:
    alone = At(tmp_path / "alone", model)
    list_id = upload(alone.store, as_parquet(), "parquet", "gated")
    upload(at.store, as_parquet(), "parquet", "gated")
    score(alone, list_id, None)
    named = [entry.customer_ids[0] for entry in alone.log.entries]
    at.log.suppressions.add(named, campaign=None, action="add", reason="objection", note=None, actor="tester")
    end = score(at, list_id, executors)
    assert end.counts is not None
    assert end.counts["excluded_rows"] == len(named)
    sheet = at.store.get(list_id.key("call-sheet.csv")).decode("utf-8-sig")
    assert not [name for name in named if f"\n{name}," in sheet]
    # The executors knew it before they decided.
    assert not any(entry.contact[0] for entry in at.log.entries)


def test_a_job_that_is_killed_goes_on_with_the_same_parts(at: At) -> None:
    list_id = upload(at.store, as_parquet(), "parquet", "killed")

    class Killed(BaseException): ...

    def half(found: Sequence[Share], work: Work) -> list[Done]:
        executors(found[:2], work)
        raise Killed

    with pytest.raises(Killed):
        score(at, list_id, half)
    parts = {key: value for key, value in at.store.objects.items() if f"/{PARTS}/" in key}
    logged = at.requests()
    assert len(parts) > 5
    end = score(at, list_id, executors)
    assert end.state == "done"
    assert {key: at.store.objects[key] for key in parts} == parts
    assert at.requests().items() >= logged.items()
    # Twice at once, and again after the end: nothing is added.
    objects, requests = dict(at.store.objects), at.requests()
    assert score(at, list_id, executors) == end
    at.store.objects.pop(list_id.key("finished.json"))
    assert score(at, list_id, executors) == end
    assert (at.store.objects, at.requests()) == (objects, requests)


def test_an_executor_without_a_store_stops_the_job_and_nothing_is_done_in_its_place(at: At) -> None:
    list_id = upload(at.store, as_csv("utf-8"), "csv", "down")

    def cut_off(found: Sequence[Share], work: Work) -> list[Done]:
        at.store.down = True
        done = [score_share(share, work) for share in found]
        at.store.down = False
        return done

    with pytest.raises(StoreError, match="an executor"):
        score(at, list_id, cut_off)
    assert not at.log.entries
    assert read_json(at.store, list_id.key("finished.json"), Finished) is None


def test_a_damaged_file_ends_the_list_as_on_one_machine(at: At) -> None:
    data = bytearray(as_parquet())
    # Pages, not the footer, which is at the end.
    data[2_000:4_000] = bytes(2_000)
    list_id = upload(at.store, bytes(data), "parquet", "damaged")
    end = score(at, list_id, executors)
    assert (end.state, end.code) == ("failed", "malformed")


def test_a_list_whose_ids_depend_on_each_other_is_scored_by_the_driver(at: At) -> None:
    text = io.StringIO(as_csv("utf-8").decode())
    without = "\n".join(line.partition(";")[2] for line in text.getvalue().splitlines())

    def nobody(found: Sequence[Share], work: Work) -> list[Done]:
        raise AssertionError("no share can be scored alone")

    assert score(at, upload(at.store, without.encode(), "csv", "no ids"), nobody).state == "done"


def test_only_what_a_job_needs_is_told() -> None:
    assert told_in(["PROPENSITY_STORE_URL=s3://b?x=y"], {"PROPENSITY_DATABASE_URL": "d", "PROPENSITY_HOME": "h"}) == {
        "PROPENSITY_STORE_URL": "s3://b?x=y",
        "PROPENSITY_DATABASE_URL": "d",
    }
    for wrong in ("PGPASSWORD=x", "PROPENSITY_STORE_URL"):
        with pytest.raises(SettingsInvalid, match="NAME=VALUE"):
            told_in([wrong], {})
    assert all("PASSWORD" not in name or name.endswith("_ARN") for name in TOLD)


def spark_python() -> Path:
    """A Python with Spark: that of PROPENSITY_SPARK_PYTHON, or the one that the benchmark of files installs."""
    named = os.environ.get("PROPENSITY_SPARK_PYTHON")
    python = Path(named) if named else PROJECT / "build" / "bench" / "spark-venv" / "bin" / "python"
    if not python.is_file():
        pytest.skip("PROPENSITY_SPARK_PYTHON names no Python with Spark: half a gigabyte that nothing else needs")
    return python


@pytest.mark.slow
def test_real_spark_makes_what_one_machine_makes(tmp_path: Path, database: DatabaseUrls, model: Model) -> None:
    python = spark_python()
    migrate(database.owner_url)
    data, made = as_parquet(MANY), dict[str, tuple[bytes, bytes]]()
    with closing(Database(database.app_url)) as opened, closing(Database(database.owner_url)) as owner:
        del owner
        ledger = PostgresPromotionLedger(opened)
        ledger.append(Promotion(NAME, 1, "promote", model.digest, "v", None, [], {}, "tester"))
        log = PostgresPredictionLog(opened)
        list_id = new_list_id(NAME, "crm", "spark")
        for name in ("alone", "spark"):
            store = FolderStore(tmp_path / name)
            save_package(store, model)
            upload(store, data, "parquet", "spark")
        spark = [str(python), "-m", "flows.spark_list", str(list_id), "--share-chunks", "1"]
        told = {
            "PROPENSITY_DATABASE_URL": database.app_url,
            "PROPENSITY_STORE_URL": (tmp_path / "spark").as_uri(),
            "PROPENSITY_HOME": str(tmp_path / "home"),
            "PYTHONPATH": os.pathsep.join([str(PROJECT), sysconfig.get_path("purelib")]),
            "PYSPARK_PYTHON": str(python),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_SUBMIT_ARGS": f"--master local[2] {OF_THIS_MACHINE} pyspark-shell",
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PROPENSITY_", "PYSPARK_"))}
        said = []
        for _ in range(2):
            done = subprocess.run(spark, cwd=PROJECT, env={**kept, **told}, capture_output=True, text=True, timeout=240, check=False)
            assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
            said.append(done.stdout)
        assert f"3 chunks, {MANY * CUSTOMERS:,} customers by executors" in said[0]
        assert "executors" not in said[1]
        end = read_json(FolderStore(tmp_path / "spark"), list_id.key("finished.json"), Finished)
        at = type("At", (), {"settings": type("S", (), {"home": tmp_path}), "store": FolderStore(tmp_path / "alone")})
        fakes = FakeDatabase()
        at.log, at.ledger = GatedLog(fakes, FakeSuppressionStore(fakes)), ledger  # type: ignore[attr-defined]
        at.gate = fake_gate(at.log)  # type: ignore[attr-defined]
        expected = score_uploaded(at, list_id, now=lambda: datetime.now(UTC))  # type: ignore[arg-type]
        assert end is not None
        assert replace(end, finished_at=NOW) == replace(expected, finished_at=NOW)
        for name in ("alone", "spark"):
            made[name] = results(FolderStore(tmp_path / name), list_id)
        assert made["alone"] == made["spark"]
        for entry in at.log.entries:  # type: ignore[attr-defined]
            logged = log.request(entry.request_id)
            assert logged.scores.tobytes() == entry.scores.tobytes()

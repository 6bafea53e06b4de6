"""A list scored in chunks gets what it would get whole: the same bits, decisions, ranks and ids, in the log and in the results."""

from __future__ import annotations

import csv
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.campaign import Policy
from propensity.errors import DatabaseUnavailable, DataError, StoreError
from propensity.ingest import with_derived_ids
from propensity.lists import csv_block_rows, csv_file, parquet_file, results, scorer
from propensity.lists.chunks import ListFile
from propensity.lists.files import open_list
from propensity.lists.ranking import Ranking, in_order
from propensity.lists.run import Result, score_file
from propensity.lists.scorer import LogTo, request_id
from propensity.lists.spool import Spool
from propensity.model import Model
from propensity.ports import LoggedRequest, StoredReply
from propensity.schema import check_rows
from propensity.scoring import ScoredList, raw_features, score_list
from tests.builders import tiny_campaign, tiny_columns
from tests.fakes import FakePredictionLog

ROWS = 330
POLICIES = (
    Policy("profit"),
    Policy("threshold", 0.3),
    Policy("top_share", 0.25),
    Policy("budget", 200.0),
    Policy("calls", 7),
    Policy("recall", 0.6),
)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_file, "_LEAST_BLOCK", 100)
    monkeypatch.setattr(csv_file, "CHUNK_ROWS", 50)
    monkeypatch.setattr(csv_file, "_SAMPLE_BYTES", 500)
    monkeypatch.setattr(csv_block_rows, "_FEW_ROWS", 1)
    monkeypatch.setattr(parquet_file, "CHUNK_ROWS", 50)
    monkeypatch.setattr(results, "PART_ROWS", 70)


def columns_of(rows: int = ROWS) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {"customer": [f"k{at}" for at in range(rows)], **tiny_columns(rows, seed=5)}
    for at in (0, 60, rows - 1):
        columns["age"][at] = 17
    columns["duration"] = [1] * rows
    # Equal rows have equal scores, and their ranks keep their order.
    for values in columns.values():
        values[200:220] = [values[200]] * 20
    columns["customer"][200:220] = [f"same-{at}" for at in range(20)]
    return columns


def as_csv(columns: dict[str, list[Any]], path: Path) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, delimiter=";")
        lines.writerow(columns)
        lines.writerows(["" if v is None else v for v in row] for row in zip(*columns.values(), strict=True))
    return path


def as_parquet(columns: dict[str, list[Any]], path: Path) -> Path:
    pq.write_table(pa.table(columns), path, row_group_size=80)
    return path


def whole(model: Model, policy: Policy, columns: dict[str, list[Any]], top: int = 2) -> ScoredList:
    n = len(columns["age"])
    checked = check_rows(tiny_campaign(), columns, columns.get("customer"), n, text=False)
    return score_list(model, checked, policy, top_reasons=top)


def opened(path: Path, tmp_path: Path) -> ListFile:
    return open_list(path, tiny_campaign(), tmp_path)


def run(model: Model, policy: Policy, path: Path, tmp_path: Path, log: Any, out: str = "out.csv", **options: Any) -> Result:
    decided = replace(model, campaign=tiny_campaign(policy=policy))
    source = opened(path, tmp_path)
    to = None if log is None else LogTo(log, f"x@{source.sha256}", "test", source.sha256)
    return score_file(
        source, decided, home=tmp_path / "home", out=tmp_path / out, errors=tmp_path / "errors.csv", log=to, top_reasons=2, **options
    )


@pytest.mark.parametrize("write", [as_csv, as_parquet])
@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
def test_a_list_in_chunks_gets_what_it_gets_whole(policy: Policy, write: Callable[..., Path], model: Model, tmp_path: Path) -> None:
    columns = columns_of()
    expected = whole(model, policy, columns)
    log = FakePredictionLog()
    path = write(columns, tmp_path / f"list.{'csv' if write is as_csv else 'parquet'}")
    found = run(model, policy, path, tmp_path, log)
    assert (found.received, found.scored, found.refused) == (ROWS, len(expected.table), 3)
    assert found.contact == int(expected.decision.contact.sum()) > 0
    assert dict(found.not_used) == {"duration": "known only once the call is over"}
    assert found.requests == len(log.entries) > 4

    entries = sorted(log.entries, key=lambda entry: int(entry.rows[0]))
    assert entries[0].request_id == found.request_id
    assert np.concatenate([entry.scores for entry in entries]).tobytes() == expected.scores.tobytes()
    assert np.concatenate([entry.rows for entry in entries]).tolist() == expected.table.rows.tolist()
    assert np.concatenate([entry.contact for entry in entries]).tolist() == expected.decision.contact.tolist()
    assert np.concatenate([entry.features for entry in entries]).tobytes() == raw_features(expected.table).tobytes()
    assert [name for entry in entries for name in entry.customer_ids] == list(expected.table.ids)

    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        sheet = list(csv.DictReader(file))
    order = np.argsort(expected.decision.rank).tolist()
    assert [row["customer_id"] for row in sheet] == [expected.table.ids[at] for at in order]
    assert [int(row["rank"]) for row in sheet] == list(range(1, len(order) + 1))
    assert [row["reasons"] for row in sheet] == ["; ".join(reason.text for reason in expected.reasons[at]) for at in order]
    with (tmp_path / "errors.csv").open(encoding="utf-8", newline="") as file:
        assert [(row["row"], row["column"]) for row in csv.DictReader(file)] == [("1", "age"), ("61", "age"), (str(ROWS), "age")]
    assert list((tmp_path / "home" / "lists").iterdir()) == []


def test_the_same_list_is_logged_once(model: Model, tmp_path: Path) -> None:
    log = FakePredictionLog()
    path = as_csv(columns_of(), tmp_path / "list.csv")
    first = run(model, POLICIES[0], path, tmp_path, log)
    assert run(model, POLICIES[0], path, tmp_path, log) == first
    assert len({entry.request_id for entry in log.entries}) == len(log.entries) == first.requests
    # The policy is part of the declaration, which is part of the ids.
    assert run(model, POLICIES[2], path, tmp_path, log).request_id != first.request_id


def test_results_as_parquet_are_in_the_order_sent(model: Model, tmp_path: Path) -> None:
    columns = columns_of()
    expected = whole(model, POLICIES[2], columns)
    found = run(model, POLICIES[2], as_parquet(columns, tmp_path / "list.parquet"), tmp_path, None, "out.parquet")
    table = pq.read_table(tmp_path / "out.parquet")
    assert (found.request_id, found.requests, "prediction_id" in table.column_names) == ("", 0, False)
    assert table.column("customer_id").to_pylist() == list(expected.table.ids)
    assert table.column("score").to_numpy().tobytes() == expected.scores.tobytes()
    assert table.column("rank").to_pylist() == expected.decision.rank.tolist()


def test_rows_without_ids_get_those_that_they_would_get_whole(model: Model, tmp_path: Path) -> None:
    campaign = tiny_campaign(id_column=None)
    columns = columns_of()
    del columns["customer"], columns["duration"]
    columns["asked_on"] = [f"2024-0{1 + at % 2}-01" for at in range(ROWS)]
    table = with_derived_ids(check_rows(campaign, columns, None, ROWS, text=False).table, columns["asked_on"])
    assert len(set(table.ids)) == len(table)
    for write, name in ((as_csv, "list.csv"), (as_parquet, "list.parquet")):
        source = open_list(write(columns, tmp_path / name), campaign, tmp_path)
        named = replace(model, campaign=campaign)
        score_file(source, named, home=tmp_path, out=tmp_path / "out.parquet", errors=tmp_path / "e.csv", log=None, top_reasons=0)
        assert pq.read_table(tmp_path / "out.parquet").column("customer_id").to_pylist() == list(table.ids)


class FlakyLog(FakePredictionLog):
    """Does not answer some of the time."""

    asked = 0

    def append(self, entry: LoggedRequest, *, idempotency_key: str | None, body_sha256: str, reply: bytes) -> StoredReply | None:
        self.asked += 1
        if self.asked % 3 == 2:
            raise DatabaseUnavailable("no answer")
        return super().append(entry, idempotency_key=idempotency_key, body_sha256=body_sha256, reply=reply)


def test_a_log_that_does_not_answer_is_asked_again(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "DELAYS_S", (0.0, 0.0, 0.0))
    log = FlakyLog()
    found = run(model, POLICIES[0], as_csv(columns_of(), tmp_path / "list.csv"), tmp_path, log)
    assert sum(len(entry.scores) for entry in log.entries) == found.scored


def test_what_was_done_is_kept_when_the_log_stays_away(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "DELAYS_S", (0.0,))
    log = FakePredictionLog()
    path = as_csv(columns_of(), tmp_path / "list.csv")
    log.database.down = True
    with pytest.raises(DatabaseUnavailable):
        run(model, POLICIES[2], path, tmp_path, log)
    assert not (tmp_path / "out.csv").exists()
    log.database.down = False
    scored_again = 0

    def count(self: Any, piece: Any) -> Any:
        nonlocal scored_again
        scored_again += 1
        return answers(self, piece)

    answers = scorer.Scorer._answers
    monkeypatch.setattr(scorer.Scorer, "_answers", count)
    found = run(model, POLICIES[2], path, tmp_path, log)
    assert (scored_again, sum(len(entry.scores) for entry in log.entries)) == (0, found.scored)


def test_whoever_interrupts_a_list_need_not_wait_for_its_end(model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scored = 0

    def slow(self: Any, piece: Any) -> Any:
        nonlocal scored
        scored += 1
        if scored == 1:
            threading.Timer(0.12, os.kill, (os.getpid(), signal.SIGINT)).start()
        time.sleep(0.05)
        return answers(self, piece)

    answers = scorer.Scorer._answers
    monkeypatch.setattr(scorer.Scorer, "_answers", slow)
    columns = {name: values * 10 for name, values in columns_of().items()}
    path = as_csv(columns, tmp_path / "list.csv")
    # Processes that run tests side by side ignore it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            run(model, POLICIES[0], path, tmp_path, None)
    finally:
        signal.signal(signal.SIGINT, before)
    assert 0 < scored < 30
    assert not (tmp_path / "out.csv").exists()


def test_a_list_that_lacks_a_column_is_refused_before_anything_is_kept(model: Model, tmp_path: Path) -> None:
    columns = columns_of()
    del columns["rate"]
    with pytest.raises(DataError, match="'rate'"):
        run(model, POLICIES[0], as_csv(columns, tmp_path / "list.csv"), tmp_path, FakePredictionLog())
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize("broken", ['"open', 'x"y"\n"a"b', "\0"])
def test_a_file_that_breaks_off_far_below_is_refused_before_a_row_is_scored(broken: str, model: Model, tmp_path: Path) -> None:
    path = as_csv(columns_of(), tmp_path / "list.csv")
    path.write_bytes(path.read_bytes() + b"k9;" + broken.encode() + b";1;1;1;1;1\n")
    log = FakePredictionLog()
    if broken.startswith("x"):
        path.write_bytes(path.read_bytes().replace(b'k9;x"y"\n', b"k9;"))
    with pytest.raises(DataError, match="line"):
        run(model, POLICIES[0], path, tmp_path, log)
    assert log.entries == []


def test_one_process_at_a_time_works_on_a_list(tmp_path: Path) -> None:
    first = Spool(tmp_path / "x")
    with pytest.raises(StoreError, match="another process"):
        Spool(tmp_path / "x")
    first.close()
    Spool(tmp_path / "x").remove()


def test_chunks_have_request_ids_of_their_own(model: Model) -> None:
    names = {request_id("x", model, number) for number in range(100)} | {request_id("y", model)}
    assert len(names) == 101
    assert request_id("x", model) == request_id("x", model, 0)


@pytest.mark.parametrize("distinct", [1, 3, 500, 100_000])
def test_sorting_keeps_the_order_of_equal_numbers(distinct: int) -> None:
    numbers = np.random.default_rng(distinct).integers(0, distinct, 2_000) / 7.0
    ordered, order = in_order(numbers)
    assert order.tolist() == np.argsort(numbers, kind="stable").tolist()
    assert ordered.tolist() == numbers[order].tolist()


@pytest.mark.parametrize("slice_", [1, 3, 1 << 20])
def test_ranks_of_chunks_are_those_of_the_whole_list(slice_: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("propensity.lists.ranking._SLICE", slice_)
    rng = np.random.default_rng(3)
    for _ in range(50):
        parts = [rng.integers(0, int(rng.integers(1, 30)), int(rng.integers(0, 40))) / 37 for _ in range(int(rng.integers(1, 6)))]
        together = np.concatenate(parts)
        expected = np.empty(len(together), dtype=np.int64)
        expected[np.argsort(-together, kind="stable")] = np.arange(1, len(together) + 1)
        ranking = Ranking(parts, len(together))
        assert np.concatenate([ranking.of_next(part) for part in parts]).tolist() == expected.tolist()

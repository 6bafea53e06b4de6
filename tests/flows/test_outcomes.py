from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from flows import outcomes as flow
from flows.outcomes import take_file, take_into, waiting_in
from propensity import outcome_files
from propensity.adapters.outcomes import PostgresOutcomeStore
from propensity.adapters.platform import Platform
from propensity.errors import DatabaseUnavailable, RowsInvalid, SourceMissing
from propensity.outcomes import counted
from propensity.ports import LoggedRequest, Outcome
from propensity.prediction_id import prediction_id
from tests.flows.conftest import NAME

ALWAYS = (datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC))


@pytest.fixture
def customers(at: Platform) -> list[str]:
    """Sixty customers of a logged list."""
    return log_list(at, [f"{uuid.uuid4().hex[:8]}-{row}" for row in range(60)])


def log_list(at: Platform, customers: list[str]) -> list[str]:
    n = len(customers)
    scores = np.linspace(0.1, 0.9, n)
    entry = LoggedRequest(
        str(uuid.uuid4()), NAME, "d", "1", {}, "e", customers, np.arange(1, n + 1), np.zeros((n, 2)), scores, scores > 0.5, n, 0, "test"
    )
    at.log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
    return customers


def csv_of(customers: list[str], label: str = "yes") -> str:
    return "customer_id,label\n" + "".join(f"{customer},{label}\n" for customer in customers)


def rows_of(at: Platform, source: str) -> int:
    with at.database.statement() as cursor:
        row = cursor.execute("select count(*) from outcome where source = %s", (source,)).fetchone()
    assert row is not None
    return int(row[0])


def drop(at: Platform, name: str, text: str) -> str:
    key = f"outcomes/{NAME}/{uuid.uuid4().hex}/{name}"
    at.store.put(key, text.encode())
    return key


def test_a_file_is_taken_once_under_whatever_name(at: Platform, customers: list[str], tmp_path: Path) -> None:
    first, second = tmp_path / "first.csv", tmp_path / "second.csv"
    for path in (first, second):
        path.write_text(csv_of([*customers, customers[0]]) + "x,perhaps\n", encoding="utf-8")
    found = take_file(at, NAME, first, "file:first.csv")
    assert {status: found[status] for status in counted(())} == counted(["recorded"] * 60 + ["duplicate"])
    assert (found["received"], found["refused"], found["taken_before"]) == (62, 1, False)
    assert [issue.row for issue in found["issues"]] == [62]
    again = take_file(at, NAME, second, "file:second.csv")
    assert again["taken_before"]
    assert {status: again[status] for status in counted(())} == {status: found[status] for status in counted(())}
    assert rows_of(at, "file:first.csv") == 61
    assert rows_of(at, "file:second.csv") == 0


def test_a_file_that_came_before_its_list_is_matched_when_it_is_dropped_again(at: Platform, tmp_path: Path) -> None:
    names = [f"{uuid.uuid4().hex[:8]}" for _ in range(5)]
    path = tmp_path / "early.csv"
    path.write_text(csv_of(names), encoding="utf-8")
    assert take_file(at, NAME, path, "file:early.csv")["unmatched"] == 5
    written_before(at, names)
    again = take_file(at, NAME, path, "file:early.csv")
    assert again["matched_later"] == counted(["recorded"] * 5)
    assert take_file(at, NAME, path, "file:early.csv")["matched_later"] == counted(())


_AGAIN = """
insert into prediction_request select (r).* from (
    select jsonb_populate_record(p, jsonb_build_object('request_id', gen_random_uuid(), 'received_at', now() - interval '1 minute')) as r
    from prediction_request as p where customer_ids = %s
) as again"""


def written_before(at: Platform, customers: list[str]) -> None:
    """A list that began to be committed a minute ago and is visible only now."""
    log_list(at, customers)
    with at.database.statement() as cursor:
        cursor.execute(_AGAIN, (customers,))


def test_a_killed_run_goes_on_where_it_was(at: Platform, customers: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outcome_files, "PART_ROWS", 20)
    monkeypatch.setattr("propensity.lists.csv_file.CHUNK_ROWS", 1)
    monkeypatch.setattr("propensity.lists.csv_file._LEAST_BLOCK", 200)
    path = tmp_path / "long.csv"
    path.write_text(csv_of(customers), encoding="utf-8")
    source, record, calls = f"file:{uuid.uuid4()}", PostgresOutcomeStore.record, []

    def dies(self: PostgresOutcomeStore, *args: object, **kwargs: object) -> object:
        calls.append(1)
        if len(calls) == 2:
            record(self, *args, **kwargs)  # type: ignore[arg-type]  # committed, and then the answer is lost
            raise DatabaseUnavailable("the connection was lost")
        return record(self, *args, **kwargs)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(PostgresOutcomeStore, "record", dies)
        with pytest.raises(DatabaseUnavailable):
            take_file(at, NAME, path, source)
    before = rows_of(at, source)
    assert 0 < before < 60
    found = take_file(at, NAME, path, source)
    assert {status: found[status] for status in counted(())} == counted(["recorded"] * 60)
    assert rows_of(at, source) == 60


def test_files_of_object_storage_are_taken_once_and_a_damaged_one_does_not_stop_the_others(at: Platform, customers: list[str]) -> None:
    good = drop(at, "good.csv", csv_of(customers[:3]) + "c,?\n")
    damaged = drop(at, "damaged.csv", 'customer_id,label\n"c1,yes\n')
    useless = drop(at, "useless.csv", "customer_id,label\na,?\nb,?\n")
    also_good = drop(at, "also-good.csv", csv_of(customers[3:5]))
    keys = {good, damaged, useless, also_good}
    assert keys <= set(waiting_in(at, NAME))
    found = {key: take_into(at, NAME, key) for key in sorted(keys)}
    assert (found[good]["recorded"], found[good]["refused"], found[also_good]["recorded"]) == (3, 1, 2)
    listed = at.store.get(next(key for key in at.store.keys(f"outcome-errors/{NAME}/") if key.endswith("good.csv.csv")))
    assert listed.splitlines()[1].startswith(b"4,label,unknown_category")
    for key, sentence in ((damaged, "quoting"), (useless, "none of the 2 rows")):
        assert sentence in found[key]["refused"]
        (reason,) = [k for k in at.store.keys(f"outcomes-set-aside/{NAME}/") if k.endswith(f"{key.rpartition('/')[2]}.reason.txt")]
        assert sentence in at.store.get(reason).decode()
        assert at.store.get(reason.removesuffix(".reason.txt")) == at.store.get(key)
    assert not keys & set(waiting_in(at, NAME))
    assert take_into(at, NAME, good) == found[good]
    json.dumps(found)
    # Replaced, it is another file.
    at.store.put(damaged, csv_of(customers[5:6]).encode())
    assert damaged in waiting_in(at, NAME)
    assert take_into(at, NAME, damaged)["recorded"] == 1


def test_the_flow_takes_what_lies_there_and_looks_again(at: Platform, customers: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flow, "platform", lambda: at)
    key = drop(at, "daily.csv", csv_of(customers))
    late = uuid.uuid4().hex
    at.outcomes.record(NAME, [Outcome(True, None, customer_id=late)], "test")
    written_before(at, [late])
    assert key in flow.waiting_files.fn(NAME)
    assert flow.take_object.fn(NAME, key)["recorded"] == 60
    assert flow.look_again.fn(NAME)["recorded"] >= 1
    assert flow.waiting_files.fn(NAME) == []


def test_what_cannot_be_taken_at_all(at: Platform, tmp_path: Path) -> None:
    with pytest.raises(SourceMissing):
        take_file(at, NAME, tmp_path / "nothing.csv", "x")
    path = tmp_path / "a.csv"
    path.write_text("prediction_id,label\nnope,yes\n", encoding="utf-8")
    with pytest.raises(RowsInvalid) as caught:
        take_file(at, NAME, path, "x")
    assert [issue.code for issue in caught.value.issues] == ["bad_id"]
    unknown = f"{uuid.uuid4()}.1"
    path.write_text(f"prediction_id,label\n{unknown},yes\n", encoding="utf-8")
    assert take_file(at, NAME, path, "x")["unmatched"] == 1
    assert prediction_id(unknown.partition(".")[0], 1) == unknown


@pytest.fixture(autouse=True)
def _nothing_waits_from_another_test(at: Platform) -> Iterator[None]:
    yield
    for key in waiting_in(at, NAME):
        take_into(at, NAME, key)

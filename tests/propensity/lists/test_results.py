"""The files that people and programs get, written from chunks."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from propensity.callsheet import safe_cell
from propensity.campaign import Policy
from propensity.decision import BANDS
from propensity.lists import results
from propensity.lists.export import Decided
from propensity.lists.results import whole, write_call_sheet, write_parquet
from propensity.lists.spool import Scored
from propensity.model import Model
from propensity.schema import check_rows
from propensity.scoring import ScoredList, score_list
from tests.builders import tiny_campaign, tiny_columns
from tests.propensity.test_callsheet import PAYLOADS, cells, runs

REQUEST = "0190f6a2-0000-7000-8000-00000000000"


def chunks_of(scored: ScoredList, size: int = 200) -> list[Decided]:
    """A list as the scorer would have left it, in chunks."""
    found = []
    for number, at in enumerate(range(0, len(scored.table), size)):
        part = slice(at, at + size)
        texts = ["; ".join(reason.text for reason in why) for why in scored.reasons[part]]
        ids = pa.array(list(scored.table.ids[part]), pa.string())
        kept = Scored(ids, scored.table.rows[part], scored.scores[part], pa.array(texts, pa.string()), len(ids), 0)
        band = np.array([BANDS.index(word) for word in scored.bands[part]], dtype=np.int8)
        decision = scored.decision
        told = (decision.rank[part], decision.contact[part], decision.expected_profit[part], band)
        found.append(Decided(kept, *told, f"{REQUEST}{number}", np.arange(1, len(ids) + 1)))
    return found


@pytest.fixture
def sheet(scored: ScoredList, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A call sheet whose rows take several chunks and several parts."""
    monkeypatch.setattr(results, "PART_ROWS", 100)
    write_call_sheet(iter(chunks_of(scored)), tmp_path / "sheet.csv", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.csv"]
    return (tmp_path / "sheet.csv").read_bytes()


@pytest.fixture
def scored(model: Model) -> ScoredList:
    ids = [payload for payload in PAYLOADS if payload.isprintable()]
    checked = check_rows(tiny_campaign(), tiny_columns(len(ids), seed=4), ids, len(ids), text=False)
    assert checked.issues == ()
    return score_list(model, checked, Policy("top_share", 0.5))


def test_a_call_sheet_of_hostile_ids_is_safe(scored: ScoredList, sheet: bytes) -> None:
    rows = list(csv.DictReader(io.StringIO(sheet.decode(), newline="")))
    assert len(rows) == len(scored.table) > 50
    for row in rows:
        # A negative profit is a number and must stay one.
        float(row.pop("expected_profit"))
        assert not any(runs(cell) for cell in row.values())
    texts = [cell for cell in cells(sheet, ";") if "," not in cell]
    assert not any(runs(cell) for cell in texts)


def test_a_call_sheet_lists_everyone_best_first_with_exact_scores(scored: ScoredList, sheet: bytes) -> None:
    rows = list(csv.DictReader(io.StringIO(sheet.decode(), newline="")))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(rows) + 1))
    assert [float(row["score"]) for row in rows] == sorted(scored.scores.tolist(), reverse=True)
    at = {int(row): place for place, row in enumerate(scored.table.rows.tolist())}
    for row in rows:
        place = at[int(row["row"])]
        assert row["customer_id"] == safe_cell(scored.table.ids[place])
        assert row["decision"] == ("contact" if scored.decision.contact[place] else "leave")
        assert row["band"] == scored.bands[place]
        assert row["prediction_id"] == f"{REQUEST}{place // 200}.{place % 200 + 1}"
        assert float(row["expected_profit"]) == pytest.approx(float(scored.scores[place]) * 20 - 5, abs=0.005)


def test_a_call_sheet_of_nobody_is_its_header(tmp_path: Path) -> None:
    write_call_sheet(iter(()), tmp_path / "sheet.csv", tmp_path)
    sheet = (tmp_path / "sheet.csv").read_bytes()
    assert sheet.count(b"\r\n") == 1
    assert sheet.startswith(b"rank,customer_id,")


def test_a_parquet_file_holds_every_bit_in_the_order_sent(scored: ScoredList, tmp_path: Path) -> None:
    write_parquet(iter(chunks_of(scored)), tmp_path / "sheet.parquet")
    table = pq.read_table(tmp_path / "sheet.parquet")
    assert table.column("row").to_pylist() == scored.table.rows.tolist()
    assert table.column("customer_id").to_pylist() == list(scored.table.ids)
    assert table.column("rank").to_pylist() == scored.decision.rank.tolist()
    assert table.column("score").to_numpy().tobytes() == scored.scores.tobytes()
    assert table.column("expected_profit").to_numpy().tobytes() == scored.decision.expected_profit.tobytes()
    assert [word == "contact" for word in table.column("decision").to_pylist()] == scored.decision.contact.tolist()
    assert table.column("band").to_pylist() == list(scored.bands)
    assert table.column("prediction_id").to_pylist() == [f"{REQUEST}{at // 200}.{at % 200 + 1}" for at in range(len(scored.table))]


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "out.csv"
    path.write_bytes(b"before")

    def half() -> None:
        with whole(path) as out:
            out.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("out.csv", b"before")]
    with whole(path) as out:
        out.write(b"after")
    assert path.read_bytes() == b"after"

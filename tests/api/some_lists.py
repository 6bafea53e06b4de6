"""Lists as they lie in the store when they are done."""

from __future__ import annotations

from datetime import timedelta

from propensity.callsheet import CALL_SHEET, error_sheet
from propensity.errors import RowIssue
from propensity.list_state import ERRORS, EXCLUDED, FINISHED, MANIFEST, RESULT, Finished, ListId, Manifest, failed, new_list_id
from tests.fakes import NOW, FakeObjectStore

DONE, FAILED, WAITING, LATE = (new_list_id("term-deposit", "operator", name) for name in ("done", "failed", "waiting", "late"))
ROWS = (
    (1, "c1", "contact", "high", 0.75, 110.0, "age = 40 raises the score", 2, ""),
    (2, "'=c2", "contact", "medium", 0.5, 60.0, "age = 30 raises the score", 1, ""),
    (3, "c3", "leave", "low", 0.125, -15.0, "age = 20 lowers the score", 3, ""),
)


def keep_done(store: FakeObjectStore, list_id: ListId, owner: str) -> None:
    """A list of three customers, two of whom are to be contacted, and one refused row."""
    keep_waiting(store, list_id, owner)
    counts = {"received": 5, "scored": 4, "refused_rows": 1, "contact": 2, "excluded_rows": 1}
    end = Finished(state="done", finished_at=NOW, counts=counts, model_digest="0" * 64, request_id="00000000-0000-4000-8000-000000000000")
    lines = [",".join(CALL_SHEET), *(",".join(map(str, row)) for row in ROWS)]
    store.put(list_id.key(RESULT), "".join(f"{line}\r\n" for line in lines).encode())
    store.put(list_id.key(ERRORS), error_sheet([RowIssue(4, "age", "out_of_range", "must be a whole number from 17 to 98 (years)")]))
    store.put(list_id.key(EXCLUDED), b"row,customer_id,reason,found\r\n5,c5,objection,answer\r\n")
    store.put(list_id.key(FINISHED), end.to_bytes())


def keep_waiting(store: FakeObjectStore, list_id: ListId, owner: str, hours: int = 1) -> None:
    """A list whose file did not come; its addresses are good for so many hours."""
    until = NOW + timedelta(hours=hours)
    manifest = Manifest(
        list_id=str(list_id), owner=owner, format="csv", created_at=NOW, upload_until=until, limit_bytes=1_000, request_sha256="0"
    )
    store.put(list_id.key(MANIFEST), manifest.to_bytes())


def keep_all(store: FakeObjectStore) -> None:
    """A list in each state that a caller may meet."""
    keep_done(store, DONE, "operator")
    for list_id, hours in ((FAILED, 1), (WAITING, 1), (LATE, -1)):
        keep_waiting(store, list_id, "operator", hours)
    store.put(FAILED.key(FINISHED), failed("data_invalid", "upload.csv holds column names but no rows", NOW).to_bytes())

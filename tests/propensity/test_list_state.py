from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from propensity.adapters.object_store import FolderStore
from propensity.errors import NotFound
from propensity.list_state import (
    CLAIM,
    ENDED,
    FINISHED,
    MANIFEST,
    NAMES,
    NEXT,
    UPLOAD,
    Claim,
    Finished,
    ListId,
    ListState,
    Manifest,
    failed,
    first_of,
    new_list_id,
    parse_key,
    parse_list_id,
    read_json,
    read_list,
    state_of,
    status,
)
from tests.fakes import FakeObjectStore

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
LIST = new_list_id("term-deposit", "crm", "key")
DONE = Finished(state="done", finished_at=NOW, counts={"received": 2, "scored": 1, "refused_rows": 1, "contact": 1})
MADE = Manifest(
    list_id=str(LIST),
    owner="crm",
    format="csv",
    created_at=NOW,
    upload_until=NOW + timedelta(hours=1),
    limit_bytes=100,
    request_sha256="0" * 64,
)


def test_an_id_reads_back_and_names_its_keys() -> None:
    assert parse_list_id(str(LIST)) == LIST
    for name in NAMES:
        assert parse_key(LIST.key(name)) == (LIST, name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "term-deposit",
        "term-deposit.",
        "term-deposit." + "0" * 31,
        "term-deposit." + "G" * 32,
        "../x." + "0" * 32,
        "." + "0" * 32,
        "term-deposit." + "0" * 32 + "\n",
        "term-deposit." + "٠" * 32,
    ],
)
def test_what_cannot_be_an_id_is_not_found(text: str) -> None:
    with pytest.raises(NotFound):
        parse_list_id(text)


@given(st.text(max_size=80))
def test_any_text_is_an_id_or_not_found_and_an_id_leads_nowhere_else(text: str) -> None:
    try:
        found = parse_list_id(text)
    except NotFound:
        return
    assert str(found) == text
    assert found.key(UPLOAD).startswith(f"lists/{found.campaign}/")
    assert ".." not in found.key(UPLOAD).split("/")


@pytest.mark.parametrize(
    "key",
    [
        "lists/term-deposit/upload",
        f"lists/term-deposit/{'0' * 32}/other",
        f"inbox/term-deposit/{'0' * 32}/upload",
        f"lists/term-deposit/{'0' * 32}/upload/more",
        "lists/term-deposit/customers-0123456789ab/call-sheet.csv",
        f"lists/../{'0' * 32}/upload",
    ],
)
def test_a_key_of_something_else_is_none_of_a_list(key: str) -> None:
    assert parse_key(key) is None


def test_the_same_caller_and_key_is_the_same_list_and_nobody_else() -> None:
    assert new_list_id("term-deposit", "crm", "key") == LIST
    others = {new_list_id("term-deposit", "crm", "other"), new_list_id("term-deposit", "crm\0key", ""), new_list_id("x", "crm", "key")}
    assert len({o.token for o in others} | {LIST.token}) == 4


def test_what_is_written_reads_back() -> None:
    claim = Claim(version=None, size_bytes=3, noticed_at=NOW)
    for one in (MADE, claim, DONE, failed("malformed", "line 3", NOW)):
        assert type(one).from_bytes(one.to_bytes()) == one


def test_an_older_reader_leaves_out_what_it_does_not_know() -> None:
    newer = json.dumps({**json.loads(MADE.to_bytes()), "added_later": 1}).encode()
    assert Manifest.from_bytes(newer) == MADE


@given(st.permutations(NAMES[1:]), st.booleans(), st.sampled_from([DONE, failed("malformed", "no", NOW)]))
def test_whatever_order_objects_appear_in_the_state_only_moves_on(order: list[str], late: bool, end: Finished) -> None:
    before = ListState.EXPIRED if late else ListState.AWAITING_UPLOAD
    there: list[str] = [MANIFEST]
    for name in order:
        there.append(name)
        now = state_of(there, expired=late, finished=end if FINISHED in there else None)
        assert now == before or now in NEXT[before]
        before = now
    assert before in ENDED


@pytest.mark.parametrize("kind", ["memory", "folder"])
def test_a_list_is_as_far_as_its_objects_say(kind: str, tmp_path: Path) -> None:
    store = FakeObjectStore() if kind == "memory" else FolderStore(tmp_path)
    with pytest.raises(NotFound):
        read_list(store, LIST, NOW)
    states = []
    for name, data in ((MANIFEST, MADE.to_bytes()), (UPLOAD, b"a;b"), (CLAIM, b"{}"), (FINISHED, DONE.to_bytes())):
        store.put(LIST.key(name), data)
        states.append(read_list(store, LIST, NOW).state.value)
    assert states == ["awaiting_upload", "uploaded", "scoring", "done"]
    assert status(read_list(store, LIST, NOW))["counts"] == DONE.counts


def test_the_addresses_expire_and_a_late_upload_still_counts() -> None:
    store = FakeObjectStore()
    store.put(LIST.key(MANIFEST), MADE.to_bytes())
    late = MADE.upload_until
    assert read_list(store, LIST, late).state == ListState.EXPIRED
    store.put(LIST.key(UPLOAD), b"a;b")
    assert read_list(store, LIST, late).state == ListState.UPLOADED


def test_why_it_failed_is_told() -> None:
    store = FakeObjectStore()
    store.put(LIST.key(MANIFEST), MADE.to_bytes())
    store.put(LIST.key(FINISHED), failed("malformed", "the upload, line 3: a quote is open", NOW).to_bytes())
    told = status(read_list(store, LIST, NOW))
    assert told["state"] == "failed"
    assert told["failure"] == {"code": "malformed", "detail": "the upload, line 3: a quote is open"}


def test_the_first_to_write_is_the_one_who_counts() -> None:
    store = FakeObjectStore()
    first = Claim(version="1", size_bytes=1, noticed_at=NOW)
    second = Claim(version="2", size_bytes=2, noticed_at=NOW)
    key = ListId("a", "0" * 32).key(CLAIM)
    assert read_json(store, key, Claim) is None
    assert [first_of(store, key, first), first_of(store, key, second)] == [first, first]

"""Who may not be contacted is in no result of a list, whenever that became known and however the id is written."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from propensity.campaign import Campaign, Policy
from propensity.contact_policy import ContactHours, ContactPolicy
from propensity.customer_key import customer_key, customer_keys
from propensity.errors import DatabaseUnavailable, SettingsInvalid, SuppressionsChanged
from propensity.gate import ContactGate
from propensity.holdout import Holdout, held_out
from propensity.lists import csv_block_rows, csv_file, parquet_file, results
from propensity.lists.files import open_list
from propensity.lists.run import Result, score_file
from propensity.lists.scorer import LogTo
from propensity.model import Model
from propensity.schema import check_rows
from propensity.scoring import decide_list
from tests.builders import tiny_campaign
from tests.fake_gate import SECRETS, FakeSuppressionStore, GatedLog, fake_gate
from tests.fakes import FakeDatabase
from tests.propensity.lists.test_scoring import as_csv, as_parquet, columns_of

ROWS = 130
POLICIES = (
    Policy("profit"),
    Policy("top_share", 0.3),
    Policy("budget", 150.0),
    Policy("calls", 9),
    Policy("recall", 0.5),
    Policy("threshold", 0.3),
)


@pytest.fixture(scope="module", autouse=True)
def _small_chunks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_file, "_LEAST_BLOCK", 100)
        patch.setattr(csv_file, "CHUNK_ROWS", 50)
        patch.setattr(csv_file, "_SAMPLE_BYTES", 500)
        patch.setattr(csv_block_rows, "_FEW_ROWS", 1)
        patch.setattr(parquet_file, "CHUNK_ROWS", 50)
        patch.setattr(results, "PART_ROWS", 40)
        yield


@dataclass
class Desk:
    """A log, a gate and a folder."""

    folder: Path
    log: GatedLog
    gate: ContactGate

    @property
    def suppressions(self) -> FakeSuppressionStore:
        return self.log.suppressions

    def suppress(self, *names: str) -> None:
        self.suppressions.add(list(names), campaign=None, action="add", reason="objection", note=None, actor="tester")

    def score(self, model: Model, campaign: Campaign, path: Path, out: str = "out.csv") -> Result:
        source = open_list(path, campaign, self.folder)
        to = LogTo(self.log, f"{path.name}@{source.sha256}", "test", source.sha256)
        places = {"home": self.folder / "home", "out": self.folder / out, "errors": self.folder / "errors.csv"}
        return score_file(source, replace(model, campaign=campaign), log=to, top_reasons=0, gate=self.gate, **places)  # type: ignore[arg-type]

    def sheet(self, out: str = "out.csv") -> list[dict[str, Any]]:
        if out.endswith(".parquet"):
            rows: list[dict[str, Any]] = pq.read_table(self.folder / out).to_pylist()
            return rows
        return read(self.folder / out)

    def excluded(self) -> list[dict[str, Any]]:
        return read(self.folder / "excluded.csv")


def read(path: Path) -> list[dict[str, Any]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def make_desk(folder: Path, *, counting: bool = False) -> Desk:
    log = GatedLog(database := FakeDatabase(), FakeSuppressionStore(database))
    return Desk(folder, log, fake_gate(log, counting=counting))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return make_desk(tmp_path)


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder, columns = tmp_path_factory.mktemp("lists"), few()
    return {"csv": as_csv(columns, folder / "list.csv"), "parquet": as_parquet(columns, folder / "list.parquet")}


def few() -> dict[str, list[Any]]:
    columns = {name: values[:ROWS] for name, values in columns_of().items()}
    columns["customer"] = [str(1_000 + at) if at % 2 else f"Kunde-{at}" for at in range(ROWS)]
    return columns


SPELLINGS = (str, str.upper, str.lower, lambda name: f" {name}", lambda name: f"00{name}" if name.isdigit() else name + " ", lambda name: f"{name}.0" if name.isdigit() else name.title())  # noqa: E501  # fmt: skip


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_suppressed_customer_never_gets_out(data: st.DataObject, model: Model, lists: dict[str, Path], tmp_path_factory: Any) -> None:
    """Suppressed before the list is scored, or while it is written; written in any way that means the same; in any format of the list, the
    result and the policy.
    """
    desk = make_desk(tmp_path_factory.mktemp("desk"))
    names = few()["customer"]
    chosen = data.draw(st.lists(st.sampled_from(names), max_size=12, unique=True))
    spelled = [data.draw(st.sampled_from(SPELLINGS))(name) for name in chosen]
    at_once = data.draw(st.integers(0, len(chosen)))
    out = data.draw(st.sampled_from(["out.csv", "out.parquet"]))
    desk.suppress(*spelled[:at_once]) if at_once else None
    late = iter(spelled[at_once:])
    is_newest = desk.gate.is_newest

    def then(version: int) -> bool:
        # Whenever somebody asks whether there is a newer one, there is one more.
        if (name := next(late, None)) is not None:
            desk.suppress(name)
        return is_newest(version)

    desk.gate.is_newest = then  # type: ignore[method-assign]
    campaign = tiny_campaign(policy=data.draw(st.sampled_from(POLICIES)))
    path = lists[data.draw(st.sampled_from(["csv", "parquet"]))]
    try:
        found = desk.score(model, campaign, path, out)
    except SuppressionsChanged:
        assert not (desk.folder / out).exists()
        return
    gone = {customer_key(row.customer_id or "") for row in desk.suppressions.rows}
    assert gone <= {customer_key(name) for name in chosen}
    sheet = desk.sheet(out)
    assert not gone & {customer_key(row["customer_id"]) for row in sheet}
    left_out = {customer_key(row["customer_id"]) for row in desk.excluded()} if found.excluded else set()
    usable = {customer_key(name) for at, name in enumerate(names) if at not in (0, 60)}
    assert left_out == gone & usable
    assert {customer_key(row["customer_id"]) for row in sheet} == usable - gone
    assert len(sheet) + sum(found.excluded.values()) == found.scored


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.kind)
def test_nobody_who_is_left_alone_uses_up_a_budget_or_a_share(policy: Policy, model: Model, lists: dict[str, Path], desk: Desk) -> None:
    campaign, columns = tiny_campaign(policy=policy, holdout=Holdout(share=0.3, key="test")), few()
    desk.suppress(*columns["customer"][:40])
    found = desk.score(model, campaign, lists["csv"])
    checked = check_rows(campaign, columns, columns["customer"], ROWS, text=False)
    named = replace(model, campaign=campaign)
    looked = desk.gate.look(campaign, checked.table.ids)
    expected = decide_list(named, checked, policy, named.score(checked.table), looked=looked)
    assert expected.gate.held_out is not None
    held, contact = expected.gate.held_out, expected.decision.contact
    assert (found.contact, found.held_out) == (int(contact.sum()), int(held.sum()))
    sheet = {row["customer_id"]: row for row in desk.sheet()}
    arms = {"contact": "contact", "holdout": "leave"}
    for at, name in enumerate(checked.table.ids):
        if expected.gate.codes is not None and expected.gate.codes[at]:
            assert name not in sheet
            continue
        arm = "holdout" if held[at] else "contact" if contact[at] else ""
        assert (sheet[name]["arm"], sheet[name]["decision"]) == (arm, arms.get(arm, "leave"))
        assert int(sheet[name]["rank"]) == expected.decision.rank[at]
    entries = sorted(desk.log.entries, key=lambda entry: int(entry.rows[0]))
    assert np.concatenate([entry.contact for entry in entries]).tolist() == contact.tolist()
    kept = [int(entry.rows[at - 1]) for entry in entries if entry.gate for at in entry.gate.held_out]
    assert kept == checked.table.rows[held].tolist()
    assert {entry.gate.holdout_key for entry in entries if entry.gate} == {"test"}


def test_the_arm_of_a_customer_is_that_of_the_key_in_every_list(model: Model, lists: dict[str, Path], desk: Desk) -> None:
    campaign = tiny_campaign(policy=Policy("top_share", 1.0), holdout=Holdout(share=0.4, key="test"))
    desk.score(model, campaign, lists["csv"])
    desk.score(model, campaign, lists["parquet"], "out.parquet")
    one, other = ({row["customer_id"]: row["arm"] for row in desk.sheet(out)} for out in ("out.csv", "out.parquet"))
    assert one == other
    names = list(one)
    assert [one[name] == "holdout" for name in names] == held_out(SECRETS["test"], "tiny", customer_keys(names), 0.4)


def test_whoever_is_suppressed_while_the_sheet_is_written_is_not_on_it(
    model: Model, lists: dict[str, Path], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = 0
    in_order = results._Part.in_order

    def late(self: Any) -> bytes:
        nonlocal written
        written += 1
        if written == 1:
            desk.suppress("1001")
        return in_order(self)

    monkeypatch.setattr(results._Part, "in_order", late)
    found = desk.score(model, tiny_campaign(policy=Policy("top_share", 1.0)), lists["csv"])
    assert found.excluded == {"objection": 1}
    assert "1001" not in {row["customer_id"] for row in desk.sheet()}
    assert [(row["customer_id"], row["reason"], row["found"]) for row in desk.excluded()] == [("1001", "objection", "at_export")]
    # The log said to contact him; that he was left out stands beside it.
    assert [why for known in desk.log.contacts.late.values() for why in known.values()] == ["objection"]


def test_where_the_last_look_fails_there_is_no_sheet(
    model: Model, lists: dict[str, Path], desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(version: int) -> bool:
        raise DatabaseUnavailable("no answer")

    desk.gate.refresh()
    monkeypatch.setattr(desk.gate, "is_newest", fail)
    with pytest.raises(DatabaseUnavailable):
        desk.score(model, tiny_campaign(), lists["csv"])
    assert desk.log.entries == []
    answers = iter([True, True])
    monkeypatch.setattr(desk.gate, "is_newest", lambda version: next(answers, None) or fail(version))
    with pytest.raises(DatabaseUnavailable):
        desk.score(model, tiny_campaign(), lists["csv"])
    assert desk.log.entries
    assert not (desk.folder / "out.csv").exists()


def test_a_campaign_that_declares_whom_to_leave_alone_is_not_scored_without_the_gate(
    model: Model, lists: dict[str, Path], tmp_path: Path
) -> None:
    for declared in (tiny_campaign(holdout=Holdout(share=0.1, key="test")), tiny_campaign(contact_policy=ContactPolicy())):
        source = open_list(lists["csv"], declared, tmp_path)
        with pytest.raises(SettingsInvalid, match="contact gate"):
            score_file(
                source, replace(model, campaign=declared), home=tmp_path, out=tmp_path / "o.csv", errors=tmp_path / "e.csv", log=None
            )  # fmt: skip
    gate = make_desk(tmp_path).gate
    with pytest.raises(SettingsInvalid, match="other"):
        gate.secret(Holdout(share=0.1, key="other"))


def test_contacts_are_noted_when_the_sheet_appears_and_count_the_next_day(model: Model, lists: dict[str, Path], tmp_path: Path) -> None:
    desk = make_desk(tmp_path, counting=True)
    hours = ContactHours(time_zone="Europe/Lisbon", weekdays=("mon", "tue", "wed", "thu", "fri", "sat", "sun"))
    limited = tiny_campaign(policy=Policy("calls", 7), contact_policy=ContactPolicy(cooling_off_days=3, hours=hours))
    desk.log.database.now += timedelta(days=1)
    down = desk.gate.is_newest
    desk.gate.is_newest = lambda version: down(version) and len(desk.log.entries) == 0  # type: ignore[method-assign]
    with pytest.raises(SuppressionsChanged):
        desk.score(model, limited, lists["csv"])
    assert desk.log.contacts.contacts == []
    desk.gate.is_newest = down  # type: ignore[method-assign]
    first = desk.score(model, limited, lists["csv"])
    assert (first.contact, len(desk.log.contacts.contacts)) == (7, 7)
    called = {row["customer_id"]: row for row in desk.sheet() if row["decision"] == "contact"}
    assert all(row["contact_from"] < row["contact_until"] for row in called.values())
    assert {row["contact_from"] for row in desk.sheet() if row["decision"] == "leave"} == {""}
    # The same list on the same day is the same contact.
    assert desk.score(model, limited, lists["csv"]).contact == 7
    desk.log.database.now += timedelta(days=1)
    second = desk.score(model, limited, lists["csv"])
    assert second.excluded == {"cooling_off": 7}
    assert not set(called) & {row["customer_id"] for row in desk.sheet()}

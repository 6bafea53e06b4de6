"""The replay, short: on drawn customers that it can date, and where the real history lies, on its first days."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from datetime import date
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from propensity.adapters.object_store import FolderStore
from propensity.campaigns import campaign
from propensity.contact_days import ContactDay
from propensity.errors import DataError
from propensity.ingest import ingest
from propensity.snapshot import SnapshotData, read_snapshot
from propensity.synthetic import generate
from replay.__main__ import main
from replay.books import period
from replay.history import WEEKDAYS, contact_days
from replay.policies import Policy, policies, trailing_rate
from replay.walk import Books

TERM_DEPOSIT = campaign("term-deposit")
FIRST, CUT, MORE = 45, 58, 10
REAL = Path(os.environ.get("PROPENSITY_DATA_DIR", ""), TERM_DEPOSIT.source.file if TERM_DEPOSIT.source else "")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SnapshotData:
    store = FolderStore(tmp_path_factory.mktemp("replay"))
    manifest = ingest(TERM_DEPOSIT, generate(TERM_DEPOSIT, 6_000, 1), store).manifest
    return read_snapshot(store, TERM_DEPOSIT, manifest.snapshot_id)


@pytest.fixture(scope="module")
def days(data: SnapshotData) -> list[ContactDay]:
    """Five days a month: drawn customers have months and weekdays in no order within them."""
    assert data.months is not None
    weekday = np.array([WEEKDAYS.index(str(value)) for value in data.table.values("day_of_week")])
    order = np.lexsort((weekday, data.months))
    ordered = replace(data, table=data.table.take(order), label=data.label[order], months=data.months[order])
    return contact_days(ordered, TERM_DEPOSIT.retraining.traffic_growth)


def walk(policy: Policy, days: list[ContactDay]) -> Books:
    return policy.walk(TERM_DEPOSIT, days, FIRST, "test", lambda _: None)


def test_days_are_dated_in_order_within_their_months(days: list[ContactDay], data: SnapshotData) -> None:
    assert len(days) == 26 * 5
    assert all(before.date < after.date for before, after in pairwise(days))
    assert [WEEKDAYS[day.date.weekday()] for day in days[:5]] == [str(day.table.values("day_of_week")[0]) for day in days[:5]]
    with pytest.raises(DataError, match="not in order of date"):
        contact_days(data, 1.5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "delay"),
    [
        ("trailing-rate", 30),
        ("drift-triggered", 1),
        ("label-gap-triggered", 1),
        ("default", 1),
        ("default", 30),
        ("default-selective-5", 1),
    ],
)
def test_another_future_gives_the_same_past_decisions(days: list[ContactDay], name: str, delay: int) -> None:
    [policy] = [one for one in policies(TERM_DEPOSIT, (delay,)) if one.name == name]
    rng, later = np.random.default_rng(0), range(CUT, len(days))
    # The dates stay where they are: customers, outcomes and numbers of contacts change places.
    drawn = [days[at] for at in rng.permutation(later)]
    other = [replace(day, date=days[at].date, positive=rng.permutation(~day.positive)) for at, day in zip(later, drawn, strict=True)]
    once, again = walk(policy, days[: CUT + MORE]), walk(policy, [*days[:CUT], *other[:MORE]])
    rows = sum(map(len, days[FIRST:CUT]))
    both = min(len(once.scores), len(again.scores))
    assert once.scores[:rows].tolist() == again.scores[:rows].tolist()
    assert once.contact[:rows].tolist() == again.contact[:rows].tolist()
    assert once.scores[rows:both].tolist() != again.scores[rows:both].tolist()


def test_only_those_contacted_are_learned_from(days: list[ContactDay]) -> None:
    [policy] = [one for one in policies(TERM_DEPOSIT, (1,)) if one.name == "default-selective-0"]
    # What was not contacted may have any outcome: nobody sees it.
    once = walk(policy, days[:CUT])
    at, changed = 0, list(days[:CUT])
    for place in range(FIRST, CUT):
        contact = once.contact[at : at + len(days[place])]
        changed[place] = replace(days[place], positive=days[place].positive ^ ~contact)
        at += len(contact)
    assert walk(policy, changed).scores.tolist() == once.scores.tolist()
    assert once.explored == 0


def test_the_books_add_up(days: list[ContactDay]) -> None:
    replayed = days[FIRST:]
    rows = sum(map(len, replayed))
    everyone = period(Books(np.full(rows, np.nan), np.ones(rows, dtype=bool)), replayed, TERM_DEPOSIT.economics)
    conversions = int(sum(day.positive.sum() for day in replayed))
    assert (everyone["contacts"], everyone["conversions"]) == (everyone["customers"], conversions)
    assert everyone["profit"] == 200 * conversions - 40 * everyone["contacts"]
    assert everyone["ece"] is None
    trailing = period(trailing_rate(TERM_DEPOSIT, days, FIRST, 1), replayed, TERM_DEPOSIT.economics, replayed[10].date)
    assert trailing["customers"] == sum(map(len, replayed[10:]))
    assert 0 <= trailing["ece"] < 0.2


@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_file(), reason=f"PROPENSITY_DATA_DIR does not name a folder with {REAL.name}")
def test_the_short_form_on_the_real_history(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "replay.json"
    names = ["everyone", "trailing-rate", "frozen", "default"]
    assert main([*names, "--source", "public", "--delays", "1", "--days", "45", "--jobs", "1", "--report", str(report)]) == 0
    found = json.loads(report.read_text(encoding="utf-8"))
    assert date.fromisoformat(found["from"]) >= date(2008, 10, 1)
    assert found["economics"] == {"contact_cost": 40.0, "conversion_value": 200.0}
    by_name = {policy["name"]: policy for policy in found["policies"]}
    assert list(by_name) == names
    assert by_name["default"]["profit"] > max(by_name[name]["profit"] for name in names[:3])
    assert report.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert found["caveat"] in " ".join(capsys.readouterr().out.split())


def test_an_unknown_policy_is_named_with_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nobody"]) == 2
    assert "trailing-rate" in capsys.readouterr().err

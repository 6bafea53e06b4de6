"""The work of the flows, without Prefect: ingest, train, promote, roll back, score.

In order: each test goes on where the last one ended.
"""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from flows.ingest import ingest_into
from flows.promote import promote_into, rollback_into
from flows.score import pending_in, score_into, score_to_file
from flows.train import fit_into, register_into, training_key
from propensity.adapters.platform import Platform
from propensity.campaign import Policy
from propensity.campaigns import campaign
from propensity.errors import ModelError, NoLiveModel, NotFound, QualityGateFailed, RegistryUnavailable, SourceMissing
from propensity.model import load_package
from propensity.scoring import table_from_raw
from propensity.synthetic import generate
from tests.fakes import FakeModelRegistry
from tests.flows.conftest import NAME


def _registry(at: Platform) -> FakeModelRegistry:
    return cast(FakeModelRegistry, at.registry)


def _trained(at: Platform, source: str) -> str:
    snapshot = ingest_into(at, NAME, source)["snapshot_id"]
    return str(register_into(at, NAME, fit_into(at, NAME, snapshot))["digest"])


def _live(at: Platform) -> str | None:
    live = at.ledger.live(NAME)
    return None if live is None else live.model_digest


def _customers(n: int, **extra: int) -> bytes:
    """A list as a file; every customer has the same value in each extra column."""
    declared = campaign(NAME)
    data = io.StringIO()
    lines = csv.writer(data, delimiter=";")
    raw = generate(declared, n, 9)
    lines.writerow(["id", *declared.feature_names, *extra])
    lines.writerows([f"K-{i}", *(raw.columns[name][i] for name in declared.feature_names), *extra.values()] for i in range(n))
    return data.getvalue().encode()


def test_nothing_can_be_trained_promoted_or_scored_before_its_turn(at: Platform) -> None:
    with pytest.raises(NotFound):
        fit_into(at, NAME, None)
    with pytest.raises(NoLiveModel):
        promote_into(at, NAME, None, "test")
    with pytest.raises(NoLiveModel):
        rollback_into(at, NAME)
    at.store.put(f"inbox/{NAME}/early.csv", _customers(3))
    with pytest.raises(NoLiveModel):
        score_into(at, NAME, f"inbox/{NAME}/early.csv")
    assert at.log.count(NAME) == 0
    Path(at.settings.home, "store", "inbox", NAME, "early.csv").unlink()


def test_a_failed_ingest_leaves_nothing(at: Platform) -> None:
    with pytest.raises(SourceMissing):
        ingest_into(at, NAME, "nowhere.csv")
    assert list(at.store.keys("snapshots/")) == []


def test_every_wrong_row_of_a_refused_source_is_listed(at: Platform, tmp_path: Path) -> None:
    declared = campaign(NAME)
    raw = generate(declared, 60, 9)
    path = tmp_path / "calls.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, delimiter=";")
        lines.writerow(raw.columns)
        for i in range(60):
            cells = {name: values[i] for name, values in raw.columns.items()}
            lines.writerow((cells | {"age": 170} if i % 2 else cells).values())
    with pytest.raises(QualityGateFailed) as caught:
        ingest_into(at, NAME, str(path))
    (key,) = at.store.keys(f"ingests/{NAME}/")
    assert at.store.uri(key) in str(caught.value)
    listed = list(csv.DictReader(io.StringIO(at.store.get(key).decode())))
    assert [(row["row"], row["column"]) for row in listed] == [(str(n), "age") for n in range(2, 61, 2)]
    assert list(at.store.keys("snapshots/")) == []


def test_the_same_content_is_ingested_and_trained_once(at: Platform) -> None:
    first, again = ingest_into(at, NAME, None), ingest_into(at, NAME, None)
    assert (first["created"], again["created"]) == (True, False)
    assert first["snapshot_id"] == again["snapshot_id"]
    report = fit_into(at, NAME, first["snapshot_id"])
    assert fit_into(at, NAME, first["snapshot_id"]) == report
    register_into(at, NAME, report)
    figures = {key.rpartition("/")[2] for key in at.store.keys(training_key(NAME, report["digest"], ""))}
    assert "report.json" in figures
    assert sum(name.endswith(".png") for name in figures) >= 5
    logged = _registry(at).logged[-1]
    assert logged.tags["model_digest"] == report["digest"]
    assert logged.metrics["roc_auc"] == report["metrics"]["roc_auc"]


def test_without_the_registry_nothing_is_promoted(at: Platform) -> None:
    _registry(at).down = True
    try:
        with pytest.raises(RegistryUnavailable):
            promote_into(at, NAME, None, "test")
    finally:
        _registry(at).down = False
    assert at.ledger.history(NAME) == []


def test_the_first_model_goes_live_with_its_evidence(at: Platform) -> None:
    result = promote_into(at, NAME, None, "test")
    assert result["decision"] == "promote", result["reasons"]
    (row,) = at.ledger.history(NAME)
    assert (row.action, row.actor, row.replaces, row.model_digest) == ("promote", "test", None, result["model_digest"])
    assert row.evidence["challenger"]["roc_auc"] == pytest.approx(_registry(at).logged[-1].metrics["roc_auc"])
    assert _registry(at).aliases[NAME, "champion"] == "1"


def test_judging_the_live_model_again_changes_nothing(at: Platform) -> None:
    assert promote_into(at, NAME, None, "test")["decision"] == "unchanged"
    assert len(at.ledger.history(NAME)) == 1


def test_a_worse_model_is_refused_once_and_the_refusal_is_kept(at: Platform) -> None:
    live = _live(at)
    # A hundredth of the rows and another seed: it cannot beat the live model on rows of its own.
    worse = _trained(at, "synthetic:1000:77")
    result = promote_into(at, NAME, worse, "test")
    again = promote_into(at, NAME, worse, "test")
    assert (result["decision"], again["decision"]) == ("refuse", "refuse")
    assert _live(at) == live
    rows = at.ledger.history(NAME)
    assert [row.action for row in rows] == ["promote", "refuse"]
    assert rows[-1].evidence["champion_digest"] == live
    assert any(reason.startswith("failed") for reason in rows[-1].reasons)


def test_a_list_in_the_inbox_is_scored_once(at: Platform) -> None:
    key = f"inbox/{NAME}/list.csv"
    lines = _customers(40).splitlines()
    at.store.put(key, b"\r\n".join([*lines, lines[-1].replace(b"K-39;", b"K-40;x")]))
    assert pending_in(at, NAME) == [key]
    result = score_into(at, NAME, key)
    assert (result["received"], result["scored"], result["refused_rows"]) == (41, 40, 1)
    assert pending_in(at, NAME) == []
    assert score_into(at, NAME, key) == result
    assert at.log.count(NAME) == 40
    sheet = Path(result["call_sheet"].removeprefix("file://"))
    ranked = list(csv.DictReader(io.StringIO(sheet.read_text(encoding="utf-8"))))
    assert [row["rank"] for row in ranked] == [str(n) for n in range(1, 41)]
    (error,) = csv.DictReader(io.StringIO(sheet.with_name("errors.csv").read_text(encoding="utf-8")))
    assert (error["row"], error["column"]) == ("41", "age")


def test_an_unreadable_list_is_refused_by_name_and_not_tried_for_ever(at: Platform) -> None:
    key = f"inbox/{NAME}/broken.csv"
    at.store.put(key, b"this,is\nnot,a list\n")
    assert "refused" in score_into(at, NAME, key)
    assert pending_in(at, NAME) == []
    assert at.log.count(NAME) == 40


def test_the_log_gives_the_same_scores_again(at: Platform) -> None:
    declared = campaign(NAME)
    now = datetime.now(UTC)
    entries = list(at.log.window(NAME, now - timedelta(hours=1), now + timedelta(hours=1)))
    assert sum(len(entry.scores) for entry in entries) == 40
    for entry in entries:
        model = load_package(at.store, declared, entry.model_digest)
        table = table_from_raw(declared, entry.features, entry.customer_ids, entry.rows)
        assert np.array_equal(model.score(table), entry.scores)


def test_a_file_scored_from_the_shell_is_logged_once(at: Platform, tmp_path: Path) -> None:
    path, out = tmp_path / "customers.csv", tmp_path / "sheet.csv"
    path.write_bytes(_customers(25))
    before = at.log.count(NAME)
    first = score_to_file(at, NAME, path, out)
    assert score_to_file(at, NAME, path, out)["request_id"] == first["request_id"]
    assert at.log.count(NAME) == before + 25
    assert out.exists()
    assert first["not_used"] == {}
    assert not Path(first["errors"]).exists()


def test_the_same_file_under_another_policy_is_another_request(at: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, out = tmp_path / "policy.csv", tmp_path / "sheet.csv"
    path.write_bytes(_customers(20))
    first = score_to_file(at, NAME, path, out)
    everyone = replace(campaign(NAME), policy=Policy("top_share", 1.0))
    monkeypatch.setattr("flows.score.campaign", lambda _: everyone)
    second = score_to_file(at, NAME, path, out)
    assert (first["contact"] < 20, second["contact"]) == (True, 20)
    # The log says what the sheet says, for both.
    for found in (first, second):
        assert int(at.log.request(found["request_id"]).contact.sum()) == found["contact"]


def test_columns_of_a_file_that_are_not_used_are_named(at: Platform, tmp_path: Path) -> None:
    path = tmp_path / "more.csv"
    path.write_bytes(_customers(5, duration=100, shoe_size=42))
    found = score_to_file(at, NAME, path, tmp_path / "sheet.csv")["not_used"]
    assert list(found) == ["duration", "shoe_size"]
    assert "leaks" in found["duration"]


def test_a_rollback_restores_the_model_before_and_is_kept(at: Platform) -> None:
    first = _live(at)
    with pytest.raises(ModelError, match="first"):
        rollback_into(at, NAME)
    better = _trained(at, "synthetic:9000:5")
    assert first is not None
    result = promote_into(at, NAME, better, "test")
    if result["decision"] == "refuse":
        pytest.fail(json.dumps(result["reasons"]))
    assert _live(at) == better
    assert rollback_into(at, NAME, "test")["model_digest"] == first
    assert _live(at) == first
    assert [row.action for row in at.ledger.history(NAME)] == ["promote", "refuse", "promote", "rollback"]
    assert _registry(at).aliases[NAME, "champion"] == "1"

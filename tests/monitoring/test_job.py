from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest

from monitoring.job import monitor, performance
from monitoring.reference import reference_rows
from monitoring.window import Sample, log_rows, row_keys
from propensity.errors import DataError, ModelDamaged, NoLiveModel, ObjectStoreUnavailable
from propensity.model import Model, save_package
from propensity.ports import LoggedRequest, MonitorRun, Outcome, Promotion
from propensity.prediction_id import prediction_id
from propensity.relearning import FAMILIES
from propensity.schema import Table
from propensity.scoring import raw_features
from propensity.snapshot import read_snapshot, write_snapshot
from propensity.watch import Watch
from tests.builders import tiny_campaign, tiny_labels, tiny_snapshot, tiny_table, train_fast
from tests.fakes import NOW, FakeDatabase, FakeMonitorStore, FakeObjectStore, FakeOutcomeStore, FakePredictionLog, FakePromotionLedger

CAMPAIGN = tiny_campaign()
SINCE, UNTIL = NOW - timedelta(days=1), NOW + timedelta(days=1)
MATURE = NOW + timedelta(days=CAMPAIGN.label.window_days + 1)


@dataclass
class Platform:
    """Every store in memory."""

    store: FakeObjectStore
    database: FakeDatabase = field(default_factory=FakeDatabase)

    def __post_init__(self) -> None:
        self.log = FakePredictionLog(self.database)
        self.outcomes = FakeOutcomeStore(self.log)
        self.ledger = FakePromotionLedger(self.database)
        self.monitors = FakeMonitorStore(self.database)

    def promote(self, model: Model) -> None:
        sequence = len(self.ledger.rows) + 1
        self.ledger.append(Promotion(CAMPAIGN.name, sequence, "promote", model.digest, model.version, None, [], {}, "test"))

    def predict(self, model: Model, table: Table, *, digest: str | None = None) -> str:
        scores = model.score(table)
        request_id = f"00000000-0000-4000-8000-{len(self.log.entries):012d}"
        entry = LoggedRequest(
            request_id, CAMPAIGN.name, digest or model.digest, model.version, {"kind": "profit"}, "", table.ids, table.rows,
            raw_features(table), scores, scores > 0.25, len(table), 0, "http",
        )  # fmt: skip
        self.log.append(entry, idempotency_key=None, body_sha256="", reply=b"")
        return request_id

    def monitor(self, since: datetime = SINCE, until: datetime = UNTIL) -> MonitorRun:
        return monitor(CAMPAIGN, ledger=self.ledger, store=self.store, log=self.log, monitor_store=self.monitors, since=since, until=until)

    def performance(self, *, now: datetime = MATURE) -> MonitorRun:
        return performance(
            CAMPAIGN,
            ledger=self.ledger,
            store=self.store,
            outcomes=self.outcomes,
            monitor_store=self.monitors,
            since=SINCE,
            until=UNTIL,
            now=now,
            rows=partial(log_rows, self.log),
        )


@pytest.fixture(scope="module")
def base() -> tuple[dict[str, bytes], Model]:
    """Object storage with a snapshot, and the package of a model trained on it."""
    store = FakeObjectStore()
    data = tiny_snapshot(6_000)
    manifest = write_snapshot(store, data.table, data.label, data.months, {})
    model = train_fast(read_snapshot(store, CAMPAIGN, manifest.snapshot_id)).model
    save_package(store, model)
    return store.objects, model


@pytest.fixture
def model(base: tuple[dict[str, bytes], Model]) -> Model:
    return base[1]


@pytest.fixture
def at(base: tuple[dict[str, bytes], Model]) -> Platform:
    store = FakeObjectStore()
    store.objects = dict(base[0])
    platform = Platform(store)
    platform.promote(base[1])
    return platform


def shifted(table: Table, column: str, by: float) -> Table:
    return replace(table, columns={**table.columns, column: np.clip(table.columns[column] + by, -5, 5)})


def values(run: MonitorRun, metric: str) -> dict[str | None, float]:
    return {m.column: m.value for m in run.metrics if m.metric == metric}


def verdicts(run: MonitorRun, metric: str) -> dict[str | None, str]:
    return {m.column: m.verdict for m in run.metrics if m.metric == metric}


def test_the_same_customers_are_stable_and_every_logged_row_is_counted(at: Platform, model: Model) -> None:
    for seed in (11, 12, 13):
        at.predict(model, tiny_table(1_000, seed))
    run = at.monitor()
    assert run.verdict == "stable", [m for m in run.metrics if m.verdict != "stable"]
    assert run.rows == at.log.count(CAMPAIGN.name) == 3_000
    assert run.reference_rows == model.manifest.trained_rows
    assert (run.model_digest, run.snapshot_id) == (model.digest, model.manifest.snapshot_id)
    assert set(values(run, "psi")) == set(values(run, "evidently_psi")) == set(CAMPAIGN.feature_names)
    assert at.monitors.runs(CAMPAIGN.name)[0].metrics == run.metrics


def test_evidently_and_the_psi_of_all_rows_agree(at: Platform, model: Model) -> None:
    at.predict(model, shifted(tiny_table(4_000, 11), "rate", 0.5))
    run = at.monitor()
    ours, theirs = values(run, "psi"), values(run, "evidently_psi")
    # Categories without a gap are counted the same way; half a row per bin is the difference.
    assert theirs["job"] == pytest.approx(ours["job"], abs=0.002)
    # Numbers are cut differently: deciles here, equal widths there.
    assert theirs["rate"] == pytest.approx(ours["rate"], rel=0.3)
    for column in CAMPAIGN.feature_names:
        assert verdicts(run, "psi")[column] == verdicts(run, "evidently_psi")[column]
    assert values(run, "evidently_prediction_psi")[None] == pytest.approx(values(run, "prediction_psi")[None], rel=0.5)
    assert {m.method for m in run.metrics if m.metric == "evidently_psi"} == {"evidently_psi"}


def test_a_shifted_column_drifts_and_is_named(at: Platform, model: Model) -> None:
    at.predict(model, shifted(tiny_table(3_000, 11), "rate", 2))
    run = at.monitor()
    assert run.verdict == "drift"
    assert [column for column, verdict in verdicts(run, "psi").items() if verdict == "drift"] == ["rate"]
    assert values(run, "drifted_share")[None] == values(run, "evidently_drifted_share")[None] == pytest.approx(0.2)


def test_the_report_is_one_whole_page_that_fetches_nothing(at: Platform, model: Model) -> None:
    at.predict(model, tiny_table(500, 11))
    run = at.monitor()
    assert run.report_key == f"reports/{CAMPAIGN.name}/{run.run_id}.html"
    page = at.store.objects[run.report_key].decode()
    assert page.rstrip().endswith("</html>")
    assert len(page) > 1_000_000
    assert '<script src="http' not in page
    assert 'rel="stylesheet" href="http' not in page
    assert all(name in page for name in CAMPAIGN.feature_names)
    # Customer ids are k1, k2, ...: none may be in a report.
    assert '"k17"' not in page


def test_a_column_without_values_is_left_to_our_own_psi(at: Platform, model: Model) -> None:
    table = tiny_table(1_000, 11)
    at.predict(model, replace(table, columns={**table.columns, "income": np.full(1_000, np.nan)}))
    run = at.monitor()
    assert {m.column for m in run.metrics if m.method == "numpy_psi_of_sample"} == {"income"}
    assert verdicts(run, "psi")["income"] == "drift"
    assert values(run, "missing_share")["income"] == values(run, "evidently_missing_share")["income"] == 1


def test_an_empty_window_is_no_data_and_never_no_drift(at: Platform) -> None:
    run = at.monitor()
    assert (run.verdict, run.rows, run.report_key, run.metrics) == ("no_data", 0, None, ())
    assert [known.run_id for known in at.monitors.recorded] == [run.run_id]
    assert not list(at.store.keys("reports/"))


def test_the_same_comparison_is_made_once(at: Platform, model: Model) -> None:
    at.predict(model, tiny_table(500, 11))
    first, again = at.monitor(), at.monitor()
    assert again == replace(first, created_at=again.created_at)
    assert len(at.monitors.recorded) == 1
    assert at.performance().run_id == at.performance().run_id
    assert len(at.monitors.recorded) == 2


def test_rows_that_come_later_into_an_open_window_are_seen(at: Platform, model: Model) -> None:
    assert at.monitor().verdict == "no_data"
    at.predict(model, tiny_table(500, 11))
    assert at.monitor().rows == 500
    assert [run.rows for run in at.monitors.recorded] == [0, 500]


def test_the_window_begins_and_ends_where_it_says(at: Platform, model: Model) -> None:
    for hours in (0, 1, 2):
        at.database.now = NOW + timedelta(hours=hours)
        at.predict(model, tiny_table(200 + hours, 11))
    assert at.monitor(NOW + timedelta(hours=1), NOW + timedelta(hours=2)).rows == 201


def test_rows_of_other_models_are_compared_and_counted(at: Platform, model: Model) -> None:
    at.predict(model, tiny_table(300, 11), digest="f" * 64)
    at.predict(model, tiny_table(200, 12))
    run = at.monitor()
    assert run.rows == 500
    assert (values(run, "models_in_window")[None], values(run, "rows_by_other_models")[None]) == (2, 300)


def test_large_sides_are_sampled_and_the_run_says_so(at: Platform, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("monitoring.evidently_report.SAMPLE_ROWS", 700)
    at.predict(model, tiny_table(900, 11))
    run = at.monitor()
    assert run.rows == 900
    assert (values(run, "reference_sample_rows")[None], values(run, "current_sample_rows")[None]) == (700, 700)
    repeated = Platform(at.store)
    repeated.promote(model)
    repeated.predict(model, tiny_table(900, 11))
    assert repeated.monitor().metrics == run.metrics


def test_without_a_live_model_an_empty_window_is_no_data_and_a_full_one_an_error(base: tuple[dict[str, bytes], Model]) -> None:
    at = Platform(FakeObjectStore())
    assert at.monitor().verdict == "no_data"
    at.predict(base[1], tiny_table(10, 1))
    with pytest.raises(NoLiveModel):
        at.monitor()


def test_a_store_that_is_down_leaves_no_run_behind(at: Platform, model: Model) -> None:
    at.predict(model, tiny_table(100, 11))
    at.store.down = True
    with pytest.raises(ObjectStoreUnavailable):
        at.monitor()
    assert not at.monitors.recorded


@pytest.mark.parametrize(("since", "until"), [(UNTIL, SINCE), (SINCE, SINCE), (SINCE.replace(tzinfo=None), UNTIL)])
def test_an_impossible_window_is_refused(at: Platform, since: datetime, until: datetime) -> None:
    with pytest.raises(DataError):
        at.monitor(since, until)


def test_the_run_is_the_same_in_every_time_zone(at: Platform) -> None:
    elsewhere = datetime.fromisoformat("2026-02-28T17:00:00+05:00")
    assert at.monitor(elsewhere, UNTIL).run_id == at.monitor(elsewhere.astimezone(UTC), UNTIL).run_id


def test_performance_waits_for_outcomes_and_measures_them_as_they_come(at: Platform, model: Model) -> None:
    table = tiny_table(2_000, 11)
    request_id = at.predict(model, table)
    assert at.performance().verdict == "no_data"
    labels = tiny_labels(table, 11)
    said = [Outcome(bool(label), None, prediction_id(request_id, row)) for row, label in enumerate(labels[:1_000], start=1)]
    at.outcomes.record(CAMPAIGN.name, said, "test")
    run = at.performance()
    assert (run.kind, run.verdict, run.rows, run.reference_rows) == ("performance", "stable", 1_000, 2_000)
    assert values(run, "coverage")[None] == 0.5
    assert values(run, "positive_rate")[None] == pytest.approx(labels[:1_000].mean())
    assert values(run, "roc_auc")[None] > 0.65
    assert [known.rows for known in at.monitors.recorded] == [0, 1_000]


def test_young_predictions_are_told_as_preliminary_and_judged_when_they_are_mature(at: Platform, model: Model) -> None:
    table = tiny_table(2_000, 11)
    request_id = at.predict(model, table)
    labels = tiny_labels(table, 11)
    said = [Outcome(bool(label), None, prediction_id(request_id, row)) for row, label in enumerate(labels[:1_000], start=1)]
    at.outcomes.record(CAMPAIGN.name, said, "test")
    run = at.performance(now=NOW + timedelta(days=CAMPAIGN.label.window_days))
    assert (run.verdict, run.rows, run.reference_rows) == ("no_data", 0, 0)
    assert values(run, "not_yet_mature")[None] == 2_000
    assert values(run, "labelled_not_yet_mature")[None] == 1_000
    assert {m.method for m in run.metrics if m.metric == "preliminary_roc_auc"} == {"preliminary"}
    assert not values(run, "roc_auc")
    assert at.performance().rows == 1_000


def test_a_change_that_lasts_is_an_alarm_and_one_odd_list_is_watched(at: Platform, model: Model) -> None:
    for hours in (-20, 0, 20):
        at.database.now = NOW + timedelta(hours=hours)
        at.predict(model, shifted(tiny_table(1_000, 31 + hours), "rate", 1.5))
    run = at.monitor()
    assert run.alarm == "alarm"
    assert verdicts(run, "chance")["rate"] == "alarm"
    assert {name for name, state in verdicts(run, "chance").items() if state == "alarm"} <= {"rate", None}
    assert values(run, "new_alarms")[None] >= 1
    once = Platform(at.store)
    once.promote(model)
    once.predict(model, shifted(tiny_table(3_000, 11), "rate", 1.5))
    odd = once.monitor()
    assert (odd.alarm, verdicts(odd, "chance")["rate"]) == ("watch", "watch")


def test_a_change_seen_in_the_window_before_is_an_alarm_now_and_new_only_once(at: Platform, model: Model) -> None:
    for day in (0, 2, 4):
        at.database.now = NOW + timedelta(days=day)
        at.predict(model, shifted(tiny_table(3_000, 11 + day), "rate", 1.5))
    runs = [at.monitor(SINCE + timedelta(days=day), UNTIL + timedelta(days=day)) for day in (0, 2, 4)]
    assert [run.alarm for run in runs] == ["watch", "alarm", "alarm"]
    assert values(runs[1], "new_alarms")[None] >= 1
    assert values(runs[2], "new_alarms")[None] == 0


def test_too_little_data_is_a_state(at: Platform, model: Model) -> None:
    at.predict(model, shifted(tiny_table(20, 11), "rate", 3))
    assert at.monitor().alarm == "too_little_data"
    assert at.monitor(SINCE - timedelta(days=9), SINCE).alarm == "no_data"


def test_the_impact_of_a_change_is_told_in_money(at: Platform, model: Model) -> None:
    table = shifted(tiny_table(3_000, 11), "rate", -2)
    at.predict(model, table)
    run = at.monitor()
    scores = model.score(table)
    expected = float(np.maximum(0, 20 * scores - 5).mean() * 1_000)
    assert values(run, "expected_profit_per_1000")[None] == pytest.approx(expected)
    [whole] = [m for m in run.metrics if m.metric == "impact_per_1000" and m.column is None]
    assert whole.value == pytest.approx(expected - values(run, "reference_profit_per_1000")[None])
    assert whole.high is not None
    assert whole.high < 0
    by_column = {m.column: m.value for m in run.metrics if m.metric == "impact_per_1000" and m.column}
    assert min(by_column, key=lambda name: by_column[name]) == "rate"
    assert abs(by_column["age"]) < 0.1 * abs(by_column["rate"])


def test_rows_of_another_schema_and_refusals_are_counted(at: Platform, model: Model) -> None:
    at.predict(model, tiny_table(300, 11))
    entry = at.log.entries[0]
    other = replace(entry, request_id=entry.request_id[:-3] + "999", features=entry.features[:, :4])
    at.log.entries.append(replace(other, refused=100, received=400))
    run = at.monitor()
    assert (run.rows, values(run, "rows_of_another_schema")[None]) == (300, 300)
    assert values(run, "refused_share")[None] == pytest.approx(100 / 700)


def test_groups_are_told_with_and_without_outcomes(base: tuple[dict[str, bytes], Model], monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeObjectStore()
    store.objects = dict(base[0])
    at, table, declared = Platform(store), tiny_table(2_000, 11), tiny_campaign(watch=Watch(protected=("job", "age")))
    monkeypatch.setitem(globals(), "CAMPAIGN", declared)
    at.promote(base[1])
    request_id = at.predict(base[1], table)
    run = at.monitor()
    contact, jobs = at.log.entries[0].contact, np.array(table.values("job"))
    rates = {m.group: m.value for m in run.metrics if m.metric == "contact_rate" and m.column == "job"}
    assert rates == {job: pytest.approx(contact[jobs == job].mean()) for job in ("clerk", "farmer", "nurse", "pilot")}
    labels = tiny_labels(table, 11)
    at.outcomes.record(declared.name, [Outcome(bool(y), None, prediction_id(request_id, n)) for n, y in enumerate(labels, start=1)], "test")
    hit = {m.group: m.value for m in at.performance().metrics if m.metric == "true_positive_rate" and m.column == "job"}
    assert hit["pilot"] == pytest.approx(contact[(jobs == "pilot") & labels].mean())


def test_a_sample_is_the_same_in_any_order_and_uniform() -> None:
    rng, ids = np.random.default_rng(1), [f"00000000-0000-4000-8000-{n:012d}" for n in range(400)]
    keys = row_keys(ids, np.full(400, 50))
    rows = rng.random((20_000, 3))
    taken = []
    for order in (np.arange(20_000), rng.permutation(20_000)):
        sample = Sample(1_000, 2)
        for part in np.array_split(order, 13):
            sample.add(keys[part], rows[part, :2], rows[part, 2])
        taken.append(sample._rows[np.argsort(sample._keys)])
    assert np.array_equal(taken[0], taken[1])
    assert len(np.unique(keys)) == 20_000
    # The mean of a thousand uniform numbers: five standard errors.
    assert taken[0][:, 2].mean() == pytest.approx(0.5, abs=5 * 0.289 / np.sqrt(1_000))


def test_a_model_that_learned_on_from_the_log_is_compared_with_the_rows_of_its_snapshot(at: Platform, model: Model) -> None:
    data = read_snapshot(at.store, CAMPAIGN, model.manifest.snapshot_id)
    held = len(reference_rows(data, model.manifest)[0])
    followed = replace(model.manifest, families=FAMILIES, trained_rows=held + 140)
    assert len(reference_rows(data, followed)[0]) == held
    with pytest.raises(ModelDamaged, match="holds"):
        reference_rows(data, replace(followed, trained_rows=held - 1))
    with pytest.raises(ModelDamaged, match="holds"):
        reference_rows(data, replace(model.manifest, trained_rows=held + 140))

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import xgboost as xgb
from hypothesis import given, settings
from hypothesis import strategies as st

from propensity.booster import load_booster
from propensity.campaign import Campaign, Categorical, Numeric
from propensity.errors import ModelDamaged, NoLiveModel
from propensity.model import CANARY_ROWS, Manifest, Model, canary, load_package, open_package, package_key, save_package
from propensity.schema import check_rows
from tests.builders import MemoryStore, tiny_campaign, tiny_columns, tiny_table

# Scored more often than trained: one table, taken apart in many ways.
TABLE = tiny_table(60, seed=99)


@pytest.fixture
def store(model: Model) -> MemoryStore:
    filled = MemoryStore()
    save_package(filled, model)
    return filled


def manifest_with(model: Model, **changes: Any) -> bytes:
    """The manifest with other content, written as a sound one would be."""
    raw = json.loads(model.manifest.to_bytes()) | changes
    return json.dumps(raw, sort_keys=True, separators=(",", ":")).encode()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class TestScores:
    def test_scores_are_probabilities(self, model: Model) -> None:
        scores = model.score(TABLE)
        assert scores.shape == (60,)
        assert scores.dtype == np.float64
        assert ((scores > 0) & (scores < 1)).all()
        assert len(np.unique(scores)) > 10

    def test_no_rows_have_no_scores(self, model: Model) -> None:
        empty = TABLE.take(np.array([], dtype=np.int64))
        assert model.score(empty).shape == (0,)
        assert model.contributions(empty).shape == (0, 6)

    # A booster is slow to wake up the first time; what is asserted is not time.
    @settings(deadline=None, max_examples=60)
    @given(st.lists(st.integers(0, 59), min_size=1, max_size=60))
    def test_a_row_has_the_same_score_to_the_bit_alone_in_any_list_and_in_any_order(self, model: Model, picked: list[int]) -> None:
        whole = model.score(TABLE)
        assert model.score(TABLE.take(np.array(picked))).tobytes() == whole[picked].tobytes()

    def test_every_row_alone(self, model: Model) -> None:
        alone = np.concatenate([model.score(TABLE.take(np.array([at]))) for at in range(60)])
        assert alone.tobytes() == model.score(TABLE).tobytes()

    def test_a_large_list_scores_as_its_rows_do(self, model: Model) -> None:
        repeated = np.arange(60).repeat(200)
        assert model.score(TABLE.take(repeated)).tobytes() == model.score(TABLE)[repeated].tobytes()

    @pytest.mark.parametrize("text", [False, True])
    def test_the_form_in_which_rows_came_does_not_matter(self, model: Model, text: bool) -> None:
        columns = tiny_columns(60, seed=99)
        if text:
            columns = {name: ["" if v is None else str(v) for v in values] for name, values in columns.items()}
        shuffled = dict(reversed(columns.items()))
        checked = check_rows(model.campaign, shuffled, None, 60, text=text)
        assert model.score(checked.table).tobytes() == model.score(TABLE).tobytes()

    def test_ids_and_row_numbers_do_not_matter(self, model: Model) -> None:
        other = replace(TABLE, ids=tuple(f"other-{at}" for at in range(60)), rows=TABLE.rows + 1_000)
        assert model.score(other).tobytes() == model.score(TABLE).tobytes()


class TestContributions:
    def test_they_sum_to_the_calibrated_log_odds(self, model: Model) -> None:
        scores = model.score(TABLE)
        log_odds = np.log(scores / (1 - scores))
        np.testing.assert_allclose(model.contributions(TABLE).sum(axis=1), log_odds, atol=1e-5)

    def test_there_is_one_per_feature_and_the_base_value_is_the_same_for_all(self, model: Model) -> None:
        found = model.contributions(TABLE)
        assert found.shape == (60, 6)
        assert np.ptp(found[:, -1]) == 0.0

    def test_the_known_signal_is_seen(self, model: Model) -> None:
        pilots = np.array([job == "pilot" for job in TABLE.values("job")])
        effects = model.contributions(TABLE)[:, 3]
        assert effects[pilots].mean() > 0 > effects[~pilots].mean()

    def test_importance_is_a_share_per_feature_largest_first(self, model: Model) -> None:
        found = model.importance()
        assert sum(found.values()) == pytest.approx(1.0)
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert set(found) <= set(model.campaign.feature_names)
        assert set(list(found)[:2]) == {"job", "rate"}


class TestPackage:
    def test_it_comes_back_from_a_store_with_the_same_scores(self, model: Model, store: MemoryStore) -> None:
        again = load_package(store, model.campaign, model.digest)
        assert again.manifest == model.manifest
        assert again.digest == model.digest == sha256(store.get(package_key("tiny", model.digest, "manifest.json")))
        assert again.score(TABLE).tobytes() == model.score(TABLE).tobytes()
        assert again.contributions(TABLE).tobytes() == model.contributions(TABLE).tobytes()
        assert again.version == model.digest[:12]

    def test_the_manifest_is_written_last(self, store: MemoryStore) -> None:
        assert [key.rpartition("/")[2] for key in store.puts] == ["model.json", "manifest.json"]

    def test_writing_it_twice_changes_nothing(self, model: Model, store: MemoryStore) -> None:
        before = dict(store.objects)
        assert save_package(store, model) == model.digest
        assert store.objects == before
        assert len(store.puts) == 2

    def test_a_package_without_its_manifest_is_written_again(self, model: Model, store: MemoryStore) -> None:
        del store.objects[package_key("tiny", model.digest, "manifest.json")]
        save_package(store, model)
        assert load_package(store, model.campaign, model.digest).digest == model.digest

    @pytest.mark.parametrize("lost", ["manifest.json", "model.json"])
    def test_a_package_that_is_not_there_is_no_live_model(self, model: Model, store: MemoryStore, lost: str) -> None:
        del store.objects[package_key("tiny", model.digest, lost)]
        with pytest.raises(NoLiveModel):
            load_package(store, model.campaign, model.digest)

    def test_whatever_could_change_a_score_changes_the_digest(self, model: Model) -> None:
        manifest = model.manifest
        changes: list[dict[str, Any]] = [
            {"slope": manifest.slope + 1e-15},
            {"offset": manifest.offset + 1e-15},
            {"ranks": {**manifest.ranks, "job": (3, 2, 1, 0)}},
            {"model_sha256": "0" * 64},
            {"features": manifest.features[::-1]},
            {"categories": {**manifest.categories, "job": ("a", "b", "c", "d")}},
        ]
        digests = {replace(model, manifest=replace(manifest, **change)).digest for change in changes}
        assert len(digests | {model.digest}) == len(changes) + 1

    def test_a_manifest_is_read_as_it_was_written(self, model: Model) -> None:
        again = Manifest.from_bytes(model.manifest.to_bytes())
        assert again == model.manifest
        assert again.to_bytes() == model.manifest.to_bytes()


def places(data: bytes) -> list[int]:
    """The first and last bytes, and two hundred spread over the rest."""
    return sorted({0, 1, len(data) - 2, len(data) - 1, *np.linspace(0, len(data) - 1, 200).astype(int).tolist()})


def flip(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << at % 8)]) + data[at + 1 :]


MUTATIONS: dict[str, Callable[[bytes, int], bytes]] = {
    "a bit flipped": flip,
    "a byte set to zero": lambda data, at: data[:at] + b"\0" + data[at + 1 :],
    "a byte lost": lambda data, at: data[:at] + data[at + 1 :],
    "a byte doubled": lambda data, at: data[: at + 1] + data[at:],
    "a blank put in": lambda data, at: data[:at] + b" " + data[at:],
    "cut short": lambda data, at: data[:at],
    "tail alone": lambda data, at: data[at + 1 :],
}


class TestDamage:
    @pytest.mark.parametrize("mutation", MUTATIONS)
    @pytest.mark.parametrize("name", ["manifest.json", "model.json"])
    def test_a_package_with_any_byte_changed_never_opens(self, model: Model, store: MemoryStore, name: str, mutation: str) -> None:
        key = package_key("tiny", model.digest, name)
        sound = store.objects[key]
        for at in places(sound):
            store.objects[key] = MUTATIONS[mutation](sound, at)
            assert store.objects[key] != sound
            with pytest.raises(ModelDamaged):
                load_package(store, model.campaign, model.digest)

    @pytest.mark.parametrize("mutation", MUTATIONS)
    def test_a_changed_manifest_never_opens_to_other_scores_even_where_no_digest_is_known(self, model: Model, mutation: str) -> None:
        sound = model.manifest.to_bytes()
        for at in places(sound):
            damaged = MUTATIONS[mutation](sound, at)
            try:
                opened = open_package(model.campaign, damaged, model.model_json, None)
            except ModelDamaged:
                continue
            # What is left are changes of words: the scores are those of the sound model, and the digest is another.
            assert opened.digest == sha256(damaged) != model.digest
            assert opened.score(TABLE).tobytes() == model.score(TABLE).tobytes()

    def test_the_booster_is_not_parsed_before_its_digest_is_checked(self, model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
        def parse(_: bytes) -> xgb.Booster:
            raise AssertionError("parsed")

        monkeypatch.setattr("propensity.model.load_booster", parse)
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, model.manifest.to_bytes(), model.model_json + b" ", model.digest)

    @pytest.mark.parametrize("digest", ["", "0" * 64, "x"])
    def test_a_package_under_another_digest_is_refused(self, model: Model, digest: str) -> None:
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, model.manifest.to_bytes(), model.model_json, digest)

    @pytest.mark.parametrize(
        "data", [b"", b"null", b"[]", b"{}", b"1", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"format":1}', b'{"format":2}', b'{"format":NaN}']
    )
    def test_what_is_not_a_manifest_is_refused(self, model: Model, data: bytes) -> None:
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, data, model.model_json, None)

    @pytest.mark.parametrize("data", [b"", b"null", b"{}", b"[]", b"not json", b'{"learner":{}}', b"\x80\x04", b"{L\0\0\0\0\0\0\0"])
    def test_what_is_not_a_booster_is_refused(self, data: bytes) -> None:
        with pytest.raises(ModelDamaged):
            load_booster(data)

    @pytest.mark.parametrize(
        "changes",
        [
            {"format": 0},
            {"campaign": "other"},
            {"slope": 0.5},
            {"offset": 0.25},
            {"slope": "1"},
            {"slope": None},
            {"ranks": {}},
            {"ranks": {"job": [0, 1, 2, 3], "region": [0, 1]}},
            {"ranks": {"job": [0, 1, 2, 3], "region": ["a", "b", "c"]}},
            {"ranks": []},
            {"categories": {}},
            {"categories": None},
            {"features": ["age"]},
            {"features": ["income", "age", "rate", "job", "region"]},
            {"canary": {}},
            {"canary": None},
            {"canary": {"columns": {}, "scores": []}},
            {"canary": {"columns": {}, "scores": [0.5]}},
            {"canary": {"columns": [], "scores": [0.5]}},
            {"canary": {"columns": {"age": [40]}, "scores": [0.5, 0.5]}},
            {"surplus": 1},
        ],
        ids=str,
    )
    def test_a_manifest_that_was_edited_is_refused_although_its_own_digest_fits(self, model: Model, changes: dict[str, Any]) -> None:
        edited = manifest_with(model, **changes)
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, edited, model.model_json, sha256(edited))

    @pytest.mark.parametrize("column", ["age", "income", "rate", "job", "region"])
    def test_canary_columns_of_another_length_are_refused(self, model: Model, column: str) -> None:
        sound = dict(model.manifest.canary)
        edited = manifest_with(model, canary=sound | {"columns": sound["columns"] | {column: sound["columns"][column][:-1]}})
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, edited, model.model_json, sha256(edited))

    def test_canary_scores_that_differ_in_the_last_bit_are_refused(self, model: Model) -> None:
        sound = model.manifest.canary
        scores = [*sound["scores"][:-1], float(np.nextafter(sound["scores"][-1], 1))]
        edited = manifest_with(model, canary={**sound, "scores": scores})
        with pytest.raises(ModelDamaged, match="canary"):
            open_package(model.campaign, edited, model.model_json, sha256(edited))

    def test_a_manifest_that_is_not_written_canonically_is_refused(self, model: Model) -> None:
        pretty = json.dumps(json.loads(model.manifest.to_bytes()), indent=1).encode()
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, pretty, model.model_json, sha256(pretty))

    def test_another_booster_with_a_fitting_digest_is_refused_by_the_canary(self, model: Model) -> None:
        matrix = xgb.DMatrix(np.random.default_rng(0).random((50, 5)), np.arange(50) % 2)
        other = bytes(xgb.train({"objective": "binary:logistic"}, matrix, 2).save_raw("json"))
        edited = manifest_with(model, model_sha256=sha256(other))
        with pytest.raises(ModelDamaged, match="canary"):
            open_package(model.campaign, edited, other, sha256(edited))

    def test_a_booster_of_another_width_is_refused(self, model: Model) -> None:
        matrix = xgb.DMatrix(np.random.default_rng(0).random((50, 7)), np.arange(50) % 2)
        other = bytes(xgb.train({"objective": "binary:logistic"}, matrix, 2).save_raw("json"))
        edited = manifest_with(model, model_sha256=sha256(other))
        with pytest.raises(ModelDamaged):
            open_package(model.campaign, edited, other, sha256(edited))


FEATURES = tiny_campaign().features


@pytest.mark.parametrize(
    "campaign",
    [
        tiny_campaign(name="other"),
        tiny_campaign(features=FEATURES[:-1]),
        tiny_campaign(features=FEATURES[::-1]),
        tiny_campaign(features=(*FEATURES, Numeric("more", 0, 1))),
        tiny_campaign(features=(Numeric("years", 18, 100, integer=True), *FEATURES[1:])),
        tiny_campaign(features=(*FEATURES[:-1], Categorical("region", (20, 10, 30), nullable=True))),
        tiny_campaign(features=(*FEATURES[:-1], Categorical("region", (10, 20, 30, 40), nullable=True))),
        tiny_campaign(features=(*FEATURES[:-1], Categorical("region", ("10", "20", "30"), nullable=True))),
        tiny_campaign(features=(*FEATURES[:-1], Categorical("region", (10, 20, 40), nullable=True))),
        tiny_campaign(features=(*FEATURES[:-1], Numeric("region", 0, 100, nullable=True))),
        tiny_campaign(features=(Numeric("age", 99, 100, integer=True), *FEATURES[1:])),
    ],
    ids=[
        "name",
        "fewer",
        "reordered",
        "more",
        "renamed",
        "values reordered",
        "value added",
        "values retyped",
        "value replaced",
        "kind",
        "range",
    ],
)
def test_a_model_of_another_declaration_is_refused(model: Model, campaign: Campaign) -> None:
    with pytest.raises(ModelDamaged):
        open_package(campaign, model.manifest.to_bytes(), model.model_json, model.digest)


def test_a_value_that_no_canary_row_holds_is_still_bound_to_its_place(model: Model) -> None:
    """Two rare values that change places would give each other's score, and no canary row would notice."""
    columns = dict(model.manifest.canary["columns"])
    nobody = {name: [v for v, job in zip(values, columns["job"], strict=True) if job == "nurse"] for name, values in columns.items()}
    kept = [at for at, job in enumerate(columns["job"]) if job == "nurse"]
    blind = manifest_with(model, canary={"columns": nobody, "scores": [model.manifest.canary["scores"][at] for at in kept]})
    swapped = Categorical("job", ("farmer", "clerk", "nurse", "pilot"))
    assert open_package(model.campaign, blind, model.model_json, sha256(blind)).campaign == model.campaign
    with pytest.raises(ModelDamaged):
        open_package(tiny_campaign(features=(*FEATURES[:3], swapped, FEATURES[4])), blind, model.model_json, sha256(blind))


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Another title"},
        {"gates": ()},
        {"retrain_cron": "0 0 1 * *"},
        {"features": (Numeric("age", 0, 120, integer=True), *FEATURES[1:])},
    ],
    ids=["title", "gates", "schedule", "wider range"],
)
def test_a_declaration_that_changes_no_meaning_keeps_its_model(model: Model, change: dict[str, Any]) -> None:
    opened = open_package(tiny_campaign(**change), model.manifest.to_bytes(), model.model_json, model.digest)
    assert opened.digest == model.digest


class TestCanary:
    @pytest.mark.parametrize("n", [1, 2, CANARY_ROWS - 1, CANARY_ROWS, 60])
    def test_rows_are_spread_over_the_scores(self, model: Model, n: int) -> None:
        table = TABLE.take(np.arange(n))
        found = canary(table, model.score(table))
        assert len(found["scores"]) == min(n, CANARY_ROWS)
        assert found["scores"][0] == model.score(table).min()
        assert found["scores"][-1] == model.score(table).max()
        assert all(len(values) == len(found["scores"]) for values in found["columns"].values())

    def test_rows_survive_json(self, model: Model) -> None:
        found = json.loads(json.dumps(canary(TABLE, model.score(TABLE)), allow_nan=False))
        checked = check_rows(model.campaign, found["columns"], None, len(found["scores"]), text=False)
        assert checked.issues == ()
        assert model.score(checked.table).tolist() == found["scores"]

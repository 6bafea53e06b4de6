"""Packages: loaded once whoever asks, refused with a reason, and nothing that was promoted can take the service down."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from api.packages import KEPT, LONGEST_RETRY_S, RETRY_S, Packages
from propensity.errors import ModelDamaged, ModelLoading, NoLiveModel, ObjectStoreUnavailable, PropensityError
from propensity.model import Model, SealedPackage, package_key, save_package
from tests.api.broken_models import CHANGES, TEXTS, broken, under_fitting_digests
from tests.api.conftest import FIRST_PARSE, World
from tests.api.models import make_model
from tests.fakes import FakeObjectStore

MODEL, MANIFEST = "model.json", "manifest.json"


class Gate:
    """A first parse that waits until it is let through, and counts."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.asked: list[str] = []

    def __call__(self, package: SealedPackage) -> None:
        self.asked.append(package.digest)
        assert self.open.wait(30)


@pytest.fixture
def store(deposit: Model) -> FakeObjectStore:
    filled = FakeObjectStore()
    save_package(filled, deposit)
    return filled


def test_ten_at_once_load_a_package_once(store: FakeObjectStore, deposit: Model) -> None:
    gate = Gate()
    packages = Packages(store, gate)
    with ThreadPoolExecutor(10) as threads:
        asked = [threads.submit(packages.get, deposit.campaign, deposit.digest) for _ in range(10)]
        time.sleep(0.05)
        gate.open.set()
        found = {id(one.result()) for one in asked}
    assert len(found) == 1
    assert gate.asked == [deposit.digest]


def test_who_waits_too_long_hears_it_and_the_load_goes_on(store: FakeObjectStore, deposit: Model) -> None:
    gate = Gate()
    packages = Packages(store, gate)
    for _ in range(3):
        with pytest.raises(ModelLoading):
            packages.get(deposit.campaign, deposit.digest, 0.01)
    gate.open.set()
    assert packages.get(deposit.campaign, deposit.digest).digest == deposit.digest
    assert gate.asked == [deposit.digest]


def test_a_load_that_hangs_keeps_no_other_package_from_loading(store: FakeObjectStore, deposit: Model, rival: Model) -> None:
    save_package(store, rival)
    gate = Gate()
    packages = Packages(store, lambda package: gate(package) if package.digest == rival.digest else None)
    packages.begin(rival.campaign, rival.digest)
    assert packages.get(deposit.campaign, deposit.digest).digest == deposit.digest
    gate.open.set()
    assert packages.get(rival.campaign, rival.digest).digest == rival.digest


def test_a_refused_package_is_looked_at_ever_more_rarely(store: FakeObjectStore, deposit: Model) -> None:
    now, asked = [0.0], []

    def refuse(package: SealedPackage) -> None:
        asked.append(now[0])
        raise ModelDamaged("it hangs")

    packages = Packages(store, refuse, monotonic=lambda: now[0])
    while now[0] < 10 * LONGEST_RETRY_S:
        with pytest.raises(ModelDamaged, match="it hangs"):
            packages.get(deposit.campaign, deposit.digest)
        now[0] += RETRY_S / 2
    waits = np.diff(asked)
    assert waits[:3].tolist() == [RETRY_S, 2 * RETRY_S, 4 * RETRY_S]
    assert waits.max() == LONGEST_RETRY_S


def test_a_store_that_fails_is_asked_again_at_once(store: FakeObjectStore, deposit: Model) -> None:
    packages = Packages(store, FIRST_PARSE)
    store.down = True
    with pytest.raises(ObjectStoreUnavailable):
        packages.get(deposit.campaign, deposit.digest)
    store.down = False
    assert packages.get(deposit.campaign, deposit.digest).digest == deposit.digest


def test_an_unexpected_failure_reaches_who_asked_and_does_not_stay(store: FakeObjectStore, deposit: Model) -> None:
    failing = [True]

    def sometimes(_package: SealedPackage) -> None:
        if failing[0]:
            raise RuntimeError("a bug")

    packages = Packages(store, sometimes)
    with pytest.raises(RuntimeError):
        packages.get(deposit.campaign, deposit.digest)
    failing[0] = False
    assert packages.get(deposit.campaign, deposit.digest).digest == deposit.digest


def test_the_last_few_are_kept(store: FakeObjectStore, deposit: Model) -> None:
    models = [make_model(deposit.campaign, seed=seed, trees=2) for seed in range(40, 41 + KEPT)]
    loaded: list[str] = []
    packages = Packages(store, lambda package: loaded.append(package.digest))
    for model in models:
        save_package(store, model)
        packages.get(model.campaign, model.digest)
        packages.get(models[0].campaign, models[0].digest)  # used all the time, and so never dropped
    packages.get(models[-1].campaign, models[-1].digest)
    assert loaded == [model.digest for model in models]
    packages.get(models[1].campaign, models[1].digest)
    assert loaded[-1] == models[1].digest


def _damaged(data: bytes, random: np.random.Generator) -> bytes:
    """One of the things that happen to files: a bit flips, bytes are lost, repeated or overwritten, the end is missing."""
    at, kind = int(random.integers(len(data))), int(random.integers(5))
    length = int(random.integers(1, 200))
    changed = {
        0: data[:at] + bytes([data[at] ^ (1 << int(random.integers(8)))]) + data[at + 1 :],
        1: data[:at],
        2: data[:at] + data[at + length :],
        3: data[:at] + data[at : at + length] + data[at:],
        4: data[:at] + random.bytes(length) + data[at + length :],
    }[kind]
    return changed if changed != data else data + b" "


def test_a_hundred_damaged_files_are_refused_before_anything_is_parsed(
    world: World, rows: list[dict[str, Any]], deposit: Model, rival: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [p["score"] for p in world.predict(rows).json["predictions"]]
    sound = {name: rival_bytes(rival, name) for name in (MODEL, MANIFEST)}
    monkeypatch.setattr("propensity.model.read_booster", _never)
    random = np.random.default_rng(0)
    for turn in range(100):
        save_package(world.store, rival)
        name = (MODEL, MANIFEST)[turn % 2]
        world.store.objects[package_key("term-deposit", rival.digest, name)] = _damaged(sound[name], random)
        packages = Packages(world.store, _never)
        with pytest.raises(ModelDamaged):
            packages.get(rival.campaign, rival.digest)
        del world.store.objects[package_key("term-deposit", rival.digest, MANIFEST)]
    monkeypatch.undo()
    world.models.refresh()
    assert [p["score"] for p in world.predict(rows).json["predictions"]] == expected
    assert world.models.live("term-deposit").model.digest == deposit.digest


def rival_bytes(model: Model, name: str) -> bytes:
    return model.model_json if name == MODEL else model.manifest.to_bytes()


def _never(*_given: object) -> Any:
    raise AssertionError("parsed")


def test_a_rewritten_manifest_does_not_have_the_digest_that_was_promoted(world: World, deposit: Model, rival: Model) -> None:
    """Somebody who can write to the store puts a model of their own, sound in itself, in the place of the promoted one."""
    other = make_model(deposit.campaign, seed=9)
    world.promote(rival, refresh=False)
    for name in (MODEL, MANIFEST):
        world.store.objects[package_key("term-deposit", rival.digest, name)] = rival_bytes(other, name)
    world.models.refresh()
    assert world.models.live("term-deposit").model.digest == deposit.digest
    assert "digest" in world.models.problems["term-deposit"]


def _wrong_models(deposit: Model) -> dict[str, Model]:
    """Twenty packages under digests that fit: broken boosters, and sound ones that are not what their manifest says."""
    names = [*CHANGES, *(name for name in TEXTS if name not in ("nested", "keys twice"))]
    found = {name: broken(deposit, name) for name in names[:15]}
    another = make_model(deposit.campaign, seed=11)
    manifest, canary = deposit.manifest, dict(deposit.manifest.canary)
    nudged = [*canary["scores"][:-1], float(np.nextafter(canary["scores"][-1], 1))]
    found["another booster"] = under_fitting_digests(deposit, another.model_json)
    for name, changes in {
        "another slope": {"slope": manifest.slope * 1.0001},
        "another offset": {"offset": manifest.offset + 1e-9},
        "another campaign": {"campaign": "small"},
        "canary scores of another bit": {"canary": {**canary, "scores": nudged}},
    }.items():
        found[name] = replace(deposit, manifest=replace(manifest, **changes))  # type: ignore[arg-type]
    return found


@pytest.mark.slow
def test_twenty_wrong_models_are_refused_and_the_service_goes_on(world: World, rows: list[dict[str, Any]], deposit: Model) -> None:
    wrong = _wrong_models(deposit)
    assert len(wrong) == 20
    before = [p["score"] for p in world.predict(rows).json["predictions"]]
    for name, model in wrong.items():
        for kind in (MODEL, MANIFEST):
            world.store.objects[package_key("term-deposit", model.digest, kind)] = rival_bytes(model, kind)
        world.decide(model.digest, "promote")
        world.models.refresh()
        assert world.models.live("term-deposit").model.digest == deposit.digest, name
        assert model.version in world.models.problems["term-deposit"], name
        reply = world.predict(rows)
        assert [p["score"] for p in reply.json["predictions"]] == before, name
        awaited = world.models.awaited("term-deposit")
        assert awaited is not None
        assert awaited.model_digest == model.digest


@pytest.mark.slow
def test_requests_are_answered_while_a_promoted_model_ends_its_process(world: World, rows: list[dict[str, Any]], deposit: Model) -> None:
    model = broken(deposit, "nested")
    for kind in (MODEL, MANIFEST):
        world.store.objects[package_key("term-deposit", model.digest, kind)] = rival_bytes(model, kind)
    answered: list[int] = []
    ended = threading.Event()

    def ask() -> None:
        while not ended.is_set():
            answered.append(world.predict({"customers": rows[:3], "reasons": 0}).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    world.decide(model.digest, "promote")
    world.models.refresh()
    ended.set()
    thread.join()
    assert set(answered) == {200}
    assert "SIGSEGV" in world.models.problems["term-deposit"]


@pytest.mark.parametrize("missing", [MODEL, MANIFEST])
def test_a_package_of_which_a_file_is_missing_is_none(store: FakeObjectStore, deposit: Model, missing: str) -> None:
    del store.objects[package_key("term-deposit", deposit.digest, missing)]
    with pytest.raises(NoLiveModel):
        Packages(store, FIRST_PARSE).get(deposit.campaign, deposit.digest)


def test_every_refusal_is_an_error_of_its_own(store: FakeObjectStore, deposit: Model) -> None:
    """One exception raised by many threads would grow with each of them."""
    store.objects[package_key("term-deposit", deposit.digest, MODEL)] = b"{}"
    packages = Packages(store, FIRST_PARSE)
    raised: list[PropensityError] = []
    for _ in range(3):
        with pytest.raises(ModelDamaged) as caught:
            packages.get(deposit.campaign, deposit.digest)
        raised.append(caught.value)
    assert len({id(error) for error in raised}) == 3
    assert len({str(error) for error in raised}) == 1

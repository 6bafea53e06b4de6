"""Champion and challengers on a real Postgres: shadow scores, comparison, approval, the watch over a new champion.

Each test begins with a campaign's history of its own.
"""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from faults.samples import as_table, make_model, make_rows
from flows import compare as compare_flow
from flows import promote as promote_flow
from flows import shadow as shadow_flow
from flows.compare import compare_into, sentences
from flows.promote import promote_into
from flows.shadow import shadow_into
from propensity.adapters.platform import Platform
from propensity.adapters.shadow import PostgresShadowStore
from propensity.campaign import Campaign, Gate, Policy
from propensity.campaigns import campaign
from propensity.challenge import Challenge, RollbackBound
from propensity.decisions import PENDING, State, approve, may_win
from propensity.errors import DatabaseUnavailable, ModelDamaged, PromotionConflict
from propensity.model import Model, canary, package_key, save_package
from propensity.ports import Outcome, Promotion
from propensity.prediction_id import prediction_id
from propensity.scoring import CheckedRows, score_list
from propensity.shadow import OTHER_FEATURES

# Outcomes of the term-deposit campaign are mature after thirty days.
LATER = datetime.now(UTC) + timedelta(days=33)
DAY = timedelta(days=1)


@cache
def trained(seed: int) -> Model:
    """Trees are grown once for all tests."""
    return make_model(campaign("term-deposit"), seed=seed)


class World:
    """One campaign of its own name on the shared stores."""

    def __init__(self, at: Platform, declare: Callable[[Campaign], None]) -> None:
        self.at = at
        self.name = f"case-{uuid.uuid4().hex[:8]}"
        self._declare = declare
        self.campaign = replace(campaign("term-deposit"), name=self.name, gates=(Gate("roc_auc", at_least=0.5, versus_champion=0.0),))
        self.rules()

    def rules(self, **changes: Any) -> None:
        """Declare the rules between champion and challengers."""
        rules = Challenge(**{"min_rows": 200, **changes})
        self.campaign = replace(self.campaign, challenge=rules)
        self._declare(self.campaign)

    def model(self, seed: int = 0, offset: float = -0.1, slope: float = 0.9) -> Model:
        """A model in the store; the same seed with another offset ranks alike and is calibrated otherwise."""
        made = trained(seed)
        made = replace(made, campaign=self.campaign, manifest=replace(made.manifest, campaign=self.name, offset=offset, slope=slope))
        table = as_table(self.campaign, make_rows(self.campaign, 40, 99))
        made = replace(made, manifest=replace(made.manifest, canary=canary(table, made.score(table))))
        save_package(self.at.store, made)
        return made

    def decide(self, model: Model, action: str, step: str = "", **evidence: Any) -> Promotion:
        return self.at.ledger.append(State.read(self.at.ledger, self.name).next(action, step, model.digest, ["said"], evidence, "tester"))

    def predict(self, model: Model, n: int = 50, seed: int = 0, *, truth: Model | None = None, score_from: float | None = 0.0) -> str:
        """Log one list as the service would; with ``truth``, report what happened to those contacted: by score, or by profit (None)."""
        policy = Policy("profit") if score_from is None else Policy("threshold", score_from)
        checked = Checked(self.campaign, n, seed)
        scored = score_list(model, checked, policy, top_reasons=0)
        request_id = str(uuid.uuid4())
        self.at.log.append(
            scored.logged(request_id, self.campaign.digest(), source="test"), idempotency_key=None, body_sha256="", reply=b""
        )
        if truth is not None:
            drawn = np.random.default_rng(seed + 1).random(n) < truth.score(checked.table)
            told = [Outcome(bool(drawn[i]), None, prediction_id(request_id, i + 1)) for i in range(n) if scored.decision.contact[i]]
            self.at.outcomes.record(self.name, told, "test")
        return request_id

    def rows(self, digest: str) -> dict[str, Any]:
        """Scores in shadow by request; a request that stands there twice is a bug."""
        with self.at.database.statement() as cursor:
            query = "select request_id::text, scores, skipped from shadow_prediction where campaign = %s and model_digest = %s"
            found = cursor.execute(query, (self.name, digest)).fetchall()
        assert len({row[0] for row in found}) == len(found)
        return {request: scores if skipped is None else skipped for request, scores, skipped in found}

    def live(self) -> str | None:
        live = self.at.ledger.live(self.name)
        return None if live is None else live.model_digest

    def shadow(self, **more: Any) -> dict[str, Any]:
        until = self.at.shadow.now() + timedelta(seconds=1)
        found: dict[str, Any] = shadow_into(self.at, self.name, until=until, busy_share=1.0, **more)["models"]
        return found

    def compare(self, days: int = 0) -> dict[str, Any]:
        self.shadow()
        return compare_into(self.at, self.name, now=LATER + days * DAY, busy_share=1.0)


class Checked(CheckedRows):
    """Rows as validation leaves them."""

    def __init__(self, declared: Campaign, n: int, seed: int) -> None:
        self._table = as_table(declared, make_rows(declared, n, seed))

    @property
    def table(self) -> Any:
        return self._table

    issues = ()
    refused = 0


@pytest.fixture
def world(at: Platform, monkeypatch: pytest.MonkeyPatch) -> World:
    def declare(declared: Campaign) -> None:
        for module in (promote_flow, shadow_flow, compare_flow):
            monkeypatch.setattr(module, "campaign", lambda _: declared)

    monkeypatch.setitem(at.__dict__, "registry", Registry())
    return World(at, declare)


class Registry:
    """A registry that knows every model and remembers the alias."""

    champion: str | None = None

    def find(self, _: str, digest: str) -> str:
        return digest

    def newest(self, _: str) -> None:
        return None

    def set_alias(self, _: str, __: str, version: str) -> None:
        self.champion = version


def test_every_request_is_scored_once_with_the_bits_of_the_package(world: World) -> None:
    a, b, c = world.model(0), world.model(1), world.model(2)
    before = world.predict(a)  # before b was decided on: it may have been trained on it
    world.decide(a, "promote")
    world.rules(challengers=2)
    for challenger in (b, c):
        world.decide(challenger, "refuse")
    requests = {world.predict(a, seed=seed): seed for seed in range(1, 8)}
    found = world.shadow()
    assert {digest: done["predictions"] for digest, done in found.items()} == {b.digest: 350, c.digest: 350}
    for model in (b, c):
        rows = world.rows(model.digest)
        assert before not in rows
        assert set(rows) == set(requests)
        for request, seed in requests.items():
            assert np.array_equal(rows[request], model.score(Checked(world.campaign, 50, seed).table))
    assert all(done["requests"] == 0 for done in world.shadow().values())
    later = world.predict(a, seed=9)
    assert {done["requests"] for done in world.shadow().values()} == {1}
    assert later in world.rows(b.digest)
    with world.at.database.statement() as cursor:
        query = "select count(*), min(score), max(score) from shadow_score where campaign = %s and model_version = %s"
        row = cursor.execute(query, (world.name, b.version)).fetchone()
    assert row is not None
    assert row[0] == 400
    assert 0 <= row[1] <= row[2] <= 1


def test_the_flows_do_what_their_functions_do(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (shadow_flow, compare_flow):
        monkeypatch.setattr(module, "platform", lambda: world.at)
    assert compare_flow.decide_daily.fn(world.name)["live"] is None
    a, b = world.model(0), world.model(1)
    world.decide(a, "promote")
    world.decide(b, "refuse")
    world.predict(a)
    monkeypatch.setattr(shadow_flow, "SETTLE", timedelta(0))
    assert shadow_flow.catch_up.fn(world.name, False)["models"][b.digest]["predictions"] == 50
    found = compare_flow.decide_daily.fn(world.name)
    assert found["live"] == a.version
    assert [look["verdict"] for look in found["challenges"]] == ["too_little_data"]
    assert sentences(found)[-1] == f"the live model {a.version} stays"


def test_a_follower_that_is_killed_goes_on_where_it_was(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = world.model(0), world.model(1)
    world.decide(a, "promote")
    world.decide(b, "refuse")
    requests = {world.predict(a, n=5, seed=seed) for seed in range(12)}
    store = PostgresShadowStore(world.at.database)
    pages = store.missing

    def few_rows(name: str, digest: str, since: datetime, until: datetime) -> Any:
        return pages(name, digest, since, until, page_rows=10)

    monkeypatch.setattr(store, "missing", few_rows)
    written = store.append
    calls = iter([True, True, False, True, True, True, True, True, True])

    def append(*values: Any) -> int:
        if not next(calls):
            raise DatabaseUnavailable("gone in the middle")
        return written(*values)

    monkeypatch.setattr(store, "append", append)
    monkeypatch.setitem(world.at.__dict__, "shadow", store)
    with pytest.raises(DatabaseUnavailable):
        world.shadow()
    assert len(world.rows(b.digest)) == 4
    assert world.shadow()[b.digest]["requests"] == 8
    assert set(world.rows(b.digest)) == requests


def test_two_followers_at_once_score_each_request_once(world: World) -> None:
    a, b = world.model(0), world.model(1)
    world.decide(a, "promote")
    world.decide(b, "refuse")
    requests = {world.predict(a, n=5, seed=seed) for seed in range(40)}
    together = threading.Barrier(4)

    def run(_: int) -> int:
        together.wait()
        return int(world.shadow()[b.digest]["requests"])

    with ThreadPoolExecutor(4) as threads:
        done = list(threads.map(run, range(4)))
    assert sum(done) == 40
    assert set(world.rows(b.digest)) == requests


def test_a_request_that_was_committed_late_is_found(world: World) -> None:
    a, b = world.model(0), world.model(1)
    world.decide(a, "promote")
    world.decide(b, "refuse")
    first, second = world.predict(a, seed=1), world.predict(a, seed=2)
    assert world.shadow()[b.digest]["requests"] == 2
    late = str(uuid.uuid4())
    columns = """campaign, caller, model_digest, model_version, declaration_digest, policy, answered, received, refused, source,
        customer_ids, row_numbers, scores, contact, feature_count, features"""
    with world.at.database.transaction() as cursor:
        cursor.execute(
            f"""insert into prediction_request (request_id, received_at, {columns})
            select %s::uuid, received_at - interval '1 millisecond', {columns} from prediction_request where request_id = %s::uuid""",
            (late, second),
        )
    assert world.shadow()[b.digest]["requests"] == 1
    assert set(world.rows(b.digest)) == {first, second, late}


def test_what_a_model_cannot_score_is_said_once(world: World) -> None:
    a, b = world.model(0), world.model(1)
    other = replace(a, manifest=replace(a.manifest, categories={**a.manifest.categories, "job": ("unknown", "retired")}))
    save_package(world.at.store, other)
    world.decide(a, "promote")
    world.decide(b, "refuse")
    strange = world.predict(other, seed=1)
    sound = world.predict(a, seed=2)
    assert world.shadow()[b.digest]["skipped"] == 1
    rows = world.rows(b.digest)
    assert rows[strange] == OTHER_FEATURES
    assert len(rows[sound]) == 50
    assert world.shadow()[b.digest]["requests"] == 0


def test_a_damaged_challenger_stops_itself_alone(world: World) -> None:
    a, b, c = world.model(0), world.model(1), world.model(2)
    world.rules(challengers=2)
    world.decide(a, "promote")
    for challenger in (b, c):
        world.decide(challenger, "refuse")
    world.predict(a)
    world.at.store.put(package_key(world.name, b.digest, "model.json"), b"{}")
    found = world.shadow()
    assert "digest" in found[b.digest]["problem"]
    assert found[c.digest]["predictions"] == 50


def test_too_little_data_is_a_verdict_with_what_is_needed(world: World) -> None:
    a, b = world.model(0), world.model(0, offset=1.0)
    world.decide(a, "promote")
    world.decide(b, "refuse", "trial")
    (look,) = world.compare()["challenges"]
    assert (look["verdict"], look["labelled"], look["rows_needed"]) == ("too_little_data", 0, 200)
    world.predict(a, 100, truth=a)
    (look,) = world.compare(1)["challenges"]
    assert (look["verdict"], look["labelled"]) == ("too_little_data", 100)
    assert look["rows_needed"] >= 200
    assert world.live() == a.digest


@pytest.mark.parametrize("approval", ["automatic", "human"])
def test_a_proven_challenger_goes_live_or_waits(world: World, approval: str) -> None:
    """The live model says far too much of everybody; the one on trial is right."""
    good, bad = world.model(0), world.model(0, offset=1.5)
    world.rules(approval=approval)
    world.decide(bad, "promote")
    world.decide(good, "refuse", "trial")
    for seed in range(4):
        world.predict(bad, 300, seed, truth=good)
    result = world.compare()
    assert result["challenges"][0]["verdict"] == "better", result["challenges"][0]["reason"]
    assert result["challenges"][0]["coverage"] == 1.0
    assert any("is live now" in line or "waits for approval" in line for line in sentences(result))
    newest = world.at.ledger.history(world.name)[-1]
    assert newest.evidence["comparison"]["gains"]["log_loss"]["gain"] > 0.002
    if approval == "automatic":
        assert (world.live(), newest.step) == (good.digest, "proven")
        assert world.at.registry.champion == good.digest  # type: ignore[attr-defined]
        return
    assert (world.live(), newest.step) == (bad.digest, PENDING)
    again = world.compare(1)
    assert again["decision"] is None, "what waits is not put to the people every day anew"
    row = approve(world.at.ledger, world.name, "anna", "agreed", check=promote_flow.package_check(world.at, world.name))
    assert (world.live(), row.actor, row.reasons, row.step) == (good.digest, "anna", ("agreed",), "approved")


def test_an_equal_challenger_is_not_decided_and_a_worse_one_is_worse(world: World) -> None:
    good, equal, bad = world.model(0), world.model(0, offset=-0.1001), world.model(0, offset=1.5)
    world.rules(challengers=2, smallest_difference=0.02)
    world.decide(good, "promote")
    for challenger in (bad, equal):
        world.decide(challenger, "refuse", "trial")
    for seed in range(4):
        world.predict(good, 300, seed, truth=good)
    result = world.compare()
    assert {look["challenger"]: look["verdict"] for look in result["challenges"]} == {equal.digest: "not_decided", bad.digest: "worse"}
    assert world.live() == good.digest


def test_outcomes_of_the_contacted_alone_are_said_to_be_that(world: World) -> None:
    """Half of the list is left; nobody there has an outcome, and the comparison neither uses nor hides it."""
    good, bad = world.model(0), world.model(0, offset=1.5)
    world.decide(good, "promote")
    world.decide(bad, "refuse")
    for seed in range(4):
        world.predict(good, 300, seed, truth=good, score_from=0.3)
    (look,) = world.compare()["challenges"]
    assert 0 < look["labelled"] < 1_000 < look["predicted"] == 1_200
    assert look["coverage"] == pytest.approx(look["labelled"] / 1_200)
    assert look["additional"] > 0
    assert "contacted" in look["caveat"]


def promoted_over(world: World, before: Model, live: Model) -> None:
    world.decide(before, "promote")
    world.decide(live, "promote")


def test_a_new_champion_that_does_worse_is_taken_back_once_and_stays_away(world: World) -> None:
    good, bad = world.model(0), world.model(0, offset=1.5)
    promoted_over(world, good, bad)
    for seed in range(4):
        world.predict(bad, 300, seed, truth=good)
    first = world.compare()
    assert first["shadow"][good.digest]["why"] == "previous"
    assert (first["watch"]["worse_looks_in_a_row"], first["decision"]) == (1, None)
    assert world.compare()["watch"]["worse_looks_in_a_row"] == 1, "a second look on the same day is no second look"
    second = world.compare(1)
    assert second["decision"]["action"] == "rollback"
    newest = world.at.ledger.history(world.name)[-1]
    assert (newest.action, newest.step, newest.model_digest, newest.replaces) == ("rollback", "automatic", good.digest, bad.digest)
    assert len(newest.evidence["looks"]) == 2
    assert newest.evidence["looks"][0]["gains"]["log_loss"]["gain"] >= 0.01
    # Nothing flaps: the model that is back is not watched, and the other one does not return by itself.
    third = world.compare(2)
    assert (third["watch"], third["decision"]) == (None, None)
    assert promote_into(world.at, world.name, bad.digest, "schedule")["decision"] == "refuse"
    assert world.live() == good.digest


def test_a_new_champion_that_is_as_good_stays(world: World) -> None:
    good, equal = world.model(0), world.model(0, offset=-0.1001)
    promoted_over(world, good, equal)
    for seed in range(4):
        world.predict(equal, 300, seed, truth=good)
    for day in range(3):
        assert world.compare(day)["watch"]["worse_looks_in_a_row"] == 0
    assert world.live() == equal.digest


def test_profit_is_watched_where_it_is_declared(world: World) -> None:
    """The new champion contacts everybody, most of whom never buy; the one before would have left them."""
    good, bad = world.model(0, offset=-2.5), world.model(0, offset=4.0)
    world.rules(rollback=RollbackBound(measure="profit_per_1000", worse_by=1.0, confirmations=1))
    promoted_over(world, good, bad)
    for seed in range(3):
        world.predict(bad, 400, seed, truth=good, score_from=None)
    result = world.compare()
    assert result["watch"]["look"]["judged_by"] == "profit_per_1000"
    assert result["decision"]["action"] == "rollback"
    gain = result["watch"]["look"]["gains"]["profit_per_1000"]
    assert gain["champion"] < 0 < gain["gain"]


def test_it_is_never_taken_back_to_a_damaged_package(world: World) -> None:
    good, bad = world.model(0), world.model(0, offset=1.5)
    world.rules(rollback=RollbackBound(confirmations=1))
    promoted_over(world, good, bad)
    for seed in range(4):
        world.predict(bad, 300, seed, truth=good)
    world.shadow()
    world.at.store.put(package_key(world.name, good.digest, "model.json"), b"{}")
    with pytest.raises(ModelDamaged, match="was not taken back"):
        world.compare()
    assert world.live() == bad.digest


def test_two_watches_at_once_take_back_once(world: World) -> None:
    good, bad = world.model(0), world.model(0, offset=1.5)
    world.rules(rollback=RollbackBound(confirmations=1))
    promoted_over(world, good, bad)
    for seed in range(4):
        world.predict(bad, 300, seed, truth=good)
    world.shadow()
    together = threading.Barrier(2)
    before = promote_flow.package_check(world.at, world.name)

    def check(digest: str) -> None:
        before(digest)
        together.wait(timeout=20)  # both have read the history, neither has written

    def run(_: int) -> str:
        try:
            return str(compare_into(world.at, world.name, now=LATER, busy_share=1.0)["decision"]["action"])
        except PromotionConflict as exc:
            return f"told: {exc}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare_flow, "package_check", lambda *_: check)
        with ThreadPoolExecutor(2) as threads:
            told = sorted(threads.map(run, range(2)))
    assert told[0] == "rollback"
    assert told[1].startswith("told: ")
    assert [row.action for row in world.at.ledger.history(world.name)] == ["promote", "promote", "rollback"]


@pytest.fixture
def judged(world: World, monkeypatch: pytest.MonkeyPatch) -> Callable[[Model, float], dict[str, Any]]:
    """Judges a model by its gates as if it had this ROC-AUC on the test rows; the live one has 0.80."""

    def judge(model: Model, roc_auc: float) -> dict[str, Any]:
        figures = {"roc_auc": roc_auc}
        live = {"roc_auc": 0.80}
        monkeypatch.setattr(promote_flow, "compare", lambda _, __, ___, champion: (figures, champion and live, {"rows": 1}))
        return promote_into(world.at, world.name, model.digest, "schedule")

    return judge


def test_a_retrain_that_does_not_pass_its_gates_changes_nothing(world: World, judged: Callable[[Model, float], dict[str, Any]]) -> None:
    a, b = world.model(0), world.model(1)
    assert judged(a, 0.80)["decision"] == "promote"
    before = world.at.ledger.live(world.name)
    assert judged(b, 0.2)["decision"] == "refuse"
    assert world.at.ledger.live(world.name) == before
    assert world.at.registry.champion == a.digest  # type: ignore[attr-defined]
    row = world.at.ledger.history(world.name)[-1]
    assert (row.action, row.step, row.evidence["failed_absolute"]) == ("refuse", "", ["roc_auc"])
    assert "decision 2 on it was refuse" in str(may_win(State.read(world.at.ledger, world.name), b.digest))


def test_what_passes_its_gates_waits_where_people_approve(world: World, judged: Callable[[Model, float], dict[str, Any]]) -> None:
    world.rules(approval="human")
    a, b, c = world.model(0), world.model(1), world.model(2)
    check = promote_flow.package_check(world.at, world.name)
    assert judged(a, 0.80)["decision"] == "pending"
    assert world.live() is None
    approve(world.at.ledger, world.name, "anna", "the first", check=check)
    assert world.live() == a.digest
    assert judged(b, 0.81)["decision"] == "pending"
    assert judged(b, 0.81)["decision"] == "pending"
    assert judged(c, 0.82)["decision"] == "pending"
    waiting = State.read(world.at.ledger, world.name).waiting()
    assert [row.model_digest for row in waiting] == [c.digest, b.digest]
    approve(world.at.ledger, world.name, "anna", "this one", check=check, sequence=waiting[0].sequence)
    with pytest.raises(PromotionConflict, match="judge it again"):
        approve(world.at.ledger, world.name, "anna", "and this", check=check)
    assert judged(b, 0.81)["decision"] == "pending"
    approve(world.at.ledger, world.name, "anna", "now that it was judged again", check=check)
    assert world.live() == b.digest


def test_a_damaged_package_is_not_approved(world: World, judged: Callable[[Model, float], dict[str, Any]]) -> None:
    world.rules(approval="human")
    a = world.model(0)
    assert judged(a, 0.80)["decision"] == "pending"
    world.at.store.put(package_key(world.name, a.digest, "model.json"), b"{}")
    with pytest.raises(ModelDamaged):
        approve(world.at.ledger, world.name, "anna", "yes", check=promote_flow.package_check(world.at, world.name))
    assert world.live() is None


def test_on_proof_in_shadow_a_model_that_passes_is_on_trial(world: World, judged: Callable[[Model, float], dict[str, Any]]) -> None:
    world.rules(proof="shadow")
    a, b = world.model(0), world.model(1)
    assert judged(a, 0.80)["decision"] == "promote"
    assert judged(b, 0.81)["decision"] == "trial"
    assert world.live() == a.digest
    world.predict(a)
    assert world.shadow()[b.digest]["predictions"] == 50
    assert may_win(State.read(world.at.ledger, world.name), b.digest) is None


def test_a_recalibration_is_no_new_champion(world: World) -> None:
    """The watch goes on over it, what waits still fits, and a rollback leads to the model before."""
    good, bad, other = world.model(0), world.model(0, offset=1.5), world.model(1)
    promoted_over(world, good, bad)
    world.decide(other, "refuse", PENDING)
    levels = [bad, world.model(0, offset=1.6), world.model(0, offset=1.7)]
    for seed, (before, after) in enumerate(pairwise(levels)):
        world.predict(before, 300, seed, truth=good)
        world.decide(after, "promote", recalibrates=before.digest)
        world.predict(after, 300, seed + 10, truth=good)
    state = State.read(world.at.ledger, world.name)
    assert state.line == {model.digest for model in levels}
    assert state.fits(state.waiting()[0])
    assert promote_into(world.at, world.name, bad.digest, "schedule")["decision"] == "unchanged"
    first = world.compare()
    assert set(first["shadow"]) == {good.digest, other.digest}
    assert first["watch"]["look"]["predicted"] == 1_200
    assert world.compare(1)["decision"]["model_digest"] == good.digest
    assert world.live() == good.digest
    state = State.read(world.at.ledger, world.name)
    assert all(state.taken_back(model.digest) for model in levels)
    assert not state.fits(state.waiting()[0])

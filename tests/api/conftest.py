"""A scoring service over fakes, with real models made from random rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from flask import Flask

from api.app import create_app
from api.auth import ApiKeys
from api.lists import ListDesk
from api.models import LiveModels
from api.services import GateServices, Services
from api.signed import LocalSigner
from propensity.access import Role, new_key
from propensity.adapters.first_parse import FirstParse
from propensity.campaign import Campaign
from propensity.campaigns import campaign
from propensity.gate import open_gate
from propensity.model import Model, save_package
from propensity.ports import Promotion
from tests.api.contract import watched
from tests.api.models import make_campaign, make_model, make_rows
from tests.fake_gate import SECRETS, FakeErasureStore, FakeSuppressionStore, GatedLog
from tests.fakes import (
    NOW,
    FakeApiKeyStore,
    FakeDatabase,
    FakeObjectStore,
    FakeOutcomeStore,
    FakePanels,
    FakePromotionLedger,
)
from tests.fakes_alerts import FakeAlertStore, FakeHeartbeatStore


@dataclass
class Clock:
    """A monotonic clock that a test turns."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


# One for all tests: a package that passed once is not tried again.
FIRST_PARSE = FirstParse()


@dataclass
class World:
    """The service and everything behind it. Its callers are named after their roles."""

    campaigns: dict[str, Campaign]
    database: FakeDatabase
    store: FakeObjectStore
    log: GatedLog
    outcomes: FakeOutcomeStore
    ledger: FakePromotionLedger
    models: LiveModels
    services: Services
    app: Flask
    api_keys: FakeApiKeyStore
    keys: ApiKeys
    clock: Clock
    alerts: FakeAlertStore
    heartbeats: FakeHeartbeatStore
    texts: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def client(self) -> Any:
        """A client with an operator's key, whose replies are looked into without ceremony."""
        return self.as_role("operator")

    def as_role(self, role: str, name: str = "") -> Any:
        """A client with a key of that role; its owner is called like the role unless ``name`` says otherwise."""
        return self.with_key(self.key(role, name or role))

    def with_key(self, text: str) -> Any:
        """A client that sends this key."""
        client = self.without_key()
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {text}"
        return client

    def without_key(self) -> Any:
        """A client that sends no key."""
        return self.app.test_client()

    def key(self, role: str, name: str) -> str:
        """The text of a key of this role and owner; made, and known to the service, when first asked for."""
        if (role, name) not in self.texts:
            self.texts[role, name] = self.make_key(role, name)
        return self.texts[role, name]

    def make_key(self, role: str, name: str, **more: Any) -> str:
        """The text of a fresh key, known to the service."""
        text, new = new_key(name, Role(role), by="tester", **more)
        down, self.database.down = self.database.down, False
        self.api_keys.add(new)
        self.keys.refresh()
        self.database.down = down
        return text

    def promote(self, model: Model, *, refresh: bool = True) -> None:
        """Put a model live."""
        save_package(self.store, model)
        self.decide(model.digest, "promote", model.campaign.name)
        if refresh:
            self.models.refresh()

    def decide(self, digest: str, action: str, name: str = "term-deposit") -> None:
        """A row in the ledger, and nothing more."""
        sequence = len(self.ledger.history(name)) + 1
        live = self.ledger.live(name)
        replaces = None if live is None else live.model_digest
        self.ledger.append(Promotion(name, sequence, action, digest, digest[:12], replaces, ["passed"], {}, "tester"))

    def predict(self, body: Any, name: str = "term-deposit", **kwargs: Any) -> Any:
        """POST predictions, as JSON."""
        return self.client.post(f"/v1/campaigns/{name}/predictions", json=body, **kwargs)


@pytest.fixture(scope="session")
def deposit() -> Model:
    """A model of the campaign term-deposit."""
    return make_model(campaign("term-deposit"))


@pytest.fixture(scope="session")
def rival() -> Model:
    """Another model of the same campaign, with other scores."""
    return make_model(campaign("term-deposit"), seed=7)


def build_world(*extra: Campaign) -> World:
    """A service; by default with the campaigns ``term-deposit`` and ``small`` and nothing live."""
    declared = {c.name: c for c in (campaign("term-deposit"), make_campaign(), *extra)}
    database, store = FakeDatabase(), FakeObjectStore()
    suppressions = FakeSuppressionStore(database)
    log, ledger = GatedLog(database, suppressions), FakePromotionLedger(database)
    outcomes = FakeOutcomeStore(log)
    models = LiveModels(declared, store, ledger, FIRST_PARSE, reload_s=0.01)
    api_keys, clock = FakeApiKeyStore(database), Clock()
    keys = ApiKeys(api_keys, rate_per_s=1000.0, reload_s=0.01, monotonic=clock)
    alerts, heartbeats = FakeAlertStore(database), FakeHeartbeatStore(database)
    desk = ListDesk(store, LocalSigner("", NOW.timestamp))
    gate = GateServices(open_gate(declared, suppressions, log.contacts, SECRETS), suppressions, log.contacts, FakeErasureStore(log))
    stores = (database, keys, alerts, heartbeats, gate)
    services = Services(declared, models, log, outcomes, *stores, clock=lambda: NOW, panels=FakePanels(database), lists=desk)
    app = watched(create_app(services), declared)
    world = World(declared, database, store, log, outcomes, ledger, models, services, app, api_keys, keys, clock, alerts, heartbeats)
    world.key("operator", "operator")
    return world


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """Builds a service."""
    return build_world


@pytest.fixture
def world(make_world: Callable[..., World], deposit: Model) -> Iterator[World]:
    """A service with a live model of ``term-deposit``."""
    built = make_world()
    built.promote(deposit)
    yield built
    built.models.stop()


@pytest.fixture(scope="session")
def rows() -> list[dict[str, Any]]:
    """Fifty rows that can be posted to ``term-deposit``."""
    return make_rows(campaign("term-deposit"), 50, seed=3)

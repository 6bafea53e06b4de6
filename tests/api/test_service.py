"""The whole service as a process on a real Postgres: what was acknowledged is in the log."""

from __future__ import annotations

import http.client
import json
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local.postgres_urls import DatabaseUrls
from propensity.access import Role, new_key
from propensity.adapters.api_keys import open_key_store
from propensity.adapters.database import Database
from propensity.adapters.migrate import migrate
from propensity.adapters.object_store import FolderStore
from propensity.adapters.prediction_log import PostgresPredictionLog
from propensity.adapters.promotions import PostgresPromotionLedger
from propensity.model import Model, save_package
from propensity.ports import Promotion
from tests.api.broken_models import broken
from tests.api.processes import fetch, port_of, process, wait_for

pytestmark = pytest.mark.slow
URL = "/v1/campaigns/term-deposit/predictions"
Reply = dict[str, Any]


@pytest.fixture(scope="module")
def stores(database: DatabaseUrls) -> Iterator[Database]:
    migrate(database.owner_url)
    app = Database(database.app_url, pool_size=4, timeout_s=10.0)
    yield app
    app.close()


def promote(stores: Database, folder: Path, model: Model) -> None:
    save_package(FolderStore(folder), model)
    ledger = PostgresPromotionLedger(stores)
    sequence = len(ledger.history("term-deposit")) + 1
    ledger.append(Promotion("term-deposit", sequence, "promote", model.digest, model.version, None, [], {}, "tester"))


def make_key(database: DatabaseUrls) -> str:
    """A key for a load that is as heavy as the service bears."""
    text, new = new_key("tester", Role.OPERATOR, by="tester", rate_per_s=1e6)
    store, connections = open_key_store(database.owner_url)
    store.add(new)
    connections.close()
    return text


def ask(port: int, key: str, rows: list[Reply], answered: list[Reply], lost: list[object], number: int) -> None:
    """Post until nobody listens any more; one kept connection, as clients do."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    for turn in range(100_000):
        body = json.dumps({"customers": rows[:20], "reasons": 0})
        headers = {"Content-Type": "application/json", "Idempotency-Key": f"{number}-{turn}", "Authorization": f"Bearer {key}"}
        try:
            connection.request("POST", URL, body, headers)
            reply = connection.getresponse()
            found = json.loads(reply.read())
        except ConnectionRefusedError:
            break
        except (OSError, http.client.HTTPException) as exc:
            lost.append(exc)
            break
        if reply.status == 200:
            answered.append(found)
        else:
            lost.append(found)
    connection.close()


def test_a_promotion_and_the_end_under_load_lose_nothing(
    stores: Database, database: DatabaseUrls, tmp_path: Path, rows: list[Reply], deposit: Model, rival: Model
) -> None:
    promote(stores, tmp_path, deposit)
    key = make_key(database)
    log = PostgresPredictionLog(stores)
    answered: list[Reply] = []
    lost: list[object] = []
    given = {"PROPENSITY_DATABASE_URL": database.app_url, "PROPENSITY_STORE_URL": tmp_path.as_uri(), "PROPENSITY_RELOAD_S": "0.1"}
    with process(tmp_path, **given) as child:
        port = port_of(child)
        wait_for(lambda: fetch(port, "/readyz")[0] == 200)
        threads = [threading.Thread(target=ask, args=(port, key, rows, answered, lost, number)) for number in range(6)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(answered) >= 30)
        promote(stores, tmp_path, rival)
        wait_for(lambda: bool(lost) or {reply["model"]["digest"] for reply in answered} == {deposit.digest, rival.digest})
        child.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join(60)
        assert child.wait(60) == 0
    assert not lost
    assert log.count("term-deposit") == sum(reply["counts"]["scored"] for reply in answered)
    for reply in answered:
        entry = log.request(reply["request_id"])
        assert np.array_equal(entry.scores, [p["score"] for p in reply["predictions"]])
        assert entry.model_digest == reply["model"]["digest"]


def test_a_new_key_and_its_end_reach_a_running_process(stores: Database, database: DatabaseUrls, tmp_path: Path) -> None:
    given = {"PROPENSITY_DATABASE_URL": database.app_url, "PROPENSITY_STORE_URL": tmp_path.as_uri(), "PROPENSITY_RELOAD_S": "0.1"}
    with process(tmp_path, **given) as child:
        port = port_of(child)
        key = make_key(database)

        def status() -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/v1/campaigns", headers={"Authorization": f"Bearer {key}"})
            reply = connection.getresponse()
            reply.read()
            connection.close()
            return reply.status

        wait_for(lambda: status() == 200)
        store, connections = open_key_store(database.owner_url)
        store.revoke(key[5:13], reason="lost", by="tester")
        connections.close()
        wait_for(lambda: status() == 401)
    log = (tmp_path / "stderr.txt").read_text()
    assert key[5:13] in log
    assert key[14:] not in log


def test_models_that_end_or_stop_their_process_take_nothing_down(
    stores: Database, database: DatabaseUrls, tmp_path: Path, rows: list[Reply], deposit: Model, rival: Model
) -> None:
    """Each is promoted as a broken trainer could do it, under digests that fit. The next sound one is taken as ever."""
    promote(stores, tmp_path, deposit)
    key = make_key(database)
    given = {"PROPENSITY_DATABASE_URL": database.app_url, "PROPENSITY_STORE_URL": tmp_path.as_uri(), "PROPENSITY_RELOAD_S": "0.1"}
    with process(tmp_path, **given) as child:
        port = port_of(child)

        def told(key: str) -> Any:
            return fetch(port, "/readyz")[1]["models"]["term-deposit"][key]

        wait_for(lambda: fetch(port, "/readyz")[0] == 200)
        wait_for(lambda: told("version") == deposit.version)
        for name in ("nested", "categories of its own", "a cycle deep down", "a huge number of classes", "empty"):
            model = broken(deposit, name)
            promote(stores, tmp_path, model)
            wait_for(lambda version=model.version: told("awaited") == version and version in str(told("problem")))  # type: ignore[misc]
            wait_for(lambda: "being loaded" not in told("problem"))
            assert ask_once(port, rows, key)["model"]["digest"] == deposit.digest
        promote(stores, tmp_path, rival)
        wait_for(lambda: told("version") == rival.version)
        assert (told("problem"), told("awaited")) == (None, None)
        assert child.poll() is None
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0


def ask_once(port: int, rows: list[Reply], key: str) -> Reply:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    connection.request("POST", URL, json.dumps({"customers": rows[:20], "reasons": 0}), headers)
    reply = connection.getresponse()
    found: Reply = json.loads(reply.read())
    connection.close()
    assert reply.status == 200, found
    return found

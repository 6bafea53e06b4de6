"""The client against the scoring service itself, on real sockets, with replies lost on the way."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest

from propensity.client import Client, NoRowUsable, NotThere, Refused, Unavailable
from propensity.model import Model
from tests.api.conftest import World
from tests.api.models import make_rows
from tests.propensity.client.scripted import serving


@pytest.fixture
def client(world: World) -> Iterator[Client]:
    with serving(world.app.wsgi_app) as (url, _), Client(url, world.key("operator", "operator")) as made:
        yield made


class Lossy:
    """Loses the reply to every other POST, after the service has committed it."""

    def __init__(self, app: Callable[..., Any]) -> None:
        self.app, self.posts, self.lost, self.lock = app, 0, 0, threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        body = b"".join(self.app(environ, start_response))
        with self.lock:
            self.posts += environ["REQUEST_METHOD"] == "POST"
            lose = environ["REQUEST_METHOD"] == "POST" and self.posts % 2 == 1
            self.lost += lose
        return [body[: len(body) // 3] if lose else body]


def test_a_frame_is_scored_like_single_rows(world: World, client: Client, deposit: Model) -> None:
    rows = make_rows(deposit.campaign, 25, seed=9)
    frame = pd.DataFrame(rows)
    frame.loc[3, "age"] = np.nan
    found = client.predict("term-deposit", frame, policy={"kind": "threshold", "value": 0.2}, reasons=2, chunk_rows=10)
    expected = world.predict([rows[at] for at in range(25) if at != 3]).json["predictions"]
    assert found.predictions["score"].tolist() == [p["score"] for p in expected]
    assert found.predictions["rank"].tolist() == [p["rank"] for p in expected]
    assert found.predictions["row"].tolist() == [at for at in range(1, 26) if at != 4]
    assert found.predictions["customer_id"].tolist() == [row["id"] for at, row in enumerate(rows) if at != 3]
    assert (found.predictions["decision"] == "contact").tolist() == [p["score"] >= 0.2 for p in expected]
    assert all(len(reasons) == 2 for reasons in found.predictions["reasons"])
    assert found.errors[["row", "column", "code"]].to_dict("records") == [{"row": 4, "column": "age", "code": "missing"}]
    assert found.errors_total == 1
    assert [r.model["digest"] for r in found.requests] == [deposit.digest] * 3
    assert [entry.request_id for entry in world.log.entries][:3] == [r.request_id for r in found.requests]


def test_lost_replies_are_fetched_again_and_nothing_is_logged_twice(world: World, rows: list[dict[str, Any]]) -> None:
    lossy = Lossy(world.app.wsgi_app)
    with serving(lossy) as (url, _), Client(url, world.key("operator", "operator")) as client:
        found = client.predict_rows("term-deposit", rows, chunk_rows=10, policy={"kind": "profit"})
    assert lossy.lost == 5
    assert [r.replayed for r in found.requests] == [True] * 5
    assert [r.attempts for r in found.requests] == [2] * 5
    assert [p["row"] for p in found.predictions] == list(range(1, 51))
    logged = Counter(customer for entry in world.log.entries for customer in entry.customer_ids)
    assert logged == Counter(row["id"] for row in rows)
    assert {r.request_id for r in found.requests} == {entry.request_id for entry in world.log.entries}


def test_a_call_that_broke_off_goes_on_where_it_stopped(world: World, client: Client, rows: list[dict[str, Any]]) -> None:
    append, calls = world.log.append, []

    def fail_later(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        world.database.down = len(calls) > 2
        return append(*args, **kwargs)

    world.log.append = fail_later  # type: ignore[method-assign]
    with pytest.raises(Unavailable, match="nothing was stored") as refusal:
        client.predict_rows("term-deposit", rows, chunk_rows=10, policy={"kind": "profit"}, deadline_s=1.0)
    assert len(world.log.entries) == 2
    world.log.append = append  # type: ignore[method-assign]
    world.database.down = False
    again = {"chunk_rows": 10, "policy": {"kind": "profit"}, "call_id": refusal.value.call_id}
    found = client.predict_rows("term-deposit", rows, **again)  # type: ignore[arg-type]
    assert [r.replayed for r in found.requests] == [True, True, False, False, False]
    assert len(world.log.entries) == 5


def test_what_the_service_refuses_is_told(world: World, client: Client, rows: list[dict[str, Any]]) -> None:
    with pytest.raises(NoRowUsable) as nothing:
        client.predict_rows("term-deposit", [{"id": 1, "age": 1000}])
    assert nothing.value.errors_total == len(nothing.value.errors) > 1
    assert nothing.value.request_id
    with pytest.raises(NoRowUsable, match="empty"):
        client.predict_rows("term-deposit", [])
    with pytest.raises(NotThere, match="term-deposit"):
        client.predict_rows("nope", rows)
    with pytest.raises(Refused, match="reasons"):
        client.predict_rows("term-deposit", rows, reasons=99)
    with pytest.raises(NotThere):
        client.prediction("nope")


def test_the_other_calls_work_together(world: World, client: Client, rows: list[dict[str, Any]], deposit: Model) -> None:
    assert {c["name"] for c in client.campaigns()} == set(world.campaigns)
    assert client.campaign("term-deposit")["live_model"]["version"] == deposit.version
    made = client.predict_rows("term-deposit", rows[:2]).predictions
    record = client.prediction(made[1]["prediction_id"])
    assert (record["score"], record["customer_id"]) == (made[1]["score"], rows[1]["id"])
    outcomes = [{"prediction_id": p["prediction_id"], "label": np.bool_(True)} for p in made]
    assert client.outcomes("term-deposit", outcomes)["counts"]["recorded"] == 2
    assert client.outcomes("term-deposit", outcomes)["counts"]["duplicate"] == 2
    assert client.outcome_summary("term-deposit")["not_yet_mature"] == {"predicted": 2, "labelled": 2}
    assert client.outcome_summary("term-deposit", since="2026-02-01", until="2026-02-28")["cohorts"] == []

"""Every step of the main job, for each campaign, through the programs that a person would use."""

from __future__ import annotations

import base64
import csv
import json
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from local.client import call
from local.environment import prefect_auth
from local.processes import Processes
from propensity.access import Role
from propensity.errors import DataError
from tests.e2e.conftest import Machine

pytestmark = pytest.mark.slow
ROWS = 30
WAIT_S = 30.0
SCHEDULED_RUN_S = 120.0


def _credit_card_file(path: Path) -> Path:
    """Offers of two years in which visits to the branch decide."""
    rng = np.random.default_rng(7)
    n = 3_000
    visits = rng.poisson(2, n)
    yes = rng.random(n) < 1 / (1 + np.exp(2.5 - 0.7 * visits))
    days = np.sort(rng.integers(0, 700, n)) + np.datetime64("2023-01-01")
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file)
        lines.writerow(["customer", "offered_on", "age", "income", "region", "branch_visits", "accepted"])
        for i in range(n):
            income = "" if i % 20 == 0 else int(rng.integers(800, 6000))
            region = ("north", "south", "east", "west")[i % 4]
            lines.writerow([f"C-{i}", days[i], int(rng.integers(18, 90)), income, region, visits[i], "yes" if yes[i] else "no"])
    return path


@pytest.fixture(scope="module", params=["term-deposit", "purchase-propensity", "credit-card"])
def trained(request: pytest.FixtureRequest, machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A campaign whose model is live in the running service."""
    name: str = request.param
    folder = tmp_path_factory.mktemp(name)
    source = str(_credit_card_file(folder / "offers.csv")) if name == "credit-card" else "synthetic:8000:3"
    printed = machine.propensity("retrain", name, "--source", source, "--json")
    result = json.loads(printed)["promote"]
    assert result["decision"] == "promote", result
    deadline = time.monotonic() + WAIT_S
    while (machine.call(f"/v1/campaigns/{name}")["live_model"] or {}).get("digest") != result["model_digest"]:
        assert time.monotonic() < deadline, "the running service did not pick up the new model"
        time.sleep(0.2)
    return {"name": name, "digest": result["model_digest"], "folder": folder, "source": source}


def _rows(machine: Machine, name: str, n: int) -> list[dict[str, Any]]:
    """Rows that fit the campaign's own published schema: nothing is known about it here."""
    declared = machine.call(f"/v1/campaigns/{name}")
    rng = np.random.default_rng(5)

    def cell(feature: dict[str, Any]) -> Any:
        if feature["kind"] == "categorical":
            return feature["values"][int(rng.integers(len(feature["values"])))]
        value = rng.uniform(feature["low"], feature["high"])
        return round(value) if feature["integer"] else float(value)

    return [{declared["id_column"]: f"K-{i}", **{f["name"]: cell(f) for f in declared["features"]}} for i in range(n)]


def _write_list(path: Path, name: str, rows: list[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, delimiter=";" if name == "term-deposit" else ",")
        lines.writerow(rows[0])
        lines.writerows([["" if v is None else repr(v) if isinstance(v, float) else v for v in row.values()] for row in rows])


def test_a_list_is_scored_logged_answered_and_monitored(machine: Machine, trained: dict[str, Any]) -> None:
    name = trained["name"]
    url = f"/v1/campaigns/{name}"
    rows = _rows(machine, name, ROWS)
    wrong = {**rows[0], next(iter(k for k in rows[0] if k.lower() != "id")): {}}
    reply = machine.call(f"{url}/predictions", [*rows, wrong])
    assert reply["model"]["digest"] == trained["digest"]
    assert reply["counts"] | {} == {**reply["counts"], "received": ROWS + 1, "scored": ROWS, "refused": 1}
    assert [e["row"] for e in reply["errors"]] == [ROWS + 1]

    record = machine.call(f"/v1/predictions/{reply['predictions'][3]['prediction_id']}")
    assert record["score"] == reply["predictions"][3]["score"]
    assert record["explanation"]["reproduced"] is True
    assert all(record["features"][name] == value for name, value in rows[3].items() if name in record["features"])

    answers = [{"prediction_id": p["prediction_id"], "label": i % 3 == 0} for i, p in enumerate(reply["predictions"])]
    counted = machine.call(f"{url}/outcomes", answers)["counts"]
    assert counted["recorded"] == ROWS
    assert machine.call(f"{url}/outcomes", answers)["counts"]["duplicate"] == ROWS

    first = json.loads(machine.propensity("monitor", name, "--json"))
    assert first["drift"]["rows"] == ROWS
    assert first["drift"]["verdict"] in ("stable", "warning", "drift")
    assert "no data" in machine.propensity("monitor", name, "--since", "2001-01-01", "--until", "2001-01-02")


def test_file_and_service_give_the_same_scores(machine: Machine, trained: dict[str, Any]) -> None:
    name, folder = trained["name"], trained["folder"]
    rows = _rows(machine, name, ROWS)
    path, out = folder / "list.csv", folder / "sheet.csv"
    _write_list(path, name, rows)
    machine.propensity("score", name, str(path), "--out", str(out))
    with out.open(encoding="utf-8", newline="") as file:
        from_file = {row["customer_id"]: float(row["score"]) for row in csv.DictReader(file)}
    url = f"/v1/campaigns/{name}/predictions"
    together = {
        p["customer_id"]: p["score"] for p in machine.call(url, [dict(reversed(row.items())) for row in reversed(rows)])["predictions"]
    }
    alone = {p["customer_id"]: p["score"] for row in rows[:5] for p in machine.call(url, row)["predictions"]}
    assert from_file == together
    assert alone == {key: together[key] for key in alone}


def test_a_scheduled_run_scores_the_inbox(machine: Machine, trained: dict[str, Any]) -> None:
    name = trained["name"]
    rows = _rows(machine, name, 12)
    inbox = machine.home / "store" / "inbox" / name
    inbox.mkdir(parents=True)
    _write_list(inbox / "monday.csv", name, rows)
    (deployment,) = _prefect(machine, "deployments/filter", {"deployments": {"name": {"any_": [f"score-{name}"]}}})
    run = _prefect(machine, f"deployments/{deployment['id']}/create_flow_run", {"state": {"type": "SCHEDULED"}})
    deadline = time.monotonic() + SCHEDULED_RUN_S
    while (state := _prefect(machine, "flow_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})[0]["state_type"]) != "COMPLETED":
        assert state not in ("FAILED", "CRASHED", "CANCELLED"), state
        assert time.monotonic() < deadline, f"the run is still {state}"
        time.sleep(0.5)
    (sheet,) = (machine.home / "store" / "lists" / name).glob("monday-*/call-sheet.csv")
    with sheet.open(encoding="utf-8", newline="") as file:
        assert sorted(row["customer_id"] for row in csv.DictReader(file)) == sorted(f"K-{i}" for i in range(12))


def test_retraining_on_the_same_data_changes_nothing(machine: Machine, trained: dict[str, Any]) -> None:
    printed = machine.propensity("retrain", trained["name"], "--source", trained["source"], "--json")
    result = json.loads(printed)["promote"]
    assert (result["decision"], result["model_digest"]) == ("unchanged", trained["digest"])


def test_a_second_up_finds_everything_running(machine: Machine) -> None:
    before = {found.name: found.pid for found in Processes(machine.home).all_running()}
    assert machine.run("local.up").returncode == 0
    assert {found.name: found.pid for found in Processes(machine.home).all_running()} == before


def test_every_schedule_has_runs_waiting(machine: Machine) -> None:
    from propensity.schedules import schedules

    expected = {s.name for s in schedules()}
    deadline = time.monotonic() + 90
    while True:
        deployments = {d["id"]: d["name"] for d in _prefect(machine, "deployments/filter", {})}
        runs = _prefect(machine, "flow_runs/filter", {"flow_runs": {"state": {"type": {"any_": ["SCHEDULED"]}}}})
        waiting = {deployments.get(run["deployment_id"]) for run in runs}
        if expected <= waiting:
            break
        assert time.monotonic() < deadline, f"no run is scheduled for {expected - waiting}"
        time.sleep(1)


def _prefect(machine: Machine, path: str, body: dict[str, Any]) -> Any:
    token = base64.b64encode(prefect_auth(machine.home).encode()).decode()
    request = urllib.request.Request(
        f"{machine.prefect}/api/{path}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Basic {token}"},
    )
    with urllib.request.urlopen(request, timeout=20) as reply:
        return json.load(reply)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("ingest", "term-deposit", "--source", "nowhere.csv"), 2, "nowhere.csv"),
        (("ingest", "no-such-campaign"), 2, "term-deposit"),
        (("score", "term-deposit", "nowhere.csv"), 2, "nowhere.csv"),
        (("monitor", "term-deposit", "--since", "yesterday"), 2, "--since"),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(machine: Machine, arguments: tuple[str, ...], code: int, says: str) -> None:
    done = machine.run("local.cli", *arguments)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_campaign_is_refused_by_the_service(machine: Machine) -> None:
    with pytest.raises(DataError, match="404"):
        machine.call("/v1/campaigns/nothing/predictions", [{}])


def test_a_key_opens_the_service_for_its_role_until_it_is_revoked(machine: Machine) -> None:
    url = f"{machine.api}/v1/campaigns"
    with pytest.raises(DataError, match="401"):
        call(url)
    assert call(url, key=machine.propensity("key").strip())["campaigns"]
    with pytest.raises(DataError, match="403"):
        machine.call("/v1/campaigns/term-deposit/outcomes", [{}], role=Role.AUDITOR)

    first = machine.propensity("keys", "create", "crm", "--role", "marketing").strip()
    _wait(lambda: _accepts(url, first))
    second = machine.propensity("keys", "rotate", first[5:13], "--overlap-hours", "0").strip()
    _wait(lambda: _accepts(url, second) and not _accepts(url, first))
    assert "crm" in machine.propensity("keys", "revoke", second[5:13], "--reason", "the test is over")
    _wait(lambda: not _accepts(url, second))
    listed = machine.propensity("keys", "list")
    assert "the test is over" in listed
    logs = "".join(path.read_text(encoding="utf-8", errors="replace") for path in (machine.home / "logs").rglob("*") if path.is_file())
    assert first[5:13] in logs
    assert first[14:] not in logs + listed
    assert second[14:] not in logs + listed


def _accepts(url: str, key: str) -> bool:
    try:
        call(url, key=key)
    except DataError:
        return False
    return True


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


@pytest.mark.parametrize(("error", "printed"), [("ObjectStoreUnavailable", "3"), ("DataError", "DataError 1")])
def test_only_a_store_that_does_not_answer_is_tried_again(machine: Machine, error: str, printed: str) -> None:
    from local.environment import QUIET

    told = {
        **machine.environ,
        **QUIET,
        "PREFECT_API_URL": f"{machine.prefect}/api",
        "PREFECT_API_AUTH_STRING": prefect_auth(machine.home),
        "PROPENSITY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/propensity",
        "PROPENSITY_STORE_URL": "file:///nowhere",
    }
    done = Machine(machine.home, told).run("tests.e2e.retrying", error)
    assert done.stdout.splitlines()[-1] == printed, done.stderr[-2000:]

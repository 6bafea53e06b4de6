"""Grafana's dashboards, alert rules and data source: made from the panel definitions, whole, and as Grafana's schema has them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import ContactPoint, NotificationPolicy
from grafana_foundation_sdk.models.dashboard import Dashboard

from flows.databases import READABLE
from monitoring.dashboards.__main__ import files
from monitoring.dashboards.boards import COLUMNS, places
from propensity.campaigns import all_campaigns
from propensity.panels import all_boards
from propensity.panels.alerts import all_alerts
from propensity.panels.definition import Kind
from tests.builders import tiny_campaign

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "images" / "grafana"
BOARDS = all_boards(all_campaigns())


def provisioned(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "provisioning" / path).read_text(encoding="utf-8"))
    return found


SOURCE = provisioned("datasources/propensity.yaml")
RULES: list[dict[str, Any]] = provisioned("alerting/rules.json")["groups"][0]["rules"]


def dashboard(key: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "dashboards" / f"{key}.json").read_text(encoding="utf-8"))
    return found


def test_the_files_are_what_the_definitions_give() -> None:
    made = files(all_campaigns())
    written = {f"dashboards/{path.name}" for path in (FOLDER / "dashboards").iterdir()} | {"provisioning/alerting/rules.json"}
    assert written == set(made)
    stale = [name for name, text in made.items() if (FOLDER / name).read_text(encoding="utf-8") != text]
    assert not stale, "make panels"


def test_a_new_campaign_is_on_every_board_without_another_line() -> None:
    made = files({"tiny": tiny_campaign()})
    assert all(
        json.loads(text)["templating"]["list"][0]["query"] == "tiny" for name, text in made.items() if name.startswith("dashboards/")
    )
    assert "('tiny', 5::numeric, 20::numeric, 'EUR')" in made["dashboards/value.json"]
    assert "in ('tiny')" in made["provisioning/alerting/rules.json"]


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_grafana_s_schema_knows_every_member(board: Any) -> None:
    """Read into the schema's own classes and written again, nothing is lost: a member that the schema did not know would be."""
    made = dashboard(board.key)
    read = Dashboard.from_json(json.loads(json.dumps(made)))
    again = json.loads(json.dumps(read, cls=JSONEncoder))
    assert {key: value for key, value in again.items() if key != "panels"} == {key: value for key, value in made.items() if key != "panels"}
    assert made["schemaVersion"] == 42
    assert (made["uid"], made["editable"], made["timezone"]) == (f"propensity-{board.key}", False, "utc")
    assert [panel["title"] for panel in made["panels"]] == [panel.title for panel in board.panels]
    for panel, again_panel in zip(made["panels"], again["panels"], strict=True):
        assert set(panel) == set(again_panel)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.key)
def test_panels_fill_the_grid_and_know_their_source(board: Any) -> None:
    (source,) = SOURCE["datasources"]
    made = dashboard(board.key)
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        taken |= cells
        (target,) = panel["targets"]
        assert panel["datasource"] == target["datasource"] == {"type": source["type"], "uid": source["uid"]}
        assert target["format"] == ("time_series" if panel["type"] == "timeseries" else "table")
        assert panel["description"]
        assert panel["fieldConfig"]["defaults"]["noValue"] == "no data"
    rows = [[place for place in places(board.panels) if place.y == y] for y in {place.y for place in places(board.panels)}]
    assert all(sum(place.w for place in row) == COLUMNS for row in rows if len(row) > 1 or board.panels[-1].kind is not Kind.RANKED)
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])


def test_only_views_that_the_reader_may_see_are_asked() -> None:
    statements = [panel.sql for board in BOARDS for panel in board.panels] + [alert.sql for alert in all_alerts(all_campaigns())]
    for sql in statements:
        defined = set(re.findall(r"(\w+)(?: \([\w, ]+\))? as \(", sql))
        asked = set(re.findall(r"\b(?:from|join) ([a-z_.]+)", re.sub(r"extract\([^()]*", "", sql))) - defined
        assert asked
        assert all(
            name.startswith(f"{READABLE}.") or name in ("jsonb_array_elements_text", "generate_series", "lateral") for name in asked
        ), asked


def test_a_macro_s_argument_holds_no_bracket() -> None:
    for board in BOARDS:
        for panel in board.panels:
            for argument in re.findall(r"\$__\w+\(([^)]*)\)", panel.sql):
                assert "(" not in argument, (board.key, panel.key)


def test_every_rule_leads_to_its_panel_and_holds_no_variable() -> None:
    text = (FOLDER / "provisioning" / "alerting" / "rules.json").read_text(encoding="utf-8")
    assert "$" not in text, "Grafana would put a variable of its environment there"
    assert len({rule["uid"] for rule in RULES}) == len(RULES)
    for rule in RULES:
        assert len(rule["uid"]) <= 40
        query, reduced, threshold = rule["data"]
        (source,) = SOURCE["datasources"]
        assert query["datasourceUid"] == source["uid"]
        assert (reduced["model"]["expression"], threshold["model"]["expression"], rule["condition"]) == ("A", "B", "C")
        shown = dashboard(rule["annotations"]["__dashboardUid__"].removeprefix("propensity-"))
        assert rule["annotations"]["__panelId__"] in {str(panel["id"]) for panel in shown["panels"]}
        assert rule["annotations"]["runbook"]
        assert rule["labels"]["urgency"] in ("now", "next-day")


def test_whoever_is_told_exists() -> None:
    points = {point["name"]: point["receivers"] for point in provisioned("alerting/contact-points.yaml")["contactPoints"]}
    (policy,) = provisioned("alerting/policies.yaml")["policies"]
    assert {policy["receiver"], *(route["receiver"] for route in policy["routes"])} == set(points)
    for name, receivers in points.items():
        for receiver in receivers:
            known = ContactPoint.from_json({**receiver, "name": name})
            assert known.settings
            # A variable that is not set would be an empty address, and Grafana would not start: the image sets each.
            (variable,) = re.findall(r"\$\{(\w+)\}", json.dumps(receiver))
            assert f"{variable}=" in (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    read = NotificationPolicy.from_json({key: value for key, value in policy.items() if key != "orgId"})
    assert json.loads(json.dumps(read, cls=JSONEncoder))["routes"][0]["object_matchers"] == policy["routes"][0]["object_matchers"]


def test_the_variables_of_whoever_is_told_are_set_by_the_environment_s_declaration() -> None:
    named = set(re.findall(r"\$\{(\w+)\}", json.dumps(provisioned("alerting/contact-points.yaml"))))
    on_aws = (PROJECT / "infra" / "constructs" / "grafana.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in on_aws for name in named)
    # In both places the database's certificate is looked for where the image has it.
    dockerfile = (FOLDER / "Dockerfile").read_text(encoding="utf-8")
    (source,) = SOURCE["datasources"]
    assert f"rds-roots.pem {source['jsonData']['sslRootCertFile']}\n" in dockerfile
    assert f"GF_DATABASE_CA_CERT_PATH={source['jsonData']['sslRootCertFile']} " in dockerfile


def test_what_the_source_is_told_is_told_everywhere_that_grafana_runs() -> None:
    named = set(re.findall(r"\$\{(\w+)\}", json.dumps(SOURCE)))
    assert named == {"PROPENSITY_READER_HOST", "PROPENSITY_READER_USER", "PROPENSITY_READER_PASSWORD", "PROPENSITY_READER_SSL_MODE"}
    on_aws = (PROJECT / "infra" / "constructs" / "grafana.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in on_aws for name in named)
    (source,) = SOURCE["datasources"]
    assert source["jsonData"]["database"] == "propensity"  # where Grafana 12 and later look for it
    home = re.search(r"GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH=/opt/grafana/(\S+)", (FOLDER / "Dockerfile").read_text(encoding="utf-8"))
    assert home is not None
    assert (FOLDER / home[1]).exists()

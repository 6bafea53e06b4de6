"""Grafana's data source and dashboard: every query runs on the real tables, and only on those that its role may read."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml  # type: ignore[import-untyped]

from flows.databases import READABLE
from local.postgres_urls import DatabaseUrls
from propensity.adapters.migrate import migrate

PROJECT = Path(__file__).resolve().parents[2]
FOLDER = PROJECT / "images" / "grafana"
DASHBOARD: dict[str, Any] = json.loads((FOLDER / "dashboards" / "platform.json").read_text(encoding="utf-8"))
SOURCE: dict[str, Any] = yaml.safe_load((FOLDER / "provisioning" / "datasources" / "propensity.yaml").read_text(encoding="utf-8"))
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
ROWS = """
insert into promotion values
    ('one', 1, 'promote', 'd1', 'v1', null, '[]', '{}', 'me', now()),
    ('two', 1, 'refuse', 'd2', 'v2', null, '[]', '{}', 'me', now());
insert into monitor_run (run_id, campaign, kind, since, until, rows, reference_rows, verdict) values
    ('r1', 'one', 'drift', now() - interval '1 day', now(), 10, 10, 'drift'),
    ('r2', 'two', 'drift', now() - interval '1 day', now(), 0, 10, 'no_data');
insert into monitor_metric values
    ('r1', 0, 'age', 'drift', 'psi', 0.3, 0.1, 0.2, 'drift'),
    ('r1', 1, 'job', 'drift', 'psi', 0.0, 0.1, 0.2, 'stable');
insert into flow_period values ('score', 'one', '2026-01-01', '{}', now());
"""


def query(panel: dict[str, Any]) -> str:
    (target,) = panel["targets"]
    sql: str = target["rawSql"]
    return sql


@pytest.fixture(scope="module")
def filled(database: DatabaseUrls) -> DatabaseUrls:
    migrate(database.owner_url)
    with psycopg.connect(database.owner_url) as connection:
        connection.execute(ROWS)
    return database


@pytest.mark.slow
@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_every_query_runs_and_finds_something(panel: dict[str, Any], filled: DatabaseUrls) -> None:
    sql = query(panel).replace("$campaign", "'one', 'two'")
    sql = re.sub(r"\$__timeFilter\(([^()]+)\)", r"\1 between now() - interval '1 day' and now() + interval '1 day'", sql)
    assert "$" not in sql
    with psycopg.connect(filled.owner_url) as connection:
        connection.read_only = True
        found = connection.execute(sql)
        columns = [column.name for column in found.description or ()]
        rows = found.fetchall()
    assert rows
    if panel["targets"][0]["format"] == "time_series":
        assert columns == ["time", "metric", "value"]


def test_the_share_of_drifted_columns_is_right(filled: DatabaseUrls) -> None:
    (panel,) = (panel for panel in PANELS if panel["title"].startswith("Columns that drifted"))
    sql = query(panel).replace("$campaign", "'one'").replace("$__timeFilter(r.created_at)", "true")
    with psycopg.connect(filled.owner_url) as connection:
        ((_, campaign, share),) = connection.execute(sql).fetchall()
    assert (campaign, share) == ("one", 0.5)


@pytest.mark.parametrize("panel", PANELS, ids=[panel["title"] for panel in PANELS])
def test_only_tables_that_the_reader_may_see_are_asked(panel: dict[str, Any]) -> None:
    tables = set(re.findall(r"\b(?:from|join) ([a-z_]+)", query(panel)))
    assert tables
    assert tables <= set(READABLE)


def test_panels_do_not_cover_each_other_and_know_their_source() -> None:
    (source,) = SOURCE["datasources"]
    taken: set[tuple[int, int]] = set()
    for panel in PANELS:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= 24
        taken |= cells
        assert panel["datasource"] == {"type": source["type"], "uid": source["uid"]}
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)


def test_what_the_source_is_told_is_told_everywhere_that_grafana_runs() -> None:
    named = set(re.findall(r"\$\{(\w+)\}", json.dumps(SOURCE)))
    assert named == {"PROPENSITY_READER_HOST", "PROPENSITY_READER_USER", "PROPENSITY_READER_PASSWORD", "PROPENSITY_READER_SSL_MODE"}
    on_aws = (PROJECT / "infra" / "constructs" / "grafana.py").read_text(encoding="utf-8")
    assert all(f'"{name}"' in on_aws for name in named)
    (source,) = SOURCE["datasources"]
    assert source["jsonData"]["database"] == "propensity"  # where Grafana 12 and later look for it

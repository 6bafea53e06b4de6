"""Alert rules as Grafana's file provisioning takes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monitoring.dashboards.boards import SOURCE_TYPE, SOURCE_UID
from propensity.panels.alerts import Alert
from propensity.panels.definition import Board

Json = dict[str, Any]
EXPRESSION = "__expr__"
# What Grafana hands to a query as its span: the statements look at the clock themselves.
SPAN_S = 900


def rules_of(alerts: Sequence[Alert], boards: Sequence[Board]) -> Json:
    """The file: one group, evaluated every minute."""
    group = {
        "orgId": 1,
        "name": "propensity",
        "folder": "Propensity",
        "interval": "1m",
        "rules": [_rule(alert, boards) for alert in alerts],
    }
    return {"apiVersion": 1, "groups": [group]}


def _rule(alert: Alert, boards: Sequence[Board]) -> Json:
    return {
        "uid": f"propensity-{alert.key}",
        "title": alert.title,
        "condition": "C",
        "data": [
            _query("A", SOURCE_UID, _statement(alert)),
            _query("B", EXPRESSION, {"type": "reduce", "expression": "A", "reducer": "last", "settings": {"mode": "dropNN"}}),
            _query("C", EXPRESSION, {"type": "threshold", "expression": "B", "conditions": [_above(alert.above)]}),
        ],
        "noDataState": "Alerting" if alert.no_data_is_bad else "OK",
        # A database that does not answer is told of by this alone.
        "execErrState": "Error",
        "for": f"{alert.for_minutes}m",
        "annotations": {
            "summary": alert.says,
            "runbook": alert.runbook,
            "__dashboardUid__": f"propensity-{alert.board}",
            "__panelId__": str(_panel_id(alert, boards)),
        },
        "labels": {"platform": "propensity", "urgency": "now" if alert.urgent else "next-day"},
        "isPaused": False,
    }


def _statement(alert: Alert) -> Json:
    source = {"type": SOURCE_TYPE, "uid": SOURCE_UID}
    return {"datasource": source, "format": "time_series", "rawQuery": True, "editorMode": "code", "rawSql": alert.sql.strip()}


def _query(ref: str, source: str, model: Json) -> Json:
    span = {"from": SPAN_S, "to": 0}
    if source == EXPRESSION:
        model = {"datasource": {"type": EXPRESSION, "uid": EXPRESSION}, **model}
    return {"refId": ref, "relativeTimeRange": span, "datasourceUid": source, "model": {"refId": ref, **model}}


def _above(bound: float) -> Json:
    return {"evaluator": {"type": "gt", "params": [bound]}}


def _panel_id(alert: Alert, boards: Sequence[Board]) -> int:
    """Panels are numbered as they stand on their board. Raises StopIteration where there is no such panel: a test looks at every alert."""
    board = next(board for board in boards if board.key == alert.board)
    return next(number for number, panel in enumerate(board.panels, 1) if panel.key == alert.panel)

"""``python -m monitoring.dashboards``: write Grafana's dashboards and alert rules. A test compares them with what is committed."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from monitoring.dashboards.boards import dashboard_of
from monitoring.dashboards.rules import rules_of
from propensity.campaign import Campaign
from propensity.campaigns import all_campaigns
from propensity.panels import all_boards
from propensity.panels.alerts import all_alerts

FOLDER = Path(__file__).resolve().parents[2] / "images" / "grafana"
DASHBOARDS, RULES = "dashboards", "provisioning/alerting/rules.json"


def files(campaigns: Mapping[str, Campaign]) -> dict[str, str]:
    """Every file by its path below images/grafana."""
    boards = all_boards(campaigns)
    made = {f"{DASHBOARDS}/{board.key}.json": _text(dashboard_of(board, campaigns)) for board in boards}
    return {**made, RULES: _text(rules_of(all_alerts(campaigns), boards))}


def _text(value: object) -> str:
    return json.dumps(value, cls=JSONEncoder, indent=1, ensure_ascii=False) + "\n"


def main() -> int:
    """Write every file, and remove dashboards that are no longer defined. Returns the exit code."""
    made = files(all_campaigns())
    for path in sorted((FOLDER / DASHBOARDS).glob("*.json")):
        if f"{DASHBOARDS}/{path.name}" not in made:
            path.unlink()
            print(f"removed {path}")
    for name, text in made.items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""docs/outcomes.md shows what is answered, names every status, field and rule there is, and no other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

from propensity.campaigns import campaign
from propensity.outcome_files import open_outcomes
from propensity.outcome_rules import AbsentMeans, Contradictions
from propensity.outcomes import FIELDS, STATUSES, form
from tests.api.conftest import World
from tests.fakes import NOW

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "outcomes.md").read_text(encoding="utf-8")
URL = "/v1/campaigns/term-deposit/outcomes"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", GUIDE, re.MULTILINE | re.DOTALL)


def names(title: str) -> set[str]:
    """What stands first in the rows of a table below a line that begins so."""
    table = GUIDE.split(title)[1].split("\n\n")[0]
    return set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))


def test_the_example_is_answered_as_shown(world: World, rows: list[dict[str, Any]]) -> None:
    made = world.predict(rows[:3]).json["predictions"]
    sent, answered = blocks("json")
    reply = world.client.post(URL, data=sent.replace("PREDICTION", made[0]["prediction_id"]), content_type="application/json")
    assert reply.status_code == 200
    shown = json.loads(answered)
    assert {name: reply.json[name] for name in shown} == shown
    assert world.client.get(f"{URL}?since=2026-01-01&until=2026-03-01").status_code == 200


def test_the_file_is_read(tmp_path: Path) -> None:
    (content,) = blocks("csv")
    path = tmp_path / "results.csv"
    path.write_text(content, encoding="utf-8")
    how = form(campaign("term-deposit"), NOW)
    with open_outcomes(path, campaign("term-deposit"), how, tmp_path) as file:
        (part,) = file.parts(how)
    assert [(outcome.customer_id, outcome.label) for outcome in part.outcomes] == [("c1", True), ("c2", False)]


def test_every_status_field_and_rule_is_named() -> None:
    assert names("| status | when | counts |") == set(STATUSES)
    assert names("| field | |") == FIELDS
    for name in (*get_args(AbsentMeans), *get_args(Contradictions)):
        assert f"`{name}`" in GUIDE

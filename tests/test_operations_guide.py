"""docs/operations.md names every alarm there is and no other, and only commands, files and limits that exist."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from infra.cost.assembly import Resource, read_assembly, synthesise
from infra.profiles import PROFILES
from propensity.campaigns import all_campaigns

PROJECT = Path(__file__).resolve().parent.parent
GUIDE = (PROJECT / "docs" / "operations.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def alarms(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Resource]:
    """Alarms of every profile, by what CDK makes of their names."""
    found: dict[str, Resource] = {}
    for profile in PROFILES:
        folder = tmp_path_factory.mktemp(profile)
        synthesise("prod", profile, folder)
        for resource in read_assembly(folder):
            if resource.kind in ("AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"):
                found[re.sub("[0-9A-F]{8}$", "", resource.name).removeprefix("Alarms")] = resource
    return found


def explained() -> set[str]:
    """The names in the table, CAMPAIGN filled in."""
    section = GUIDE.split("## Alarms")[1].split("\n## ")[0]
    names = re.findall(r"^\| `([\w-]+)` \|", section, re.MULTILINE)
    assert len(names) == len(set(names))
    campaigns = list(all_campaigns()) or [""]
    return {name.replace("CAMPAIGN", campaign) for name in names for campaign in (campaigns if "CAMPAIGN" in name else [""])}


@pytest.mark.slow
def test_every_alarm_is_explained_and_no_other(alarms: dict[str, Resource]) -> None:
    assert len(alarms) > 20
    assert {name.replace("-", "") for name in explained()} == set(alarms)


@pytest.mark.slow
def test_every_alarm_says_itself_what_it_means_and_tells_somebody(alarms: dict[str, Resource]) -> None:
    for name, alarm in alarms.items():
        assert alarm.properties.get("AlarmDescription"), name
        assert alarm.properties.get("AlarmActions"), name


def test_every_command_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (PROJECT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z]+) ENV", GUIDE)) <= targets
    for script in set(re.findall(r"images/\w+\.sh", GUIDE)):
        assert os.access(PROJECT / script, os.X_OK), script
    for module in set(re.findall(r"-m ((?:flows|infra)\.\w+)", GUIDE)):
        assert (PROJECT / module.replace(".", "/")).with_suffix(".py").is_file(), module
    for file in set(re.findall(r"`((?:infra|docs|images)/[\w/.-]+)`", GUIDE)) | {"compose.yaml"}:
        assert (PROJECT / file).exists(), file


def test_the_limits_are_those_of_the_code() -> None:
    from importlib import import_module

    logic = import_module("lambda.front_door.logic")
    assert logic.LIMIT_BYTES == 6 * 1024 * 1024
    limits = GUIDE.split("## Limits")[1]
    for words in ("| 6 MB", "| 10 MB |", "| 29 s |", "| 10,000 rows"):
        assert words in limits


@pytest.mark.parametrize(
    "field", ["backup_days", "replaced_days", "budget_usd", "most_storage_gib", "upload_limit_gib", "rate_per_s", "per_day"]
)
def test_settings_that_are_named_exist(field: str) -> None:
    assert f"`{field}`" in GUIDE
    assert f"    {field}: " in (PROJECT / "infra" / "config.py").read_text(encoding="utf-8")

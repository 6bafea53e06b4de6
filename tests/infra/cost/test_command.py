"""``python -m infra.cost``: a folder of templates in, a table, a report and an exit code out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from infra.config import environment_named
from infra.cost.__main__ import main


def assembly(folder: Path, resources: dict[str, Any]) -> Path:
    """As CDK writes it: a stage is an assembly within the assembly."""
    inner = folder / "assembly-stage"
    inner.mkdir()
    stage = {"stage": {"type": "cdk:cloud-assembly", "properties": {"directoryName": inner.name}}}
    stack = {"type": "aws:cloudformation:stack", "properties": {"templateFile": "Lake.template.json", "stackName": "stage-Lake"}}
    assets = {"type": "cdk:asset-manifest", "properties": {"file": "Lake.assets.json"}}
    (folder / "manifest.json").write_text(json.dumps({"artifacts": stage}), encoding="utf-8")
    (inner / "manifest.json").write_text(json.dumps({"artifacts": {"Lake": stack, "Lake.assets": assets}}), encoding="utf-8")
    (inner / "Lake.template.json").write_text(json.dumps({"Resources": resources}), encoding="utf-8")
    return folder


def run(folder: Path, resources: dict[str, Any], *more: str) -> tuple[int, dict[str, Any]]:
    target = folder / "reports" / "cost.json"
    code = main(["--env", "dev", "--assembly", str(assembly(folder, resources)), "--report", str(target), *more])
    return code, json.loads(target.read_text(encoding="utf-8"))


KEYS = {f"Key{number}": {"Type": "AWS::KMS::Key"} for number in range(3)}


def test_within_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(tmp_path, KEYS, "--profile", "lean", "--usage", "requests=7")
    assert code == 0
    assert (told["environment"], told["profile"], told["monthly_usd"], told["stacks"]) == ("dev", "lean", 3.0, {"stage-Lake": 3.0})
    assert told["usage"]["requests"] == 7
    shown = capsys.readouterr()
    assert "stage-Lake" in shown.out
    assert told["prices_as_of"] in shown.out
    assert "Not priced: nothing" in shown.out
    assert shown.err == ""


def test_over_the_budget_ends_with_1_and_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    many = {f"Key{number}": {"Type": "AWS::KMS::Key"} for number in range(environment_named("dev").budget_usd + 1)}
    code, told = run(tmp_path, many)
    assert code == 1
    assert not told["within_limit"]
    (sentence,) = capsys.readouterr().err.splitlines()
    assert str(environment_named("dev").budget_usd) in sentence


def test_types_without_a_price_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, told = run(tmp_path, {**KEYS, "Fleet": {"Type": "AWS::GameLift::Fleet"}})
    assert code == 0
    assert list(told["not_priced"]) == ["AWS::GameLift::Fleet"]
    assert "AWS::GameLift::Fleet" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--env", "production"], "staging"),
        ([], "staging"),
        (["--env", "dev", "--profile", "cheap"], "near-zero"),
        (["--env", "dev", "--usage", "rows=many"], "rows"),
        (["--env", "dev", "--assembly", "/nowhere/at/all"], "make synth"),
    ],
)
def test_bad_input_is_one_sentence_and_writes_nothing(
    arguments: list[str], word: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "cost.json"
    assert main([*arguments, "--report", str(target)]) == 3
    (sentence,) = capsys.readouterr().err.splitlines()
    assert word in sentence
    assert not target.exists()

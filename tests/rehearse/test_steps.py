"""Steps: what fails is told, written down, and ends the program with 1."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rehearse.steps import StepFailed, Steps


def failing() -> str:
    raise StepFailed("403 was expected, the reply is 200")


def crashing() -> None:
    raise KeyError("bucket")


def test_a_failed_step_is_told_and_written_down(tmp_path: Path) -> None:
    lines: list[str] = []
    steps = Steps(tmp_path / "reports" / "rehearse.json", lines.append, stand_ins=["AWS::EC2::EIP"])
    assert steps.run("one", lambda: "fine")
    assert not steps.run("two", failing)
    assert not steps.run("three", crashing)
    steps.not_tried("four", "two failed")

    report = json.loads(steps.report.read_text(encoding="utf-8"))
    assert [(step["name"], step["passed"]) for step in report["steps"]] == [
        ("one", True),
        ("two", False),
        ("three", False),
        ("four", False),
    ]
    assert report["stand_ins"] == ["AWS::EC2::EIP"]
    assert all(isinstance(step["seconds"], float) for step in report["steps"])
    assert not steps.passed
    assert "FAILED" in lines[1]
    assert "403 was expected" in lines[1]


def test_nothing_tried_is_not_passed(tmp_path: Path) -> None:
    assert not Steps(tmp_path / "r.json", print).passed


def test_an_interruption_is_no_failed_step(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    steps = Steps(tmp_path / "r.json", print)
    with pytest.raises(KeyboardInterrupt):
        steps.run("one", interrupted)
    assert steps.outcomes == []

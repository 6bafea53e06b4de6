from __future__ import annotations

import json

import pytest

from flows import run
from propensity.errors import DatabaseUnavailable, SettingsInvalid
from propensity.schedules import schedules


@pytest.mark.parametrize("name", [scheduled.name for scheduled in schedules()])
def test_every_flow_is_found_by_its_name(name: str) -> None:
    assert run.find(name).name == name


def test_an_unknown_flow_is_refused_by_naming_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    assert run.main(["retrain-nothing"]) == SettingsInvalid.exit_code
    assert "retrain-term-deposit" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["a", "b"]])
def test_one_name_is_asked_for(arguments: list[str]) -> None:
    assert run.main(arguments) == 2


def test_the_last_line_says_how_it_ended(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(run, "run", lambda _: None)
    assert run.main(["monitor-term-deposit"]) == 0
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert {key: told[key] for key in ("event", "flow", "ok")} == {"event": "flow_ended", "flow": "monitor-term-deposit", "ok": True}


@pytest.mark.parametrize("error", [DatabaseUnavailable("Postgres is away"), RuntimeError("nobody foresaw this")])
def test_a_failure_is_counted_and_not_hidden(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], error: Exception) -> None:
    def fails(scheduled: object) -> None:
        raise error

    monkeypatch.setattr(run, "run", fails)
    if isinstance(error, RuntimeError):
        with pytest.raises(RuntimeError):
            run.main(["score-term-deposit"])
    else:
        assert run.main(["score-term-deposit"]) == DatabaseUnavailable.exit_code
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["ok"] is False

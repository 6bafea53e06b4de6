from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest

from local import list_progress as shown
from local.cli import _parser

FOUND: dict[str, Any] = {
    "received": 1_200,
    "scored": 1_199,
    "contact": 300,
    "refused_rows": 1,
    "not_used": {"duration": "excluded"},
    "errors": "out.errors.csv",
    "held_out": 30,
    "excluded_rows": 3,
    "excluded": {"objection": 2, "cooling_off": 1},
    "excluded_file": "out.excluded.csv",
}


GATE = (
    "3 customers may not be contacted and are not on the sheet (1 cooling_off, 2 objection): out.excluded.csv",
    "30 customers are in the control",
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_elsewhere_than_on_a_terminal_there_is_a_line_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr("local.list_progress.time.monotonic", lambda: clock[0])
    stream = io.StringIO()
    with shown.list_progress(stream) as watch:
        for done in range(1, 26):
            clock[0] += 1.0
            watch("scoring", done * 1_000, 25_000)
    assert stream.getvalue().splitlines() == ["scoring: 10,000 of 25,000 customers", "scoring: 20,000 of 25,000 customers"]


def test_on_a_terminal_there_is_a_bar() -> None:
    stream = Terminal()
    with shown.list_progress(stream) as watch:
        watch("scoring", 500, 1_000)
        watch("logging", 1, 1_000)
    text = stream.getvalue()
    assert "scoring" in text
    assert "logging" in text


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_what_became_of_a_list_is_told(stream: io.StringIO) -> None:
    shown.show_list(FOUND, Path("out.csv"), 2.0, stream)
    text = stream.getvalue()
    for figure in (
        "1,199 of 1,200 customers scored, 300 to contact: out.csv",
        "not used: duration",
        "1 rows refused: out.errors.csv",
        *GATE,
    ):
        assert figure in text
    assert ("customers a second" in text) == stream.isatty()


def test_the_command_takes_a_number_of_reasons() -> None:
    args = _parser().parse_args(["score", "term-deposit", "x.csv", "--reasons", "0", "--out", "x.parquet"])
    assert (args.reasons, args.out) == (0, Path("x.parquet"))
    with pytest.raises(SystemExit):
        _parser().parse_args(["score", "term-deposit", "x.csv", "--reasons", "11"])

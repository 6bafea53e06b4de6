"""The overview: of every other board what a person looks at first."""

from __future__ import annotations

from collections.abc import Sequence

from propensity.panels.definition import Board, Panel

SHOWN = (
    ("predictions", "predictions"),
    ("value", "expected-profit"),
    ("drift", "verdicts"),
    ("predictions", "over-time"),
    ("traffic", "latency"),
    ("performance", "roc-auc"),
    ("drift", "drifted-share"),
    ("flows", "since-monitoring"),
    ("traffic", "failed"),
    ("models", "live"),
)


def board(others: Sequence[Board]) -> Board:
    """The board, of panels of the others."""
    return Board("overview", "Overview", "Of every board what is looked at first.", tuple(_find(others, *wanted) for wanted in SHOWN))


def _find(boards: Sequence[Board], board: str, panel: str) -> Panel:
    return next(found for place in boards if place.key == board for found in place.panels if found.key == panel)

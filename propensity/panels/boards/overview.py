"""The overview: of every other board what a person looks at first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from propensity.panels.definition import Board, Panel

# Board, panel, width here.
SHOWN = (
    ("predictions", "predictions", 12),
    ("value", "expected-profit", 12),
    ("alerts", "open", 12),
    ("flows", "states", 12),
    ("drift", "verdicts", 24),
    ("predictions", "over-time", 12),
    ("traffic", "latency", 12),
    ("performance", "roc-auc", 12),
    ("drift", "drifted-share", 12),
    ("flows", "since-monitoring", 14),
    ("traffic", "failed", 10),
    ("models", "live", 24),
)


def board(others: Sequence[Board]) -> Board:
    """The board, of panels of the others."""
    return Board("overview", "Overview", "Of every board what is looked at first.", tuple(_find(others, *wanted) for wanted in SHOWN))


def _find(boards: Sequence[Board], board: str, panel: str, width: int) -> Panel:
    return next(replace(found, width=width) for place in boards if place.key == board for found in place.panels if found.key == panel)

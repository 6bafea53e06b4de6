"""One set of panel definitions: Grafana's dashboards, the page /monitoring and the tests are made from it."""

from __future__ import annotations

from collections.abc import Mapping

from propensity.campaign import Campaign
from propensity.panels.boards import (
    drift,
    flows,
    infrastructure,
    models,
    overview,
    performance,
    predictions,
    quality,
    raised,
    traffic,
    value,
)
from propensity.panels.definition import Board


def all_boards(campaigns: Mapping[str, Campaign]) -> tuple[Board, ...]:
    """Every board, in the order in which they are shown; bounds and money are those that the campaigns declare."""
    boards = (
        traffic.BOARD,
        predictions.BOARD,
        drift.board(campaigns),
        quality.BOARD,
        performance.board(campaigns),
        value.board(campaigns),
        models.BOARD,
        flows.BOARD,
        raised.BOARD,
        infrastructure.BOARD,
    )
    return (overview.board(boards), *boards)

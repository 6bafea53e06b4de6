"""What a call gives back: whole inputs again, whatever requests they were split into."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

PREDICTION_COLUMNS = ("row", "customer_id", "prediction_id", "score", "decision", "band", "rank", "expected_profit")
ERROR_COLUMNS = ("row", "column", "code", "message")


@dataclass(frozen=True)
class RequestInfo:
    """One request of a call.

    Attributes
    ----------
    request_id : str or None
        What the service logged it under; None for one whose rows were all refused: nothing was scored, nothing was logged.
    key : str
        Its Idempotency-Key.
    first_row, rows : int
        Which rows of the input it carried; the first row of the input is 1.
    scored, refused, contact : int
        What became of them.
    model : mapping
        ``version`` and ``digest`` of the model that answered; empty where none did.
    policy : mapping
        The policy that decided.
    attempts : int
    replayed : bool
        The service had answered this key before: an attempt whose reply was lost, or an earlier call with the same ``call_id``.
    """

    request_id: str | None
    key: str
    first_row: int
    rows: int
    scored: int
    refused: int
    contact: int
    model: Mapping[str, Any]
    policy: Mapping[str, Any]
    attempts: int
    replayed: bool


@dataclass(frozen=True)
class PredictedRows:
    """Predictions and errors as plain lists, in the order of the input. Rows are counted over the whole input, from 1.

    Attributes
    ----------
    predictions : list of dict
        As the service gives them. ``rank`` is over the whole input: 1 is the best score; equal scores keep the order of the input.
    errors : list of dict
        ``row``, ``column``, ``code``, ``message``. The service lists the first thousand of each request.
    errors_total : int
        How many errors there are in all.
    requests : list of RequestInfo
        More than one model version among them means that one was promoted during the call; name ``model=`` to rule that out.
    """

    predictions: list[dict[str, Any]] = field(repr=False)
    errors: list[dict[str, Any]] = field(repr=False)
    errors_total: int
    requests: list[RequestInfo]

    @property
    def expected_profit(self) -> float:
        """Summed over the customers to contact, in the campaign's currency."""
        return math.fsum(p["expected_profit"] for p in self.predictions if p["decision"] == "contact")


@dataclass(frozen=True)
class Predictions:
    """The same as pandas DataFrames; see `PredictedRows`."""

    predictions: pd.DataFrame = field(repr=False)
    errors: pd.DataFrame = field(repr=False)
    errors_total: int
    requests: list[RequestInfo]
    expected_profit: float


def as_frames(found: PredictedRows) -> Predictions:
    """Raises ModuleNotFoundError where pandas is not installed."""
    import pandas as pd

    columns = [
        *PREDICTION_COLUMNS,
        *(name for name in (found.predictions[0] if found.predictions else ()) if name not in PREDICTION_COLUMNS),
    ]
    predictions = pd.DataFrame(found.predictions, columns=columns)
    errors = pd.DataFrame(found.errors, columns=list(ERROR_COLUMNS))
    return Predictions(predictions, errors, found.errors_total, found.requests, found.expected_profit)


def joined(parts: Sequence[tuple[int, Mapping[str, Any]]], requests: list[RequestInfo]) -> PredictedRows:
    """Put replies together. ``parts`` holds the number of rows before each reply, and its body."""
    predictions = [{**found, "row": found["row"] + before} for before, body in parts for found in body.get("predictions", ())]
    errors = [{**found, "row": found["row"] + before} for before, body in parts for found in body.get("errors", ())]
    if len(parts) > 1:
        order = sorted(range(len(predictions)), key=lambda at: -predictions[at]["score"])
        for rank, at in enumerate(order, start=1):
            predictions[at]["rank"] = rank
    return PredictedRows(predictions, errors, sum(body.get("errors_total", 0) for _, body in parts), requests)

"""A client of the scoring service: ``pip install 'propensity[client]'``; imports nothing of the platform.

::

    from propensity.client import Client

    with Client("http://127.0.0.1:8700", key) as client:
        found = client.predict("term-deposit", frame)  # a DataFrame or a list of dictionaries, of any size
        found.predictions[found.predictions.decision == "contact"]
        found.errors

Every request carries an Idempotency-Key that stays the same when it is sent again: after a lost connection, a timeout, 429 or 503. So each
row is scored and logged once, however often it travels.
"""

from propensity.client.calls import DEADLINE_S, MAX_ROWS, Client
from propensity.client.failures import (
    GaveUp,
    KeyReused,
    NoAnswer,
    NoRowUsable,
    NotAllowed,
    NotAuthenticated,
    NotSendable,
    NotThere,
    PolicyNeedsOneRequest,
    Refused,
    ServiceBroken,
    ServiceError,
    TooManyRequests,
    Unavailable,
)
from propensity.client.results import PredictedRows, Predictions, RequestInfo

__all__ = [
    "DEADLINE_S",
    "MAX_ROWS",
    "Client",
    "GaveUp",
    "KeyReused",
    "NoAnswer",
    "NoRowUsable",
    "NotAllowed",
    "NotAuthenticated",
    "NotSendable",
    "NotThere",
    "PolicyNeedsOneRequest",
    "PredictedRows",
    "Predictions",
    "Refused",
    "RequestInfo",
    "ServiceBroken",
    "ServiceError",
    "TooManyRequests",
    "Unavailable",
]

"""A quiet connection to MLflow: no telemetry, no chatter, fast refusals, and one kind of error.

Left alone, MLflow tries a dead database ten times and a dead server seven times with growing pauses, minutes in all. Here one
short look comes first: retrying is for the flow that asked.
"""

from __future__ import annotations

import logging
import os
import urllib.error
import urllib.request
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from propensity.errors import RegistryUnavailable, SettingsInvalid

if TYPE_CHECKING:
    from mlflow import MlflowClient

LOOK_TIMEOUT_S = 5
_DATABASES = ("postgresql", "postgres", "postgresql+psycopg")


def normalised(uri: str) -> str:
    """The address with the Postgres driver that is installed. Raises SettingsInvalid for what is neither Postgres nor http(s)."""
    scheme, _, rest = uri.partition("://")
    if scheme in _DATABASES and rest:
        return f"postgresql+psycopg://{rest}"
    if scheme in ("http", "https") and rest:
        return uri
    raise SettingsInvalid("MLflow is addressed as postgresql://... (its database) or http(s)://... (its server)")


@contextmanager
def mlflow_client(uri: str) -> Iterator[MlflowClient]:
    """A client of the MLflow at ``uri``. No global state of MLflow is set.

    Raises RegistryUnavailable where MLflow does not answer, now or within the block; the message holds no address.
    """
    # Read when mlflow is imported: before that is the only moment at which it can be said.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    # It would print the server's address, and with it a password in that address.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    with _quiet():
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from requests import RequestException
        from sqlalchemy.exc import SQLAlchemyError

        _look(uri)
        try:
            yield MlflowClient(uri, uri)
        except MlflowException as exc:
            raise RegistryUnavailable(f"MLflow did not do what was asked: {exc.error_code}") from exc
        except (SQLAlchemyError, RequestException, Boto3Error, BotoCoreError, ClientError, OSError) as exc:
            raise RegistryUnavailable(f"MLflow or its artifact store stopped answering: {type(exc).__name__}") from exc


def _look(uri: str) -> None:
    """Return where something answers at the address. Raises RegistryUnavailable within seconds where nothing does."""
    if urlsplit(uri).scheme in ("http", "https"):
        _look_at_server(uri)
    else:
        _look_at_database(uri)


def _look_at_database(uri: str) -> None:
    import psycopg

    try:
        psycopg.connect(uri.replace("+psycopg", "", 1), connect_timeout=LOOK_TIMEOUT_S).close()
    except psycopg.Error as exc:
        raise RegistryUnavailable(f"the database of MLflow does not answer: {type(exc).__name__}") from exc


def _look_at_server(uri: str) -> None:
    try:
        # Only http and https come this far: `normalised`.
        urllib.request.urlopen(uri.rstrip("/") + "/health", timeout=LOOK_TIMEOUT_S).close()  # noqa: S310
    except urllib.error.HTTPError as exc:
        exc.close()
        raise RegistryUnavailable(f"the MLflow server refuses: HTTP {exc.code}") from exc
    except (OSError, ValueError) as exc:
        raise RegistryUnavailable(f"the MLflow server does not answer: {type(exc).__name__}") from exc


@contextmanager
def _quiet() -> Iterator[None]:
    """Let MLflow say only what is an error, and keep warnings of its dependencies about themselves away."""
    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow  # noqa: F401  (sets the levels of its loggers)

        before = [logger.level for logger in loggers]
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, before, strict=True):
                logger.setLevel(level)

"""Addresses of the platform's databases, from the environment or from the embedded server."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from propensity.errors import SettingsInvalid


@dataclass(frozen=True)
class DatabaseUrls:
    """Addresses with their passwords, which is why none of them is shown by ``repr``.

    Attributes
    ----------
    app_url, owner_url : str
        Database ``propensity``, with the role that may only insert and select, and with the role that owns the tables.
    mlflow_url, prefect_url : str
        For SQLAlchemy: ``postgresql+psycopg://`` and ``postgresql+asyncpg://``. Empty where the environment named none.
    """

    app_url: str = field(repr=False)
    owner_url: str = field(repr=False)
    mlflow_url: str = field(repr=False)
    prefect_url: str = field(repr=False, default="")


def given_urls(environ: Mapping[str, str]) -> DatabaseUrls | None:
    """Addresses set by the environment; None where ``PROPENSITY_DATABASE_URL`` is not set.

    Raises
    ------
    SettingsInvalid
        One address is set and those that belong to it are not.
    """
    app_url = environ.get("PROPENSITY_DATABASE_URL", "")
    if not app_url:
        return None
    missing = [name for name in ("PROPENSITY_OWNER_URL", "PROPENSITY_MLFLOW_URL") if not environ.get(name)]
    if missing:
        raise SettingsInvalid(
            f"PROPENSITY_DATABASE_URL is set, so that no Postgres is started here: set {' and '.join(missing)} too, "
            "or unset PROPENSITY_DATABASE_URL"
        )
    return DatabaseUrls(
        app_url=app_url,
        owner_url=environ["PROPENSITY_OWNER_URL"],
        mlflow_url=environ["PROPENSITY_MLFLOW_URL"],
        prefect_url=environ.get("PREFECT_SERVER_DATABASE_CONNECTION_URL", ""),
    )
